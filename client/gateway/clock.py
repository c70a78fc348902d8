"""The coordinator's time as this machine knows it, whatever its own clock says.

Flower refuses a node whose signed time is 5 s ahead of the SuperLink's or 305 s behind it, and its
SuperNode then ends. So the gateway's time is read before and while a node is connected, the node
signs that time, and people are told how far their own clock is off. Between two readings the
monotonic clock goes on, which nobody can set.
"""

import contextlib
import json
import math
import os
import time
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Literal

from irene_model.console import span
from irene_model.journal import write_private

MOST_S = 86_400.0
"""A clock that is off by more is not made up for: that is no drift, and people must look at it."""
_WORTH_SAYING_S = 5.0
_FILE = "clock.json"
_REMEDY = "set it, best by NTP (chrony, or `timedatectl set-ntp true`)"


@dataclass(frozen=True, kw_only=True)
class Reading:
    """One look at the coordinator's clock.

    offset: what to add to this machine's clock, so that it is not ahead of the coordinator's and
    at most `slack` behind. wall, steady: this machine's clocks at that moment. trouble: the
    server's certificate is not valid yet ("early") or no longer ("late") by this machine's clock,
    so that nothing could be read.
    """

    offset: float = 0.0
    slack: float = 0.0
    wall: float
    steady: float
    trouble: Literal["", "early", "late"] = ""

    @property
    def helps(self) -> bool:
        """Whether the node makes up for what the clock is off."""
        return not self.trouble and abs(self.offset) <= MOST_S

    @property
    def stale(self) -> bool:
        """Whether the clock was set since, or the machine slept: another look is needed."""
        return abs((time.time() - self.wall) - (time.monotonic() - self.steady)) > 1.0

    def now(self) -> float:
        """The coordinator's time, in seconds of Unix time; this machine's where it can't help."""
        if not self.helps:
            return time.time()
        return self.wall + self.offset + (time.monotonic() - self.steady)

    @property
    def complaint(self) -> str:
        """What is wrong with this machine's clock, for people, with what to do; "" for nothing."""
        if self.trouble:
            state = "is not valid yet" if self.trouble == "early" else "is no longer valid"
            here = datetime.fromtimestamp(self.wall, UTC)
            return (
                f"by this machine's clock ({here:%Y-%m-%d %H:%M} UTC) the server's certificate "
                f"{state}: if the clock is wrong, {_REMEDY}; if it is right, tell the coordinator"
            )
        off = abs(self.offset)
        if off <= _WORTH_SAYING_S + self.slack:
            return ""
        way = "behind" if self.offset > 0 else "ahead of"
        said = f"this machine's clock is {span(off)} {way} the coordinator's"
        if self.helps:
            return (
                f"{said}; the node makes up for it, but the times in journal, ledger and logs are "
                f"wrong: {_REMEDY}"
            )
        return f"{said}, and the node makes up for {span(MOST_S)} at most: {_REMEDY}"


def keep(folder: Path, reading: Reading | None) -> None:
    """Keep `reading` in the node's `folder`, for the programs that answer and for `status`."""
    path = folder / _FILE
    if reading is None:
        path.unlink(missing_ok=True)
        return
    content = json.dumps(asdict(reading)).encode()
    with contextlib.suppress(OSError):  # a full disk ends no round
        write_private(path, content, part=f"{os.getpid()}.part", durable=False)


def kept(folder: Path) -> Reading | None:
    """The newest reading, or None."""
    try:
        reading = Reading(**json.loads((folder / _FILE).read_text(encoding="utf-8")))
        numbers = (reading.offset, reading.slack, reading.wall, reading.steady)
        return reading if all(map(math.isfinite, numbers)) else None
    except (OSError, ValueError, TypeError, OverflowError, RecursionError):
        return None


def coordinators_time(folder: Path) -> float:
    """The coordinator's time by the newest reading; this machine's where there is none."""
    reading = kept(folder)
    return time.time() if reading is None else reading.now()
