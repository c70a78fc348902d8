"""Rényi divergence of one Poisson-subsampled Gaussian step, at many orders at once. Pure.

It is log(A) / (α - 1) with A = E[(1 - q + q exp((2x - 1) / 2σ²))^α] of x from N(0, σ²) (Mironov,
Talwar and Zhang 2019, sections 3.2 and 3.3). Opacus sums a series for each order. The integrand is
analytic and decays as a normal density, so the trapezoidal rule gives the same digits in a
hundredth of the time: its error falls as exp(-2π d / h), h the step and d the distance to the
nearest singularity (Trefethen and Weideman 2014, theorem 5.1).
"""

import math
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

Numbers = npt.NDArray[np.float64]
NOISES = (0.1, 1e4)
"""Between these noise multipliers the rule is exact but for rounding; tests compare them all."""
_FARTHEST = 12.0  # deviations: what lies beyond is below 1e-31 of the whole
_STEPS_A_DEVIATION = 3.0  # exp(-2π² 3²) for the density itself
_STEPS_A_SQUARE = 2.0  # exp(-2π² 2): at a distance of πσ² the base of a power is 0


def divergences(orders: Sequence[float], *, rate: float, noise: float) -> Numbers:
    """At each of `orders`, all above 1; `noise` within NOISES and `rate` in (0, 1]."""
    if rate == 1:
        return np.asarray(orders, dtype=np.float64) / (2 * noise**2)
    return np.array([_log_moment(order, rate, noise) / (order - 1) for order in orders])


def _log_moment(order: float, rate: float, noise: float) -> float:
    whole = order == int(order)  # a whole power is a sum of densities, without a singularity
    step = noise / _STEPS_A_DEVIATION
    if not whole:
        step = min(step, noise**2 / _STEPS_A_SQUARE)
    # Of the k-th term of the power the density's mean is k.
    x = np.arange(-_FARTHEST * noise, order + _FARTHEST * noise, step)
    ratio = np.logaddexp(math.log1p(-rate), math.log(rate) + (2 * x - 1) / (2 * noise**2))
    power = order * ratio
    density = -np.square(x / noise) / 2 + math.log(step / (noise * math.sqrt(2 * math.pi)))
    summed = power + density
    largest = float(summed.max())
    log_moment = largest + math.log(float(np.exp(summed - largest).sum()))
    if log_moment > 0.1:
        return log_moment
    # Near 1 the moment's difference from it is added up, or rounding would be all there is.
    small = power < 1
    excess = np.exp(density) * np.expm1(np.where(small, power, 0.0))
    excess += np.where(small, 0.0, np.exp(summed) - np.exp(density))
    return math.log1p(float(excess.sum()))
