"""How many rounds of the run each site's ledger has told that it charged; such a count never falls.

A reply tells it, and the next message tells it back: the site's own ledger, if it is an older copy,
has no other way to learn what it lost. A count that falls is a ledger that was lost. It is said in
the round's line, in the log, on the terminal and in the report, and ends nothing: what the site
spent until then is counted here from its replies (`server.runs.accounting`).
"""

import logging
from collections.abc import Iterable

from server.runs import Json

_log = logging.getLogger(__name__)


class Charged:
    """The counts of one run's sites."""

    def __init__(self, lines: Iterable[Json], *, most: int) -> None:
        """lines: the run's rounds so far. most: the study's rounds; no count is more."""
        self._most = most
        self._rounds: dict[str, int] = {}
        for line in lines:
            for site, entry in line["sites"].items():
                self._remember(site, entry)

    def rounds(self, site: str) -> int:
        """The largest count that `site` has told; 0 before the first."""
        return self._rounds.get(site, 0)

    def heard(self, site: str, entry: Json) -> Json:
        """What the round's line has to say besides `entry`, which holds a reply's count."""
        count, before = entry.get("rounds_charged"), self.rounds(site)
        self._remember(site, entry)
        if not isinstance(count, int) or count >= before:
            return {}
        said = (
            f"its ledger counted {before} rounds of this run before and {count} now: it was lost "
            "or is an older copy"
        )
        _log.warning("site %s: %s", site, said)
        return {"ledger": said}

    def _remember(self, site: str, entry: Json) -> None:
        count = entry.get("rounds_charged")
        if isinstance(count, int):
            self._rounds[site] = max(self.rounds(site), min(count, self._most))
