"""Whether a new charge fits into the site's budgets. Pure.

There are two: what may be spent against the coordinator with as many colluding sites as a study
names, and what may be spent if everybody else colludes. A charge that is no attempt at a secure sum
counts as it is in both.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from client.ledger.exposures import at_most, concerned
from client.ledger.history import History, Reservation
from client.site import Budget
from irene_model.errors import BudgetExceeded


@dataclass(frozen=True, kw_only=True)
class Bound:
    """At most epsilon `most` at `delta`, of which `lost` is charged for ledgers that were lost.

    what, which: how a refusal calls the epsilon, and its budget.
    """

    most: float
    delta: float
    lost: float
    what: str = "epsilon"
    which: str = "budget"

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
    delta, lost = budget.delta, history.loss
    Bound(most=budget.epsilon, delta=delta, lost=lost.epsilon).check(history.reservations, new)
    if budget.alone is not None:
        Bound(
            most=budget.alone,
            delta=delta,
            lost=lost.alone,
            what="epsilon if everybody else colludes",
            which="budget for that (budget.alone)",
        ).check([each.if_all_collude for each in history.reservations], new.if_all_collude)
    elif new.attempt:
        raise BudgetExceeded(NO_BUDGET_ALONE)


NO_BUDGET_ALONE = (
    "the study's secure sums rely on the noise of other sites, and this site's budget does not say "
    "what may be spent if everybody else colludes: its people can add `alone` to `budget` in "
    "site.yaml"
)
