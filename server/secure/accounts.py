"""What the sites of a run have spent, by whichever way the run sums."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from server.runs import RunFolder, spending, spent_until
from server.secure.attempts import Attempts
from server.secure.shared_accounting import shared_spending

Json = dict[str, Any]


@dataclass(frozen=True, kw_only=True)
class Accounts:
    """Of one run. attempts: those at its secure sums; None without secure sums."""

    folder: RunFolder
    attempts: Attempts | None

    def until(self, lines: Sequence[Json], *, last: bool) -> dict[str, Json]:
        """Site -> what its entry in the newest of `lines` says of `epsilon`, and of the other one.

        Before the `last` line it may be a bound (`server.runs.accounting`).
        """
        study, info = self.folder.study, self.folder.info
        if self.attempts is not None:
            both = shared_spending(self.attempts.all(), study, ahead=not last)
            return {
                site: {key: each[key] for key in ("epsilon", "epsilon_alone")}
                for site, each in both.items()
            }
        spent = spent_until(
            lines,
            study,
            start=self.folder.start_told,
            restarted=info.get("restarted", ()),
            last=last,
        )
        return {site: {"epsilon": epsilon} for site, epsilon in spent.items()}

    def whole(self, test: Json) -> Json:
        """The `privacy` of results.json; test: what became of each site's last evaluation."""
        study, info = self.folder.study, self.folder.info
        if self.attempts is not None:
            return dict(shared_spending(self.attempts.all(), study))
        return spending(
            self.folder.rounds(),
            test,
            study,
            start=self.folder.start_told,
            restarted=info.get("restarted", ()),
        )
