"""What a study would still cost at a site: one more round, a whole run, how many rounds fit.

Pure but for reading the ledger. What decides is the smaller of two valid bounds, as when a round
is reserved. Under secure sums all is told twice: against the coordinator with the study's number of
colluding sites, and if everybody else colludes.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from client.budget.plan import evaluations_of, plan_round
from client.ledger import Exposures, History, Ledger, least_exposures
from client.site import Site
from irene_model.privacy import Epsilons, Mechanism, Noise, epsilon, epsilons
from irene_model.study import SPLITS, Split, Study


@dataclass(frozen=True, kw_only=True)
class Charged:
    """What was charged: epsilon for lost ledgers, and all that can have touched one patient."""

    lost: float
    exposures: Exposures

    @classmethod
    def of(cls, history: History | None, *, delta: float) -> "Charged":
        """What a ledger says; nothing where there is none yet."""
        if history is None:
            return cls(lost=0.0, exposures=least_exposures((), delta=delta))
        exposures = least_exposures(history.reservations, delta=delta)
        return cls(lost=history.loss.epsilon, exposures=exposures)

    def after(self, *more: Mechanism, split: Split = "train", delta: float) -> Epsilons:
        """Epsilon of the patients of `split` by both bounds, once `more` were charged too."""
        later = epsilons([*self.exposures[split], *more], delta=delta)
        prv = None if later.prv is None else later.prv + self.lost
        return Epsilons(rdp=later.rdp + self.lost, prv=prv)


@dataclass(frozen=True, kw_only=True)
class Ahead:
    """What a study would cost against somebody; `rounds_left` rounds fit into what is left.

    mechanism: one round's. alone: split -> epsilon of a whole run by itself, at the site's delta,
    for all splits that a run charges. after_run: the same after all that is charged already, for
    patients who stay in their split.
    """

    mechanism: Mechanism
    rounds_left: int
    after_next_round: Epsilons
    alone: Mapping[Split, Epsilons]
    after_run: Mapping[Split, Epsilons]

    @property
    def after_all(self) -> float:
        """The ledger's epsilon after a whole run, if all of it fits."""
        return max(each.smallest for each in self.after_run.values())


@dataclass(frozen=True, kw_only=True)
class Outlook(Ahead):
    """What a study would cost here, and under secure sums what if everybody else colludes.

    rounds_left: of the study's `rounds`, those that fit into both budgets. What attempts cost that
    come to nothing is not in it.
    """

    study: str
    declared_patients: int
    rounds: int
    if_all_collude: Ahead | None = None


def charged_so_far(site: Site, *, delta: float) -> tuple[Charged, Charged]:
    """What the ledger of `site` holds, and what it holds if everybody else colludes."""
    history = Ledger.seen(site)
    colluding = None if history is None else history.if_all_collude
    return Charged.of(history, delta=delta), Charged.of(colluding, delta=delta)


def look_ahead(site: Site, study: Study, declared: int) -> Outlook:
    """What one more round of `study` costs after all that is spent, and how many fit.

    Under secure sums with as few sites as may be. Raises ProtocolError as `plan_round` does.
    """
    plan = plan_round(study, declared, 1)
    budget = None if site.budget == "none" else site.budget
    delta = 1e-5 if budget is None else budget.delta
    run: dict[Split, Noise] = {"train": plan.over(study.total_steps)}
    run.update(evaluations_of(site, study))  # type: ignore[arg-type]  # held-out splits are splits
    rounds, (charged, colluding) = study.federation.rounds, charged_so_far(site, delta=delta)
    most = None if budget is None else budget.epsilon
    ahead = _ahead(
        charged,
        plan.mechanism,
        run={split: noise.mechanism for split, noise in run.items()},
        most=most,
        rounds=rounds,
        delta=delta,
    )
    other = None
    if study.federation.secure is not None:
        alone = None if budget is None else budget.alone or 0.0  # without it none is accepted
        other = _ahead(
            colluding,
            plan.alone,
            run={split: noise.alone for split, noise in run.items()},
            most=alone,
            rounds=rounds,
            delta=delta,
        )
    fitting = [each.rounds_left for each in (ahead, other) if each is not None]
    return Outlook(
        study=study.name,
        declared_patients=declared,
        rounds=rounds,
        if_all_collude=other,
        **{**vars(ahead), "rounds_left": min(fitting)},
    )


def _ahead(
    charged: Charged,
    mechanism: Mechanism,
    *,
    run: Mapping[Split, Mechanism],
    most: float | None,
    rounds: int,
    delta: float,
) -> Ahead:
    before = charged.exposures["train"]
    return Ahead(
        mechanism=mechanism,
        rounds_left=rounds
        if most is None
        else rounds_within(most - charged.lost, before, mechanism, delta=delta, most=rounds),
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
