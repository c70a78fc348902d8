"""Which sites are left out of attempts for a while, since they cost some.

Each attempt that a site spoils is charged to all others, so a site that does so again and again
would spend their budgets. After its k-th spoilt attempt it is left out of this round and of the
2^(k-1) - 1 next ones: in R rounds it costs about log2 R attempts and not R. One without budget left
stays out. Where fewer sites would be left than the study needs, those that are left out take part
again.
"""

from collections.abc import Iterable
from typing import Any

Json = dict[str, Any]
_FOR_GOOD = ("budget", "metrics")  # codes of replies that no later round changes


class Benched:
    """The sites of one run that cost an attempt; of training, or of evaluations."""

    def __init__(self, rounds: Iterable[tuple[int, Json]] = ()) -> None:
        """rounds: those so far, each with its attempts (`secure`) and its `sites`."""
        self._spoilt: dict[str, int] = {}
        self._until: dict[str, int] = {}
        self._entries: dict[str, Json] = {}
        self._for_good: set[str] = set()
        for round, told in rounds:
            for attempt in told.get("secure") or ():
                for site, reason in (attempt.get("blamed") or {}).items():
                    entry = (told.get("sites") or {}).get(site)
                    self.note(site, round, entry or {"outcome": "failed", "reason": reason})

    def note(self, site: str, round: int, entry: Json) -> None:
        """`site` spoilt an attempt in `round`; `entry` is what the line says of it."""
        self._spoilt[site] = self._spoilt.get(site, 0) + 1
        self._until[site] = round + 2 ** (min(self._spoilt[site], 20) - 1)
        self._entries[site] = {k: entry[k] for k in ("outcome", "reason", "code") if k in entry}
        if entry.get("code") in _FOR_GOOD:
            self._for_good.add(site)

    def resting(self, round: int) -> dict[str, Json]:
        """Those that are left out of `round`: site -> its entry in the line."""
        return {
            site: {**entry, "asked": False}
            for site, entry in self._entries.items()
            if site in self._for_good or round < self._until[site]
        }

    def for_good(self) -> dict[str, Json]:
        """Those that no need brings back, as `resting`."""
        return {site: {**self._entries[site], "asked": False} for site in sorted(self._for_good)}
