"""What the sites of a run have declared of themselves in updates that were judged good.

A cohort's size weighs an update and says what noise it has, so a site may not choose it anew for
each round; and what it says later, of its held-out patients, must fit it.
"""

import math
from collections.abc import Iterable
from dataclasses import dataclass, field

from irene_model.errors import ProtocolError

COHORT_FACTOR = 2.0  # patients join and leave, and a rounded count jumps


@dataclass
class Declared:
    """Of each site by name: the first cohort that it declared, and the labels that it has now.

    evaluators: of those that never train, the number of their held-out patients.
    """

    cohorts: dict[str, float] = field(default_factory=dict)
    labels: dict[str, str] = field(default_factory=dict)
    evaluators: dict[str, float] = field(default_factory=dict)

    def note(self, site: str, cohort: float, labels: str) -> None:
        """Remember what a good update said."""
        self.cohorts.setdefault(site, cohort)
        self.labels[site] = labels

    def check_cohort(self, site: str, cohort: float) -> None:
        """Raise ProtocolError where `cohort` is far from what the site declared first."""
        first = self.cohorts.get(site, cohort)
        if not first / COHORT_FACTOR <= cohort <= first * COHORT_FACTOR:
            raise ProtocolError(
                f"the site declares {cohort:g} patients and declared {first:g} before in this run"
            )

    def most_held_out(self, site: str) -> float | None:
        """The patients whom `site` may hold out in a split: at most twice those it trains on.

        One that has declared none may have as many as the smallest of the others; None where
        nobody has declared any. One that only evaluates: twice what it says of itself, and no more
        than all that train together, so that it alone does not outvote them.
        """
        if site in self.evaluators:
            all_others = sum(self.cohorts.values()) or math.inf
            return COHORT_FACTOR * min(self.evaluators[site], all_others)
        cohorts: Iterable[float] = self.cohorts.values()
        declared = self.cohorts.get(site, min(cohorts, default=None))
        return None if declared is None else COHORT_FACTOR * declared
