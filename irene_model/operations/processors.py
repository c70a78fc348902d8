"""How many processors this process may use: often fewer than the machine has."""

import math
import os
from collections.abc import Iterator
from pathlib import Path

_GROUPS, _OWN = Path("/sys/fs/cgroup"), Path("/proc/self/cgroup")


def usable_processors(groups: Path = _GROUPS, own: Path = _OWN) -> int:
    """By affinity (`taskset`, Slurm) and by the quota of a container, rounded up; at least 1.

    groups: where the kernel shows control groups; own: the list of this process's.
    """
    allowed = len(os.sched_getaffinity(0))
    quotas = [quota for quota in _quotas(groups, own) if quota > 0]
    return max(1, min([allowed, *map(math.ceil, quotas)]))


def _quotas(groups: Path, own: Path) -> Iterator[float]:
    """Processors by each control group that this process is in; those without a quota say none."""
    for line in _text(own).splitlines():
        _, controllers, path = [*line.split(":", 2), "", ""][:3]
        home = groups if not controllers else groups / "cpu"
        if controllers and "cpu" not in controllers.split(","):
            continue
        place = Path(path.lstrip("/"))
        for folder in (place, *place.parents):  # within a container only the top may be there
            if controllers:
                yield _share(
                    f"{_text(home / folder / 'cpu.cfs_quota_us')} "
                    f"{_text(home / folder / 'cpu.cfs_period_us')}"
                )
            else:
                yield _share(_text(home / folder / "cpu.max"))


def _share(said: str) -> float:
    """`quota period` in microseconds to processors; 0 where there is none."""
    words = said.split()
    if len(words) != 2 or not all(word.isdecimal() for word in words) or not int(words[1]):
        return 0.0
    return int(words[0]) / int(words[1])


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="ascii")
    except (OSError, ValueError):
        return ""
