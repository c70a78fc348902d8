"""A site's budget as its ledger has it: spent, left, by run, and what a study would still cost.

Pure but for reading the ledger. What decides is the smaller of two valid bounds, as when a round
is reserved.
"""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

from client.budget.plan import plan_round
from client.ledger import Ledger, Reservation, at_most, least_exposures
from client.site import Site
from irene_model.operations import known
from irene_model.privacy import Epsilons, Mechanism, epsilon, epsilons
from irene_model.study import Study


@dataclass(frozen=True, kw_only=True)
class RunCost:
    """One run alone; a run of several mechanisms has no single noise multiplier or rate: None.

    rounds, steps and what follows are of its updates; `evaluations` are noised and charged too.
    """

    run: str
    rounds: int
    evaluations: int
    steps: int
    noise_multiplier: float | None
    sample_rate: float | None
    epsilon: Epsilons


@dataclass(frozen=True, kw_only=True)
class Outlook:
    """What a study would cost here; `rounds_left` of its rounds fit into what is left."""

    study: str
    declared_patients: int
    mechanism: Mechanism
    rounds: int
    rounds_left: int
    after_next_round: Epsilons


@dataclass(frozen=True, kw_only=True)
class BudgetReport:
    """`budget` is None where site.yaml says `none`; then `delta` is 1e-5, to have something."""

    site: str
    budget: float | None
    delta: float
    spent: Epsilons
    runs: tuple[RunCost, ...]
    outlook: Outlook | None = None

    @property
    def left(self) -> float | None:
        """The budget less the smaller bound on what is spent, never below 0."""
        return None if self.budget is None else max(0.0, self.budget - self.spent.smallest)

    def as_json(self) -> dict[str, Any]:
        """Plain mappings and numbers; an infinite epsilon, which JSON has not, is null."""
        document: dict[str, Any] = plain({**asdict(self), "left": self.left})
        document["spent"]["smallest"] = plain(self.spent.smallest)
        for shown, run in zip(document["runs"], self.runs, strict=True):
            shown["epsilon"]["smallest"] = plain(run.epsilon.smallest)
        return document


def read_budget(site: Site) -> BudgetReport:
    """The site's budget and spending; where there is no ledger yet, none is created."""
    budget = None if site.budget == "none" else site.budget
    delta = 1e-5 if budget is None else budget.delta
    reservations = _reservations(site)
    return BudgetReport(
        site=site.site,
        budget=None if budget is None else budget.epsilon,
        delta=delta,
        spent=at_most(least_exposures(reservations, delta=delta), delta=delta),
        runs=tuple(
            _cost(run, [r for r in reservations if r.run == run], delta)
            for run in dict.fromkeys(r.run for r in reservations)
        ),
    )


def charges(site: Site, *, delta: float) -> tuple[Mechanism, ...]:
    """All that can have touched one training patient; nothing where there is no ledger yet."""
    return least_exposures(_reservations(site), delta=delta)["train"]


def _reservations(site: Site) -> Sequence[Reservation]:
    return Ledger.of(site).reservations() if site.resolve(site.ledger).exists() else ()


def look_ahead(site: Site, study: Study, declared: int) -> Outlook:
    """What one more round of `study` costs after all that is spent, and how many fit.

    Raises ProtocolError as `plan_round` does.
    """
    mechanism = plan_round(study, declared, 1).mechanism
    budget = None if site.budget == "none" else site.budget
    rounds = study.federation.rounds
    delta = 1e-5 if budget is None else budget.delta
    charged = charges(site, delta=delta)
    fitting = rounds
    if budget is not None:
        fitting = rounds_within(budget.epsilon, charged, mechanism, delta=delta, most=rounds)
    return Outlook(
        study=study.name,
        declared_patients=declared,
        mechanism=mechanism,
        rounds=rounds,
        rounds_left=fitting,
        after_next_round=epsilons([*charged, mechanism], delta=delta),
    )


def rounds_within(
    budget: float, charged: Sequence[Mechanism], mechanism: Mechanism, *, delta: float, most: int
) -> int:
    """How many rounds of `mechanism`, at most `most`, fit after `charged`."""

    def fits(rounds: int) -> bool:
        after = [*charged, *[mechanism] * rounds]
        if epsilon(after, delta=delta) <= budget:
            return True  # RDP is quick, and its word is enough
        return epsilons(after, delta=delta).smallest <= budget

    low, high = 0, most + 1  # `low` fits, `high` does not: epsilon grows with rounds
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (middle, high) if fits(middle) else (low, middle)
    return low


def _cost(run: str, reservations: Sequence[Reservation], delta: float) -> RunCost:
    mechanisms = [r.mechanism for r in reservations if r.split == "train"]
    noises = {m.noise_multiplier for m in mechanisms}
    rates = {m.sample_rate for m in mechanisms}
    return RunCost(
        run=run,
        rounds=len(mechanisms),
        evaluations=len(reservations) - len(mechanisms),
        steps=sum(m.steps for m in mechanisms),
        noise_multiplier=noises.pop() if len(noises) == 1 else None,
        sample_rate=rates.pop() if len(rates) == 1 else None,
        epsilon=at_most(least_exposures(reservations, delta=delta), delta=delta),
    )


def plain(value: Any) -> Any:
    """`value` as JSON has it: a float that is not finite is null."""
    if isinstance(value, dict):
        return {key: plain(each) for key, each in value.items()}
    if isinstance(value, tuple):
        return [plain(each) for each in value]
    return known(value) if isinstance(value, float) else value
