"""The privacy loss of one step on a grid, as Gopi, Lee and Wutschitz 2021 compose it.

Opacus' own `discretize` asks the distribution function twice for each edge of a cell and takes the
mean by adaptive integration, one number at a time: most of the time of a whole composition. Here
each edge is asked once, and only where the function is neither 0 nor 1. The mean is an integral
over the noise itself, in which the loss is analytic, so that a fixed rule is as good as rounding
(Trefethen and Weideman 2014). All steps are composed by one transform a kind and one back.
"""

import math
from bisect import bisect_left
from collections.abc import Sequence
from functools import cache

import numpy as np
import numpy.typing as npt
from opacus.accountants.analysis.prv import DiscretePRV, Domain, PoissonSubsampledGaussianPRV
from scipy.fft import irfft, next_fast_len, rfft
from scipy.special import erfc, roots_legendre

Numbers = npt.NDArray[np.float64]
_FARTHEST = 15.0  # deviations of the noise: what lies beyond is 0 in float64
_NOTHING = 1e-60  # a chance below it counts as 0: no sum of ours notices


class RemovedPatient(PoissonSubsampledGaussianPRV):  # type: ignore[misc]  # Opacus is untyped
    """The privacy loss where the neighbour has one patient less: log(1 - q + q exp((2x - 1) / 2σ²))
    of x from the mixture of N(0, σ²) and, with probability q, N(1, σ²).
    """

    def truncated_mean(self, t_min: float, t_max: float) -> float:
        """The mean of the loss if it lies within [t_min, t_max]."""
        q, noise = self.sample_rate, self.noise_multiplier
        x, width = _nodes(_noise_at(t_min, q, noise), _noise_at(t_max, q, noise), noise)
        density = (1 - q) * _normal(x / noise) + q * _normal((x - 1) / noise)
        whole = float((_rule()[1] * _log_ratio(x, q, noise) * density).sum()) * width / noise
        return float(whole / (self.cdf(t_max) - self.cdf(t_min)))


class AddedPatient(PoissonSubsampledGaussianPRV):  # type: ignore[misc]  # Opacus is untyped
    """The privacy loss where the neighbour has one patient more; Opacus has the one with less.

    With x ~ N(0, σ²), no patient there, the loss is -log(1 - q + q exp((2x - 1) / 2σ²)), so that
    P(loss <= t) = P(x >= σ²z + 1/2) with z = log((exp(-t) + q - 1) / q).
    """

    def cdf(self, t: npt.ArrayLike) -> Numbers:
        """P(loss <= t); the loss is at most -log(1 - q)."""
        rate, noise = self.sample_rate, self.noise_multiplier
        # In this order nothing is lost of a large loss where the rate is 1.
        ratio = (np.exp(-np.asarray(t, dtype=np.float64)) - (1 - rate)) / rate
        z = np.log(np.where(ratio > 0, ratio, 1.0))
        inside = erfc((2 * z * noise**2 + 1) / (2 * math.sqrt(2) * noise)) / 2
        return np.where(ratio > 0, inside, 1.0)

    def truncated_mean(self, t_min: float, t_max: float) -> float:
        """The mean of the loss if it lies within [t_min, t_max]."""
        q, noise = self.sample_rate, self.noise_multiplier
        x, width = _nodes(_noise_at(-t_max, q, noise), _noise_at(-t_min, q, noise), noise)
        whole = -float((_rule()[1] * _log_ratio(x, q, noise) * _normal(x / noise)).sum())
        return float(whole * width / noise / (self.cdf(t_max) - self.cdf(t_min)))


def grid_to(reach: float, mesh: float) -> Domain:
    """The multiples of `mesh` from at most -reach to at least reach.

    A little further where that makes the number of points a product of small primes, of which a
    transform takes a fraction of the time. 0 is the last point of the first half.
    """
    half = next_fast_len(math.ceil(reach / mesh) + 1, real=True)
    return Domain(t_min=-(half - 1) * mesh, t_max=half * mesh, size=2 * half)


