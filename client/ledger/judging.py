"""Whether a new charge fits into the site's budgets. Pure.

There are two: what may be spent against the coordinator with as many colluding sites as a study
names, and what may be spent if everybody else colludes. A charge that is no attempt at a secure sum
counts as it is in both. A run's rounds are known before it begins and its attempts are not, so the
limits on what a run may spend are judged here too, for each attempt.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from client.ledger.exposures import at_most, concerned
from client.ledger.history import History, Reservation
from client.site import Budget, Limits
from irene_model.errors import BudgetExceeded

_DELTA = 1e-5  # of limits, where no budget names one
_COLLUDING = "epsilon if everybody else colludes"
NO_BUDGET_ALONE = (
    "the study's secure sums rely on the noise of other sites, and this site's budget does not say "
    "what may be spent if everybody else colludes: its people can add `alone` to `budget` in "
    "site.yaml, and `irene-client budget SITE.yaml --study STUDY.yaml` says what a run spends"
)


@dataclass(frozen=True, kw_only=True)
class Bound:
    """At most epsilon `most` at `delta`, of which `lost` is charged for ledgers that were lost.

    what: how a refusal calls the epsilon; which: what bounds it.
    """

    most: float
    delta: float
    what: str
    which: str
    lost: float = 0.0

    def check(self, charges: Sequence[Reservation], new: Reservation) -> None:
        """Raise BudgetExceeded where `new`, after `charges`, is too much for those it reads."""
        after, exposures = concerned(charges, new, delta=self.delta)
        if self.lost + after > self.most:  # only now the tighter accountant: seconds
            after = at_most(exposures, delta=self.delta).smallest
        if self.lost + after > self.most:
            why = f", {self.lost:g} of it for a ledger that was lost," if self.lost else ""
            raise BudgetExceeded(
                f"the round would bring {self.what} to {self.lost + after:.2f}{why} and the site's "
                f"{self.which} is {self.most:g} at delta {self.delta:g}"
            )


def check_budgets(budget: Budget | None, history: History, new: Reservation) -> None:
    """Raise BudgetExceeded where `new` would exceed one of both for a patient whom it reads."""
    if budget is None:
        return
    if new.attempt and budget.alone is None:
        raise BudgetExceeded(NO_BUDGET_ALONE)
    for most, what, which, known, asked in (
        (budget.epsilon, "epsilon", "budget", history, new),
        (budget.alone, _COLLUDING, "budget.alone", history.if_all_collude, new.if_all_collude),
    ):
        if most is not None:
            bound = Bound(
                most=most, delta=budget.delta, lost=known.loss.epsilon, what=what, which=which
            )
            bound.check(known.reservations, asked)


def check_limits(limits: Limits, budget: Budget | None, history: History, new: Reservation) -> None:
    """Raise BudgetExceeded where `new` is one attempt too many for what a run may spend."""
    if not new.attempt:
        return
    delta = _DELTA if budget is None else budget.delta
    for most, what, which, known, asked in (
        (limits.largest_epsilon, "epsilon", "limits.largest_epsilon", history, new),
        (
            limits.largest_epsilon_alone,
            _COLLUDING,
            "limits.largest_epsilon_alone",
            history.if_all_collude,
            new.if_all_collude,
        ),
    ):
        if most is not None:
            bound = Bound(most=most, delta=delta, what=f"the run's {what}", which=which)
            bound.check([each for each in known.reservations if each.run == new.run], asked)
