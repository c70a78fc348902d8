"""What a command and all that it starts cost: processor seconds and memory, from Linux's /proc."""

import os
import subprocess
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

_LOOK_S = 0.2
_TICKS = os.sysconf("SC_CLK_TCK")


@dataclass(frozen=True, kw_only=True)
class Cost:
    """processor: seconds. peak: MiB of all processes at one moment, shared pages shared out."""

    processor: float
    peak: float


class CommandFailedError(Exception):
    """What a command said last, in one line."""


def cost_of(
    command: Sequence[str], *, environment: Mapping[str, str], folder: Path, limit_s: float
) -> Cost:
    """Run `command` in `folder` to its end. CommandFailedError where it fails or takes too long."""
    log, until = folder / "output.log", time.monotonic() + limit_s
    family = _Family()
    with log.open("w") as output:
        process = subprocess.Popen(
            command,
            env=environment,
            cwd=folder,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
        try:
            while process.poll() is None and time.monotonic() < until:
                family.look(process.pid)
                time.sleep(_LOOK_S)
        finally:
            family.end()
            process.kill()
            process.wait()
    if process.returncode:
        lines = [line for line in log.read_text(errors="replace").splitlines() if line.strip()]
        late = f"took more than {limit_s:.0f} s; " if time.monotonic() >= until else ""
        raise CommandFailedError(late + (lines[-1].strip()[:200] if lines else "said nothing"))
    return Cost(processor=family.processor, peak=family.peak)


class _Family:
    """Every process that was seen below one, also after its parent has gone.

    Processor time of the last fifth of a second before a process ends is not seen.
    """

    def __init__(self) -> None:
        self._seconds: dict[tuple[int, str], float] = {}  # (pid, started) -> its own
        self.peak = 0.0

    @property
    def processor(self) -> float:
        return sum(self._seconds.values())

    def look(self, root: int) -> None:
        found = dict(_processes())
        ours = {pid for pid, (_, started, _) in found.items() if (pid, started) in self._seconds}
        ours.add(root)
        while more := {p for p, (parent, _, _) in found.items() if parent in ours} - ours:
            ours |= more
        for pid in ours & found.keys():
            _, started, seconds = found[pid]
            self._seconds[pid, started] = seconds
        self.peak = max(self.peak, sum(map(_memory, ours)))

    def end(self) -> None:
        """What is left of it when the command has ended, is ended too."""
        for pid, (_, started, _) in _processes():
            if (pid, started) in self._seconds:
                try:
                    os.kill(pid, 9)
                except ProcessLookupError:
                    continue


def _processes() -> list[tuple[int, tuple[int, str, float]]]:
    """Each process: its parent, when it started, and its processor seconds."""
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                fields = (entry / "stat").read_text().rpartition(")")[2].split()
            except OSError:  # it has ended meanwhile
                continue
            seconds = (int(fields[11]) + int(fields[12])) / _TICKS
            found.append((int(entry.name), (int(fields[1]), fields[19], seconds)))
    return found


def _memory(pid: int) -> float:
    """Proportional set size, MiB."""
    try:
        lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
    except OSError:
        return 0.0
    return next((int(x.split()[1]) / 1024 for x in lines if x.startswith("Pss:")), 0.0)
