"""One round's plan at one site: noise, sampling rate, steps, learning rate; and its evaluations.

It follows from the study and the site's public size alone. No message can lower the noise: the
server sends a study, and the site computes its own multiplier from it.
"""

import contextlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypedDict

from client.ledger import NO_BUDGET_ALONE
from client.site import Site, check_epsilon, check_noise, check_study
from irene_model.errors import LimitExceeded, MetricsWithheld, ProtocolError
from irene_model.privacy import (
    Mechanism,
    Noise,
    epsilon,
    epsilons,
    evaluation_noise,
    noise_multiplier_for,
    noise_of,
)
from irene_model.study import HELD_OUT, HeldOut, Study, site_rate

if TYPE_CHECKING:  # it brings torch along
    from client.records import SiteDataset


@dataclass(frozen=True, kw_only=True)
class Plan(Noise):
    """One round at one site, from the study and the site's public size alone.

    expected_batch: under secure sums that of all sites together, by which their sum is divided.
    """

    clip_norm: float
    expected_batch: float
    declared_patients: int
    learning_rate: float


def declared_patients(site: Site, dataset: "SiteDataset") -> int:
    """The training cohort's public size: declared by the site, or its count rounded.

    Rounded to two significant digits, never finer than tens and at least 10: 4 becomes 10, 73
    becomes 70 and 1470 becomes 1500. 0 where there are no patients. At a site that only evaluates
    it is the size of all that it holds out.
    """
    return declared_size(site, sum(len(dataset.patients[split]) for split in site.declared_splits))


def declared_size(site: Site, count: int) -> int:
    """`declared_patients` of a cohort of `count` training patients."""
    if site.declared_patients is not None or count == 0:
        return site.declared_patients or 0
    step: int = 10 ** max(1, len(str(count)) - 2)
    return max(10, round(count / step) * step)


def permitted_plan(
    site: Site, study: Study, declared: int, round: int, *, sites: int | None = None
) -> Plan:
    """`plan_round`, where the site's limits allow all that comes of a run; else LimitExceeded.

    A run's epsilon is that of training or of an evaluation's patients, whichever is more, and is
    judged at the delta of the site's budget: a study could name a larger one, at which any noise
    seems to be enough. Under secure sums it is judged with the fewest sites that may be in one.
    """
    check_study(site.limits, study)
    _check_relying(site, study)
    plan = plan_round(study, declared, round)
    check_noise(
        site.limits,
        noise_multiplier=plan.mechanism.noise_multiplier,
        **_of_run(site, study, plan.over(study.total_steps)),
    )
    if (site.limits.largest_epsilon, site.limits.largest_epsilon_alone) != (None, None):
        for split, noise in evaluations_of(site, study).items():
            check_epsilon(site.limits, **_of_run(site, study, noise), of=f" of {split} patients")
    return plan if sites is None else plan_round(study, declared, round, sites=sites)


def permitted_evaluation(
    site: Site, study: Study, split: HeldOut, round: int, *, sites: int | None = None
) -> Noise:
    """The noise of one evaluation, which the study names and the site allows; 0: exact.

    Raises ProtocolError for one that the study does not have, LimitExceeded for too little noise
    or a run's epsilon beyond the limits, and MetricsWithheld where the site sends no such metrics.
    """
    check_study(site.limits, study)
    _check_relying(site, study)
    if not study.evaluates(split, round):
        raise ProtocolError(f"the study evaluates no {split} patients after round {round}")
    if site.metrics == "off":
        raise MetricsWithheld("metrics are turned off at this site")
    noise = noise_of(study, evaluation_noise(study, split), sample_rate=1.0, steps=1, sites=sites)
    if not noise.private:
        if site.metrics == "private":
            raise MetricsWithheld(
                "this site sends metrics with noise only, and the study asks for exact ones"
            )
        return noise
    whole = evaluations_of(site, study)[split]
    check_noise(
        site.limits,
        noise_multiplier=whole.mechanism.noise_multiplier,
        **_of_run(site, study, whole),
        of=f" of {split} patients",
    )
    return noise


def evaluations_of(site: Site, study: Study) -> dict[HeldOut, Noise]:
    """The noise of a whole run's evaluations at this site, together, for each split.

    One that is not charged is left out: what the site does not send, what is exact, and what asks
    for an epsilon that no noise reaches.
    """
    found: dict[HeldOut, Noise] = {}
    for split in HELD_OUT if site.metrics != "off" else ():
        with contextlib.suppress(ProtocolError):
            if noise := evaluation_noise(study, split):
                found[split] = noise_of(
                    study, noise, sample_rate=1.0, steps=study.evaluations(split)
                )
    return found


def _check_relying(site: Site, study: Study) -> None:
    """Raise LimitExceeded for secure sums at a site that says nothing of what they may spend."""
    if study.federation.secure and site.budget != "none" and site.budget.alone is None:
        raise LimitExceeded(NO_BUDGET_ALONE)


class _OfRun(TypedDict):
    epsilon: float
    alone: float


def _of_run(site: Site, study: Study, run: Noise) -> _OfRun:
    """Both epsilons of `run` at the site's delta, as exactly as the limits need them."""
    delta, limits = site_delta(site, study), site.limits

    def spent(mechanism: Mechanism, most: float | None) -> float:
        found = epsilon([mechanism], delta=delta)
        if most is not None and found > most:  # only now the tighter accountant: it takes seconds
            found = epsilons([mechanism], delta=delta).smallest
        return found

    return {
        "epsilon": spent(run.mechanism, limits.largest_epsilon),
        "alone": spent(run.alone, limits.largest_epsilon_alone),
    }


def site_delta(site: Site, study: Study) -> float:
    """The delta at which a site judges what a study costs: its budget's, if it has one."""
    return study.privacy.delta if site.budget == "none" else site.budget.delta


def plan_round(study: Study, declared: int, round: int, *, sites: int | None = None) -> Plan:
    """What the study asks of a site of `declared` training patients in `round` (from 1).

    Under secure sums all sites have one rate, whatever their size; `sites` are in the round's sum,
    None: as few as may be.

    Raises ProtocolError for a round that the study does not have, for an epsilon that no noise
    reaches, and for a number of sites that the study does not allow.
    """
    if not 1 <= round <= study.federation.rounds:
        raise ProtocolError(f"the study has no round {round}; it has {study.federation.rounds}")
    batch, privacy, secure = study.training.expected_batch, study.privacy, study.federation.secure
    rate = min(1.0, batch / (declared if secure is None else secure.patients))
    noise = privacy.noise_multiplier
    if noise is None:
        assert privacy.epsilon is not None  # Privacy demands one of the two
        try:
            noise = noise_multiplier_for(
                privacy.epsilon, delta=privacy.delta, sample_rate=rate, steps=study.total_steps
            )
        except ValueError as error:
            raise ProtocolError(f"the study's {error}") from None
    of_round = noise_of(
        study, noise, sample_rate=rate, steps=study.federation.local_steps, sites=sites
    )
    return Plan(
        mechanism=of_round.mechanism,
        share=of_round.share,
        clip_norm=privacy.clip_norm,
        expected_batch=rate * declared if secure is None else batch,
        declared_patients=declared,
        learning_rate=site_rate(study, round),
    )
