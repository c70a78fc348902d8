"""What was released, and what it costs: pure accounting, on Opacus' accountants.

The unit is the patient and neighbours differ by adding or removing one patient with all records.
One step of training is the Poisson-subsampled Gaussian mechanism: each patient takes part with
probability q, contributes a gradient of L2 norm at most C, and Gaussian noise of standard
deviation σC is added to the sum (Abadi et al. 2016, Mironov et al. 2019). Steps, rounds, runs and
studies at one site compose adaptively in Rényi differential privacy (Mironov 2017, Prop. 1),
which is then converted to (ε, δ) (Balle et al. 2020, Thm. 21).
"""

import math
import warnings
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import numpy.typing as npt
from opacus.accountants.analysis.rdp import compute_rdp, get_privacy_spent

# Orders 2 to 63 bind at ordinary budgets, those below 2 at a large epsilon (and they are slow to
# compute), those above 63 at a small one. Any set gives a valid bound.
_ORDERS = (1.25, 1.5, 1.75, *(x / 10 for x in range(20, 110)), *range(11, 64), 80, 128, 256, 512)
_LARGEST_NOISE = 1e4


@dataclass(frozen=True, kw_only=True)
class Mechanism:
    """`steps` Poisson-subsampled Gaussian releases; noise_multiplier is σ over the clip norm."""

    noise_multiplier: float
    sample_rate: float
    steps: int

    def __post_init__(self) -> None:
        if not (self.noise_multiplier >= 0 and math.isfinite(self.noise_multiplier)):
            raise ValueError("noise_multiplier must be a finite number, at least 0")
        if not 0 < self.sample_rate <= 1:
            raise ValueError("sample_rate must lie in (0, 1]")
        if self.steps < 1:
            raise ValueError("steps must be at least 1")


def epsilon(mechanisms: Iterable[Mechanism], *, delta: float) -> float:
    """Epsilon of the composition of all `mechanisms` at `delta`; infinite without noise."""
    steps: Counter[tuple[float, float]] = Counter()
    for mechanism in mechanisms:
        if mechanism.noise_multiplier == 0:
            return math.inf
        steps[mechanism.noise_multiplier, mechanism.sample_rate] += mechanism.steps
    if not steps:
        return 0.0
    curves = [count * _curve(noise, rate) for (noise, rate), count in steps.items()]
    with warnings.catch_warnings():  # the bound is valid at every order; ours reach far enough
        warnings.filterwarnings("ignore", message="Optimal order")
        spent, _ = get_privacy_spent(orders=_ORDERS, rdp=np.sum(curves, axis=0), delta=delta)
    return float(spent)


@lru_cache(maxsize=1024)
def _curve(noise: float, rate: float) -> npt.NDArray[np.float64]:
    """One step's Rényi divergence at each order; kept, as it is nearly all of the work."""
    return np.asarray(compute_rdp(q=rate, noise_multiplier=noise, steps=1, orders=_ORDERS))


@lru_cache(maxsize=64)
def noise_multiplier_for(
    target_epsilon: float, *, delta: float, sample_rate: float, steps: int
) -> float:
    """A noise multiplier whose epsilon is at most the target, and at least 99% of it.

    Raises ValueError where even a noise multiplier of 10,000 spends more.
    """

    def spent(noise: float) -> float:
        mechanism = Mechanism(noise_multiplier=noise, sample_rate=sample_rate, steps=steps)
        return epsilon([mechanism], delta=delta)

    low, high = 0.1, 1.0
    while spent(high) > target_epsilon:
        low, high = high, high * 2
        if high > _LARGEST_NOISE:
            raise ValueError(f"epsilon {target_epsilon:g} at delta {delta:g} is out of reach")
    while high / low > 1.001:
        middle = math.sqrt(low * high)
        low, high = (middle, high) if spent(middle) > target_epsilon else (low, middle)
    return high
