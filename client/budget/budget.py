"""A site's budget as its ledger has it: spent, left, by run, and what a study would still cost.

Pure but for reading the ledger. What decides is the smaller of two valid bounds, as when a round
is reserved.
"""

from collections.abc import Sequence
from dataclasses import dataclass, fields, is_dataclass
from typing import Any

from client.budget.outlook import Outlook
from client.ledger import History, Ledger, Loss, Reservation, at_most, least_exposures
from client.site import Site
from irene_model.console import known
from irene_model.privacy import Epsilons


@dataclass(frozen=True, kw_only=True)
class RunCost:
    """One run alone; a run of several mechanisms has no single noise multiplier or rate: None.

    rounds, steps and what follows are of its updates; `evaluations` are noised and charged too.
    attempts: at its updates under secure sums, those included that came to nothing; 0 without.
    epsilon_alone: if everybody else colludes; None without.
    """

    run: str
    rounds: int
    evaluations: int
    steps: int
    noise_multiplier: float | None
    sample_rate: float | None
    epsilon: Epsilons
    attempts: int = 0
    epsilon_alone: Epsilons | None = None


@dataclass(frozen=True, kw_only=True)
class BudgetReport:
    """`budget` is None where site.yaml says `none`; its delta is then 1e-5, to have something.

    loss: what was charged for lost ledgers, None where none was. It is in `spent`, and its delta in
    `delta`, beside the budget's.

    budget_alone and spent_alone: the same if everybody else colludes. The first is None where
    site.yaml names none, the second where no attempt at a secure sum was charged either.
    """

    site: str
    budget: float | None
    delta: float
    spent: Epsilons
    runs: tuple[RunCost, ...]
    loss: Loss | None = None
    outlook: Outlook | None = None
    budget_alone: float | None = None
    spent_alone: Epsilons | None = None

    @property
    def left(self) -> float | None:
        """The budget less the smaller bound on what is spent, never below 0."""
        return _left(self.budget, self.spent)

    @property
    def left_alone(self) -> float | None:
        """`left` if everybody else colludes."""
        return None if self.spent_alone is None else _left(self.budget_alone, self.spent_alone)

    def as_json(self) -> dict[str, Any]:
        """Plain mappings and numbers; an infinite epsilon, which JSON has not, is null."""
        left = {"left": plain(self.left), "left_alone": plain(self.left_alone)}
        return {**plain(self), **left}


def read_budget(site: Site) -> BudgetReport:
    """The site's budget and spending; where there is no ledger yet, none is created."""
    budget = None if site.budget == "none" else site.budget
    delta = 1e-5 if budget is None else budget.delta
    history = Ledger.seen(site)
    reservations = () if history is None else history.reservations
    loss = Loss() if history is None else history.loss
    alone = None if budget is None else budget.alone
    return BudgetReport(
        site=site.site,
        budget=None if budget is None else budget.epsilon,
        delta=delta + loss.delta,
        spent=_spent(history, delta),
        loss=loss or None,
        runs=tuple(
            _cost(run, [r for r in reservations if r.run == run], delta)
            for run in dict.fromkeys(r.run for r in reservations)
        ),
        budget_alone=alone,
        spent_alone=None
        if alone is None and not any(r.attempt for r in reservations)
        else _spent(None if history is None else history.if_all_collude, delta),
    )


def _spent(history: History | None, delta: float) -> Epsilons:
    if history is None:
        return Epsilons(rdp=0.0, prv=0.0)
    return history.loss.before(_of(history.reservations, delta))


def _of(charges: Sequence[Reservation], delta: float) -> Epsilons:
    return at_most(least_exposures(charges, delta=delta), delta=delta)


def _left(budget: float | None, spent: Epsilons) -> float | None:
    return None if budget is None else max(0.0, budget - spent.smallest)


def _cost(run: str, reservations: Sequence[Reservation], delta: float) -> RunCost:
    updates = [r for r in reservations if r.split == "train"]
    noises = {r.mechanism.noise_multiplier for r in updates}
    rates = {r.mechanism.sample_rate for r in updates}
    shared = any(r.attempt for r in reservations)
    return RunCost(
        run=run,
        rounds=len({r.round for r in updates}),
        evaluations=len({(r.round, r.split) for r in reservations if r.split != "train"}),
        steps=sum(r.mechanism.steps for r in updates),
        noise_multiplier=noises.pop() if len(noises) == 1 else None,
        sample_rate=rates.pop() if len(rates) == 1 else None,
        epsilon=_of(reservations, delta),
        attempts=sum(r.attempt > 0 for r in updates),
        epsilon_alone=_of([r.if_all_collude for r in reservations], delta) if shared else None,
    )


def plain(value: Any) -> Any:
    """`value` as JSON has it: a float that is not finite is null; two bounds have a smallest."""
    if is_dataclass(value):
        found = {field.name: plain(getattr(value, field.name)) for field in fields(value)}
        if isinstance(value, Epsilons):
            found["smallest"] = plain(value.smallest)
        return found
    if isinstance(value, dict):
        return {key: plain(each) for key, each in value.items()}
    if isinstance(value, tuple):
        return [plain(each) for each in value]
    return known(value) if isinstance(value, float) else value
