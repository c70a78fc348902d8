"""Where a process's time goes: functions of the product, watched from outside."""

import functools
import importlib
import threading
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

_ACTOR = "ray::ClientApp"  # as Linux cuts a name off
Watched = Mapping[str, tuple[str, ...]]
"""What it is called -> where the functions are, as `client.records.dataset:SiteDataset.batch`."""


class Stopwatch:
    """Seconds by name, each without those of what was watched inside it in the same thread."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = {}
        self.processor: dict[str, float] = {}
        self._of_thread = threading.local()

    def watch(self, watched: Watched) -> None:
        """From now on, time every call of these functions."""
        for name, places in watched.items():
            for place in places:
                module, _, path = place.partition(":")
                *owners, last = path.split(".")
                owner: Any = importlib.import_module(module)
                for each in owners:
                    owner = getattr(owner, each)
                setattr(owner, last, self.timed(name, getattr(owner, last)))

    def timed(self, name: str, function: Callable[..., Any]) -> Callable[..., Any]:
        """`function`, whose calls are timed as `name`."""

        @functools.wraps(function)
        def call(*args: Any, **kwargs: Any) -> Any:
            opened: list[list[float]] = self._of_thread.__dict__.setdefault("opened", [])
            inside = [0.0, 0.0]
            opened.append(inside)
            wall, processor = time.monotonic(), time.thread_time()
            try:
                return function(*args, **kwargs)
            finally:
                took = (time.monotonic() - wall, time.thread_time() - processor)
                opened.pop()
                for spent, whole, of_others in zip(
                    (self.seconds, self.processor), took, inside, strict=True
                ):
                    spent[name] = spent.get(name, 0.0) + whole - of_others
                if opened:
                    opened[-1][0] += took[0]
                    opened[-1][1] += took[1]

        return call


OF_PROCESS = Stopwatch()
"""That of this process, which stays while clients come and go in it."""


def family_seconds(root: int) -> dict[str, float]:
    """Processor seconds of a process and of all that live below it, from Linux's /proc.

    `server` is the process itself, `sites` are Ray's actors, and `engine` is what else it started.
    """
    import os

    ticks = os.sysconf("SC_CLK_TCK")
    spent, parents, names = {}, {}, {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                head, _, tail = (entry / "stat").read_text().rpartition(")")
            except OSError:  # it has ended meanwhile
                continue
            fields = tail.split()
            names[int(entry.name)] = head.partition("(")[2]
            parents[int(entry.name)] = int(fields[1])
            spent[int(entry.name)] = sum(map(int, fields[11:15])) / ticks
    family = {root}
    while True:
        grown = family | {child for child, parent in parents.items() if parent in family}
        if grown == family:
            break
        family = grown
    found = dict.fromkeys(("server", "sites", "engine"), 0.0)
    for each in family & spent.keys():
        actor = names[each].startswith(_ACTOR)
        found["server" if each == root else "sites" if actor else "engine"] += spent[each]
    return found
