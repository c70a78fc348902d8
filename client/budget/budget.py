"""A site's budget as its ledger has it: spent, left, by run, and what a study would still cost.

Pure but for reading the ledger. What decides is the smaller of two valid bounds, as when a round
is reserved.
"""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

from client.budget.plan import evaluations_of, plan_round
from client.ledger import Exposures, Ledger, Loss, Reservation, at_most, least_exposures
from client.site import Site
from irene_model.console import known
from irene_model.privacy import Epsilons, Mechanism, epsilon, epsilons
from irene_model.study import SPLITS, Split, Study


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
class Charged:
    """What was charged: for lost ledgers, and after that all that can have touched one patient."""

    loss: Loss
    exposures: Exposures

    def after(self, *more: Mechanism, split: Split = "train", delta: float) -> Epsilons:
        """Epsilon of the patients of `split` by both bounds, once `more` were charged too."""
        return self.loss.before(epsilons([*self.exposures[split], *more], delta=delta))


@dataclass(frozen=True, kw_only=True)
class Outlook:
    """What a study would cost here; `rounds_left` of its rounds fit into what is left.

    mechanism: one round's. alone: split -> epsilon of a whole run by itself, at the site's delta,
    for all splits that a run charges. after_run: the same after all that is charged already, for
    patients who stay in their split.
    """

    study: str
    declared_patients: int
    mechanism: Mechanism
    rounds: int
    rounds_left: int
    after_next_round: Epsilons
    alone: Mapping[Split, Epsilons]
    after_run: Mapping[Split, Epsilons]

    @property
    def after_all(self) -> float:
        """The ledger's epsilon after a whole run, if all of it fits."""
        return max(each.smallest for each in self.after_run.values())


@dataclass(frozen=True, kw_only=True)
class BudgetReport:
    """`budget` is None where site.yaml says `none`; its delta is then 1e-5, to have something.

    loss: what was charged for lost ledgers, None where none was. It is in `spent`, and its delta in
    `delta`, beside the budget's.
    """

    site: str
    budget: float | None
    delta: float
    spent: Epsilons
    runs: tuple[RunCost, ...]
    loss: Loss | None = None
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
    history = Ledger.seen(site)
    reservations = () if history is None else history.reservations
    loss = Loss() if history is None else history.loss
    return BudgetReport(
        site=site.site,
        budget=None if budget is None else budget.epsilon,
        delta=delta + loss.delta,
        spent=loss.before(at_most(least_exposures(reservations, delta=delta), delta=delta)),
        loss=loss or None,
        runs=tuple(
            _cost(run, [r for r in reservations if r.run == run], delta)
            for run in dict.fromkeys(r.run for r in reservations)
        ),
    )


def charged_so_far(site: Site, *, delta: float) -> Charged:
    """What the ledger of `site` holds; nothing where there is none yet."""
    history = Ledger.seen(site)
    if history is None:
        return Charged(loss=Loss(), exposures=least_exposures((), delta=delta))
    return Charged(loss=history.loss, exposures=least_exposures(history.reservations, delta=delta))


def look_ahead(site: Site, study: Study, declared: int) -> Outlook:
    """What one more round of `study` costs after all that is spent, and how many fit.

    Raises ProtocolError as `plan_round` does.
    """
    mechanism = plan_round(study, declared, 1).mechanism
    budget = None if site.budget == "none" else site.budget
    rounds = study.federation.rounds
    delta = 1e-5 if budget is None else budget.delta
    charged = charged_so_far(site, delta=delta)
    run: dict[Split, Mechanism] = {"train": replace(mechanism, steps=study.total_steps)}
    run.update({split: noise.mechanism for split, noise in evaluations_of(site, study).items()})
    fitting = rounds
    if budget is not None:
        left, before = budget.epsilon - charged.loss.epsilon, charged.exposures["train"]
        fitting = rounds_within(left, before, mechanism, delta=delta, most=rounds)
    return Outlook(
        study=study.name,
        declared_patients=declared,
        mechanism=mechanism,
        rounds=rounds,
        rounds_left=fitting,
        after_next_round=charged.after(mechanism, delta=delta),
        alone={split: epsilons([whole], delta=delta) for split, whole in run.items()},
        after_run={
            s: charged.after(*[run[s]] if s in run else [], split=s, delta=delta) for s in SPLITS
        },
    )


def rounds_within(
    budget: float, charged: Sequence[Mechanism], mechanism: Mechanism, *, delta: float, most: int
) -> int:
    """How many rounds of `mechanism`, at most `most`, fit after `charged`."""

    def fits(rounds: int) -> bool:
        more = [replace(mechanism, steps=rounds * mechanism.steps)] if rounds else []
        after = [*charged, *more]
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
