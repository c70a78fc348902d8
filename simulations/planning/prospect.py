"""What a study's numbers amount to: the noise of each site, and what it leaves to be learned. Pure.

The same for a proposal and for what stands in a study now, by the mechanisms that a client charges.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from client.budget import plan_round
from irene_model.privacy import Share, doubt, evaluation_noise, noise_of, signal_to_noise
from irene_model.study import Study
from irene_model.weights import footprint
from simulations.planning.public import Public
from simulations.planning.rule import gaussian, look_error


@dataclass(frozen=True, kw_only=True)
class Prospect:
    """noise: site -> the noise multiplier that it accounts for; even_noise: one for all sites
    that would come to the same. step_noise: the norm of the noise
    of a step's mean gradient over the clip norm. ratio: of signal to noise over the run, infinite
    without noise. passes: how often each patient is seen, over all. doubt: what is against it.
    look_error: what noise does to a macro AUROC by which rounds are chosen.
    """

    trained: int
    noise: Mapping[str, float]
    even_noise: float
    step_noise: float
    ratio: float
    passes: float
    evaluations: int
    look_error: float
    doubt: str | None

    @property
    def private(self) -> bool:
        """Whether there is any noise."""
        return any(self.noise.values())


def prospect_of(study: Study, public: Public) -> Prospect:
    """What `study` amounts to with these sites.

    Raises ProtocolError for an epsilon that no noise reaches, ConfigError for sizes that make no
    model.
    """
    trained, steps = footprint(study).trained, study.total_steps
    plans = {name: plan_round(study, size, 1) for name, size in public.sites.items()}
    noise = {name: plan.mechanism.noise_multiplier for name, plan in plans.items()}
    secure = study.federation.secure
    if secure is None:
        batches = {name: plan.expected_batch for name, plan in plans.items()}
        weights = _weights(public.sites, study.federation.largest_share)
    else:  # one noise: that of all shares
        first = next(iter(plans.values()))
        joint = first.share * math.sqrt(len(plans))
        noise_of_sum, batches = {"all": joint}, {"all": first.expected_batch}
        weights = {"all": 1.0}
    of_step = noise if secure is None else noise_of_sum
    shares = [
        Share(weight=weights[name], noise_multiplier=of_step[name], expected_batch=batches[name])
        for name in batches
    ]
    ratio = signal_to_noise(shares, steps=steps, parameters=trained)
    seen = [plan.mechanism.sample_rate * public.sites[name] for name, plan in plans.items()]
    return Prospect(
        trained=trained,
        noise=noise,
        even_noise=_even(shares) if secure is None else first.mechanism.noise_multiplier,
        step_noise=0.0 if math.isinf(ratio) else math.sqrt(steps) / ratio,
        ratio=ratio,
        passes=steps * sum(seen) / public.patients,
        evaluations=study.evaluations("validation"),
        look_error=_error(study, public, evaluation_noise(study, "validation")),
        doubt=doubt(ratio),
    )


def _even(shares: Sequence[Share]) -> float:
    each = [share.weight / share.expected_batch for share in shares]
    whole = math.hypot(*(part * s.noise_multiplier for part, s in zip(each, shares, strict=True)))
    return whole / math.hypot(*each)


def looks_by_number(study: Study, public: Public, most: int) -> list[float]:
    """`look_error` if the study had one evaluation, two and so on up to `most`."""
    asked = study.evaluation_noise
    if asked.noise_multiplier is not None:
        return [_error(study, public, asked.noise_multiplier)] * most
    assert asked.epsilon is not None  # Privacy demands one of the two
    mu = gaussian(asked.epsilon, study.privacy.delta)  # everybody is in each: no more than Gaussian
    return [_error(study, public, math.sqrt(number) / mu) for number in range(1, most + 1)]


def _error(study: Study, public: Public, planned: float) -> float:
    """The deviation that noise gives the macro AUROC of all sites' validation patients."""
    each = noise_of(study, planned, sample_rate=1.0, steps=1).share
    return look_error(
        deviation=each * math.sqrt(len(public.sites) * len(study.labels)),
        patients=public.judged,
        prior=study.model.prior,
        labels=len(study.labels),
    )


def _weights(sites: Mapping[str, int], largest: float) -> dict[str, float]:
    """A site's weight in the mean, of which none has more than `largest` beside others."""
    whole = sum(sites.values())
    found = {name: size / whole for name, size in sites.items()}
    top = max(found, key=lambda name: found[name])
    if len(found) > 1 and found[top] > largest:
        others = 1 - found[top]
        found = {name: share * (1 - largest) / others for name, share in found.items()}
        found[top] = largest
    return found