def on_grid(loss: RemovedPatient | AddedPatient, domain: Domain) -> DiscretePRV:
    """The loss, truncated to `domain`, as the masses of its cells, moved to have the same mean.

    Raises RuntimeError where the cells are too wide for the loss.
    """
    edges = domain.t_min + (np.arange(domain.size + 1) - 0.5) * domain.dt
    below = _chances(loss, np.clip(edges, domain.t_min, domain.t_max))
    masses = np.diff(below) / (below[-1] - below[0])
    shift = loss.truncated_mean(domain.t_min, domain.t_max) - float(np.dot(domain.ts, masses))
    if not abs(shift) < domain.dt / 2:
        raise RuntimeError("the cells are too wide for the loss")
    return DiscretePRV(pmf=masses, domain=domain.shift_right(shift))


def composed(cells: Sequence[DiscretePRV], counts: Sequence[int]) -> DiscretePRV:
    """All `cells`, each so many times, on their common grid of `grid_to` (Gopi et al., Alg. 1).

    Opacus transforms each kind back, and convolves kinds in pairs.
    """
    size, steps = cells[0].domain.size, sum(counts)
    transformed = np.ones(size // 2 + 1, dtype=np.complex128)
    for part, count in zip(cells, counts, strict=True):
        transformed *= _power(rfft(part.pmf), count)
    # The sum's 0 lies at `steps` times the place of 0, which is one before the middle.
    places = steps - 1 + (size // 2 if steps % 2 == 0 else 0)
    moved = sum(p.domain.shifts * count for p, count in zip(cells, counts, strict=True))
    first = cells[0].domain
    return DiscretePRV(
        pmf=np.roll(irfft(transformed, n=size), places),
        domain=first.shift_right(moved - first.shifts),
    )


def _power(base: npt.NDArray[np.complex128], exponent: int) -> npt.NDArray[np.complex128]:
    """By squaring: numpy takes a logarithm of each number for a large exponent."""
    result = np.ones_like(base)
    while exponent:
        if exponent % 2:
            result *= base
        exponent //= 2
        if exponent:
            base = base * base
    return result


def _chances(loss: RemovedPatient | AddedPatient, edges: Numbers) -> Numbers:
    """P(loss <= t) at all `edges`, which rise: asked only where it is neither 0 nor 1."""
    first = bisect_left(edges, True, key=lambda t: bool(loss.cdf(t) >= _NOTHING))
    last = bisect_left(edges, True, lo=first, key=lambda t: bool(loss.cdf(t) >= 1))
    found = np.zeros(len(edges))
    found[first:last], found[last:] = loss.cdf(edges[first:last]), 1.0
    return found


def _noise_at(t: float, q: float, noise: float) -> float:
    """The x at which log(1 - q + q exp((2x - 1) / 2σ²)) is t; -infinity where it never is."""
    ratio = (math.exp(t) - (1 - q)) / q
    return noise**2 * math.log(ratio) + 0.5 if ratio > 0 else -math.inf


def _nodes(low: float, high: float, noise: float) -> tuple[Numbers, float]:
    """Where the integral from `low` to `high` looks, and half of its width."""
    low, high = max(low, -_FARTHEST * noise), min(high, 1 + _FARTHEST * noise)
    width = (high - low) / 2
    return low + width * (1 + _rule()[0]), width


@cache
def _rule() -> tuple[Numbers, Numbers]:
    """Gauss and Legendre's nodes and weights on [-1, 1], made when a loss is first composed: most
    processes that account for something start for less than that.
    """
    nodes, weights = roots_legendre(1000)
    return nodes, weights


def _log_ratio(x: Numbers, q: float, noise: float) -> Numbers:
    return np.logaddexp(np.log1p(-q), math.log(q) + (2 * x - 1) / (2 * noise**2))


def _normal(x: Numbers) -> Numbers:
    return np.exp(-np.square(x) / 2) / math.sqrt(2 * math.pi)
