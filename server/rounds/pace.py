"""How long to wait for each site: what its own history predicts, up to the study's deadline.

A slow site gets the time that it needs, and a fast one that dies holds nobody for long.
"""

from collections import deque
from collections.abc import Iterable, Mapping
from typing import Any

_REMEMBERED = 5  # rounds
_MARGIN = 3.0
_FLOOR_S = 60.0  # a client process that starts on a busy machine
_LATE, _LATE_S = 1.5, 15.0


class Pace:
    """Seconds that each site took lately, from sending to reply."""

    def __init__(self, lines: Iterable[Mapping[str, Any]], *, deadline_s: float) -> None:
        """`lines` are the run's rounds so far; `deadline_s` is the most that any site gets."""
        self._deadline_s = deadline_s
        self._seconds: dict[str, deque[float]] = {}
        for line in lines:
            for site, entry in line["sites"].items():
                if "waited_s" in entry:
                    self.took(site, entry["waited_s"])
            for entry in line.get("late", ()):
                self.took(entry["site"], entry["waited_s"])

    def took(self, site: str, seconds: float) -> None:
        """`site` answered after `seconds`."""
        self._seconds.setdefault(site, deque(maxlen=_REMEMBERED)).append(seconds)

    def overdue_s(self, site: str) -> float:
        """After so long a reply is overdue and its message may be lost."""
        known = self._seconds.get(site)
        return self._deadline_s / 2 if not known else _LATE_S + _LATE * max(known)

    def patience_s(self, site: str) -> float:
        """A minute more than three times its slowest reply of the last five; all for a new site."""
        known = self._seconds.get(site)
        if not known:
            return self._deadline_s
        return min(self._deadline_s, _FLOOR_S + _MARGIN * max(known))
