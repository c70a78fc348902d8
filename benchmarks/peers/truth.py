"""What a training really told about one record and about one patient, whatever it printed. Pure.

Examples that are published protect a record. A patient with k records, each of which takes part in
a step with probability q by itself, moves the clipped sum by up to j C with probability
Binomial(j; k, q). The pair that dominates it is the mixture of N(j, σ²) with these weights, against
N(0, σ²), in both directions (Choquette-Choo et al. 2024, "Privacy amplification for matrix
mechanisms", Lemma 4.5); its Rényi divergence is an integral over one number.
"""

import math

import numpy as np
from opacus.accountants.analysis.rdp import get_privacy_spent
from scipy.stats import binom

from irene_model.privacy import Mechanism, epsilons

_ORDERS = (*(x / 10 for x in range(11, 110)), *range(11, 64))
_FARTHEST = 12.0  # deviations of the noise
_STEPS_A_DEVIATION = 40


def epsilon_of_patient(mechanism: Mechanism, *, records: int, delta: float) -> float:
    """Epsilon of `mechanism`'s steps for a patient of so many records, each clipped by itself.

    One record: the smaller of both accountants. More: Rényi alone, so up to a tenth above what
    composing the losses themselves would give. Infinite without noise.
    """
    if records == 1 or mechanism.noise_multiplier == 0:
        return epsilons([mechanism], delta=delta).smallest
    curve = [mechanism.steps * _divergence(order, mechanism, records) for order in _ORDERS]
    return float(get_privacy_spent(orders=_ORDERS, rdp=curve, delta=delta)[0])


def _divergence(order: float, mechanism: Mechanism, records: int) -> float:
    """One step's: the larger of both directions."""
    noise = mechanism.noise_multiplier
    x = np.arange(
        -(_FARTHEST + 1) * noise, order * records + _FARTHEST * noise, noise / _STEPS_A_DEVIATION
    )
    means = np.arange(records + 1)
    weights = binom.logpmf(means, records, mechanism.sample_rate)
    without = -np.square(x / noise) / 2
    terms = weights[:, None] - np.square((x - means[:, None]) / noise) / 2
    with_patient = np.logaddexp.reduce(terms, axis=0)
    scale = math.log(1 / (_STEPS_A_DEVIATION * math.sqrt(2 * math.pi)))
    moments = [
        float(np.logaddexp.reduce(order * one - (order - 1) * other)) + scale
        for one, other in ((with_patient, without), (without, with_patient))
    ]
    return max(0.0, *moments) / (order - 1)
