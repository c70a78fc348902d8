"""Signs of life: a process of the node that does its work says so every few seconds.

A process can live, and even answer a question for its health, while its work has stopped. The file
holds the monotonic clock, which all processes of a machine share and nobody can set.
"""

import contextlib
import time
from dataclasses import dataclass, field
from pathlib import Path

from irene_model.journal import write_private

_OFTEN_S = 5.0


@dataclass(kw_only=True)
class Pulse:
    """The sign of one process, in a file."""

    path: Path
    _next: float = field(default=0.0, init=False)

    def beat(self) -> None:
        """Give a sign; written every few seconds at most."""
        now = time.monotonic()
        if now < self._next:
            return
        self._next = now + _OFTEN_S
        with contextlib.suppress(OSError):  # a full disk ends no round
            write_private(self.path, f"{now:.1f}".encode(), durable=False)

    def silent_s(self) -> float | None:
        """Seconds since the last sign; None where there is none of this boot."""
        try:
            age = time.monotonic() - float(self.path.read_text(encoding="utf-8"))
        except (OSError, ValueError):
            return None
        return age if age >= 0 else None


def pulse_of(folder: Path, name: str) -> Pulse:
    """The pulse of the process `name` of the node in `folder`."""
    return Pulse(path=folder / f"{name}.pulse")
