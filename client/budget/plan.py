"""One round's plan at one site: noise, sampling rate, steps, learning rate.

It follows from the study and the site's public size alone. No message can lower the noise: the
server sends a study, and the site computes its own multiplier from it.
"""

from dataclasses import dataclass, replace

from client.records import SiteDataset
from client.site import Site, check_noise, check_study
from irene_model.errors import ProtocolError
from irene_model.privacy import Mechanism, epsilon, epsilons, noise_multiplier_for
from irene_model.study import Study, site_rate


@dataclass(frozen=True, kw_only=True)
class Plan:
    """One round at one site, from the study and the site's public size alone."""

    mechanism: Mechanism
    clip_norm: float
    expected_batch: float
    declared_patients: int
    learning_rate: float

    @property
    def private(self) -> bool:
        """Whether there is noise; without it there is no clipping either."""
        return self.mechanism.noise_multiplier > 0


def declared_patients(site: Site, dataset: SiteDataset) -> int:
    """The training cohort's public size: declared by the site, or its count rounded.

    Rounded to two significant digits, never finer than tens and at least 10: 4 becomes 10, 73
    becomes 70 and 1470 becomes 1500. 0 where there are no patients.
    """
    return declared_size(site, len(dataset.patients["train"]))


def declared_size(site: Site, count: int) -> int:
    """`declared_patients` of a cohort of `count` training patients."""
    if site.declared_patients is not None or count == 0:
        return site.declared_patients or 0
    step: int = 10 ** max(1, len(str(count)) - 2)
    return max(10, round(count / step) * step)


def permitted_plan(site: Site, study: Study, declared: int, round: int) -> Plan:
    """`plan_round`, where the site's limits allow what comes of it; else LimitExceeded.

    A run's epsilon is judged at the delta of the site's budget: a study could name a larger one,
    at which any noise seems to be enough.
    """
    check_study(site.limits, study)
    plan = plan_round(study, declared, round)
    run = [replace(plan.mechanism, steps=study.total_steps)]
    delta = study.privacy.delta if site.budget == "none" else site.budget.delta
    spent, most = epsilon(run, delta=delta), site.limits.largest_epsilon
    if most is not None and spent > most:  # only now ask the tighter accountant: it takes seconds
        spent = epsilons(run, delta=delta).smallest
    check_noise(site.limits, noise_multiplier=plan.mechanism.noise_multiplier, epsilon=spent)
    return plan


def plan_round(study: Study, declared: int, round: int) -> Plan:
    """What the study asks of a site of `declared` training patients in `round` (from 1).

    Raises ProtocolError for a round that the study does not have, and for an epsilon that no
    noise reaches.
    """
    if not 1 <= round <= study.federation.rounds:
        raise ProtocolError(f"the study has no round {round}; it has {study.federation.rounds}")
    batch, privacy = study.training.expected_batch, study.privacy
    rate = min(1.0, batch / declared)
    noise = privacy.noise_multiplier
    if noise is None:
        assert privacy.epsilon is not None  # Privacy demands one of the two
        try:
            noise = noise_multiplier_for(
                privacy.epsilon, delta=privacy.delta, sample_rate=rate, steps=study.total_steps
            )
        except ValueError as error:
            raise ProtocolError(f"the study's {error}") from None
    return Plan(
        mechanism=Mechanism(
            noise_multiplier=noise, sample_rate=rate, steps=study.federation.local_steps
        ),
        clip_norm=privacy.clip_norm,
        expected_batch=rate * declared,
        declared_patients=declared,
        learning_rate=site_rate(study, round),
    )
