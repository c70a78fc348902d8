"""How large an honest update can be. Pure: what follows from the study's own arithmetic.

Legend: s local steps of rate η, C the clip norm, σ the noise multiplier, b the expected batch, d
the number of trained parameters, w the round's weights.

SGD with noise. A step is -η (S + N) / b: S is a sum of n clipped gradients, so ‖S‖ ≤ n C, and N is
normal with deviation σC in each of d coordinates. n is a Poisson-sampled number. Its mean is at
most a = 1.5 b, where a cohort is at most half as large again as it is declared (14 patients are
declared as 10), and it is above m = a + 6√a + 24 with a chance below e^-18 (Bernstein). Over s
steps the noises add up to one of deviation σC√s, whose norm is above σC√s (√d + 8) with a chance
below e^-32 (concentration of Lipschitz functions of normal numbers). So

    ‖Δ‖ ≤ η / b · (s m C + σ C √s (√d + 8)).

AdamW, with noise or without. In each coordinate a step moves by η |m̂| / √v̂ at most. With
m = (1-β₁) Σ β₁^(t-i) gᵢ and v = (1-β₂) Σ β₂^(t-i) gᵢ², Cauchy and Schwarz give

    |m̂ₜ| / √v̂ₜ ≤ Rₜ = (1-β₁)/(1-β₁ᵗ) · √((1-β₂ᵗ)/(1-β₂) · Σᵢ (β₁²/β₂)^(t-i)),

1 at the first step, whatever the gradients are. Decay λ adds η λ ‖w‖ a step. This bound is certain.

FedProx. Its pull to w shrinks ‖Δ‖ in SGD where η μ ≤ 2, and is one more gradient to AdamW: neither
bound changes. SGD without noise is not clipped and has no bound of its own: there the run's other
updates are the measure, see `from_experience`, and before there are any, the weights themselves.

The bound of SGD grows as 1 / b, and b is at most what a site declares: an honest site of one
patient divides its noise by 1. Times the site's weight it does not grow, so a mean over fewer than
`least_weight` patients is taken as one over so many, and nothing that a site says of its size lets
it move a parameter further than a site of the expected batch may.
"""

import math
from collections.abc import Sequence

import numpy as np

from irene_model.study import Study, site_rate

_MARGIN = 1.02  # rounding: of the lattice, of float32 and of what travels
_UNDERSTATED = 1.5
_BETA_1, _BETA_2 = 0.9, 0.999  # torch's AdamW
_TIMES_THE_MEDIAN = 10.0
_ENOUGH = 3


def largest_norm(
    study: Study,
    round: int,
    *,
    parameters: int,
    weights_norm: float,
    noise_multiplier: float,
    expected_batch: float,
) -> float | None:
    """The bound on the norm of an update of `parameters` numbers; None where there is none.

    weights_norm: of the trained part of the round's weights. noise_multiplier and expected_batch
    are the site's.
    """
    steps, rate = study.federation.local_steps, site_rate(study, round)
    if study.training.optimizer == "adamw":
        moves = rate * math.sqrt(parameters) * sum(map(_adam_ratio, range(1, steps + 1)))
        shrink = rate * study.training.weight_decay * steps * (weights_norm + moves)
        return _MARGIN * (moves + shrink)
    if noise_multiplier == 0 or rate * study.federation.proximal_mu > 2:
        return None
    clip = study.privacy.clip_norm
    mean = _UNDERSTATED * expected_batch
    most = mean + 6 * math.sqrt(mean) + 24
    noise = noise_multiplier * math.sqrt(steps) * (math.sqrt(parameters) + 8)
    return _MARGIN * rate * clip / expected_batch * (steps * most + noise)


def from_experience(norms: Sequence[float]) -> float | None:
    """Ten times the median of the run's latest accepted norms; None before there are three."""
    known = [norm for norm in norms if norm > 0]
    return _TIMES_THE_MEDIAN * float(np.median(known)) if len(known) >= _ENOUGH else None


def from_weights(weights_norm: float, parameters: int) -> float:
    """Ten times the norm that the weights have, or would have if each were 1, where more."""
    return _TIMES_THE_MEDIAN * (weights_norm + math.sqrt(parameters))


def least_weight(study: Study) -> float:
    """The patients that a mean is over at least; see the module."""
    return float(study.training.expected_batch) if study.training.optimizer == "sgd" else 0.0


def _adam_ratio(step: int) -> float:
    geometric = sum((_BETA_1**2 / _BETA_2) ** i for i in range(step))
    first = (1 - _BETA_1) / (1 - _BETA_1**step)
    return first * math.sqrt((1 - _BETA_2**step) / (1 - _BETA_2) * geometric)
