"""What was released, and what it costs: pure accounting, on Opacus' accountants.

The unit is the patient and neighbours differ by adding or removing one patient with all records.
One step of training is the Poisson-subsampled Gaussian mechanism: each patient takes part with
probability q, contributes a gradient of L2 norm at most C, and Gaussian noise of standard
deviation σC is added to the sum (Abadi et al. 2016, Mironov et al. 2019). Steps, rounds, runs and
studies at one site compose adaptively in Rényi differential privacy (Mironov 2017, Prop. 1),
which is then converted to (ε, δ) (Balle et al. 2020, Thm. 21).

A second accountant composes the privacy losses themselves, numerically (PRV: Gopi, Lee and
Wutschitz 2021). It is tighter and slower, and may have no answer. Each is an upper bound on the
epsilon of the same mechanism, so the smaller one is too. The central limit (GDP) is not used: it
can lie below the truth.
"""

import math
import warnings
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, TypeAlias

import numpy as np
import numpy.typing as npt

from irene_model.privacy.renyi import NOISES, divergences

# Opacus takes seconds to import, and torch with it: who spent nothing needs neither.
if TYPE_CHECKING:
    from irene_model.privacy.loss_grid import AddedPatient, RemovedPatient

# Orders 2 to 63 bind at ordinary budgets, those below 2 at a large epsilon (and they are slow to
# compute), those above 63 at a small one. Any set gives a valid bound.
_ORDERS = (1.25, 1.5, 1.75, *(x / 10 for x in range(20, 110)), *range(11, 64), 80, 128, 256, 512)
# What PRV may err by (Gopi et al. 2021, Thm. 5.5); both errors are added, so that it stays a bound.
PRV_EPSILON_ERROR = 0.01
PRV_DELTA_ERROR = 1e-3  # of delta
_LARGEST_GRID = 2**22  # points: 32 MiB an array, some seconds
_LARGEST_SCALING = 1e-6
# The grid's exponentials must stay numbers: beyond 700 they overflow and PRV tells nonsense.
_LARGEST_REACH = 600.0
KEPT = 4096
"""Results kept between calls, small ones: more than a federation has sites."""
_Steps: TypeAlias = tuple[tuple[tuple[float, float], int], ...]


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


@dataclass(frozen=True, kw_only=True)
class Epsilons:
    """Two upper bounds on one epsilon; `prv` is None where it could not be computed."""

    rdp: float
    prv: float | None

    @property
    def smallest(self) -> float:
        """The tighter bound, valid as both are."""
        return self.rdp if self.prv is None else min(self.rdp, self.prv)


def epsilons(mechanisms: Iterable[Mechanism], *, delta: float) -> Epsilons:
    """Epsilon of the composition by both accountants: mostly a tenth of a second, up to some."""
    given = tuple(mechanisms)
    rdp = epsilon(given, delta=delta)
    if rdp in (0, math.inf):
        return Epsilons(rdp=rdp, prv=rdp)
    return Epsilons(rdp=rdp, prv=_prv(tuple(sorted(_count(given).items())), delta))


def epsilon(mechanisms: Iterable[Mechanism], *, delta: float) -> float:
    """Epsilon of the composition of all `mechanisms` by RDP; infinite without noise.

    Never below 0, and infinite where the numbers leave what a float holds.
    """
    steps = _count(mechanisms)
    if not steps:
        return 0.0
    if any(noise == 0 for noise, _ in steps):
        return math.inf
    try:
        with np.errstate(over="raise", divide="raise", invalid="raise"):
            spent = _rdp(tuple(steps.items()), delta)
    except ArithmeticError:
        return math.inf
    return math.inf if math.isnan(spent) else max(0.0, spent)


def _rdp(steps: _Steps, delta: float) -> float:
    from opacus.accountants.analysis.rdp import get_privacy_spent

    curves = [count * _curve(noise, rate) for (noise, rate), count in steps]
    with warnings.catch_warnings():  # the bound is valid at every order; ours reach far enough
        warnings.filterwarnings("ignore", message="Optimal order")
        spent, _ = get_privacy_spent(orders=_ORDERS, rdp=np.sum(curves, axis=0), delta=delta)
    return float(spent)


def _count(mechanisms: Iterable[Mechanism]) -> Counter[tuple[float, float]]:
    """Steps of each (noise multiplier, sampling rate): their order has no part in the cost."""
    steps: Counter[tuple[float, float]] = Counter()
    for mechanism in mechanisms:
        steps[mechanism.noise_multiplier, mechanism.sample_rate] += mechanism.steps
    return steps


@lru_cache(maxsize=KEPT)
def _prv(steps: _Steps, delta: float) -> float | None:
    """Epsilon by PRV, rounded up by its errors; None where the numbers carry no bound.

    The larger of both directions: after composition neither is known to cover the other (Lebeda
    et al. 2024), though one does for a single step.
    """
    from irene_model.privacy.loss_grid import AddedPatient, RemovedPatient

    try:
        with np.errstate(all="ignore"), warnings.catch_warnings():
            warnings.simplefilter("ignore")
            both = [_prv_one_way(kind, steps, delta) for kind in (RemovedPatient, AddedPatient)]
    except (ArithmeticError, IndexError, MemoryError, RuntimeError, ValueError):
        return None  # Opacus refuses in many ways: no bound, and RDP has one
    return max(0.0, *both) if all(math.isfinite(found) for found in both) else None


def _prv_one_way(
    kind: "type[RemovedPatient] | type[AddedPatient]",
    steps: _Steps,
    delta: float,
) -> float:
    from irene_model.privacy.loss_grid import composed, grid_to, on_grid

    losses = [kind(rate, noise) for (noise, rate), _ in steps]
    counts = [count for _, count in steps]
    delta_error = PRV_DELTA_ERROR * delta
    reach = _reach(steps, delta_error)
    if not reach < _LARGEST_REACH:
        raise ValueError("the losses are too large")
    mesh = PRV_EPSILON_ERROR / math.sqrt(sum(counts) * math.log(12 / delta_error) / 2)
    points = 2 * reach / mesh
    # Rounding in the transforms must stay below the error that is allowed for.
    if not points < min(_LARGEST_GRID, delta_error / np.finfo(np.float64).eps):
        raise ValueError("the grid is too large")
    domain = grid_to(reach, mesh)
    cells = [on_grid(loss, domain) for loss in losses]
    for part, count in zip(cells, counts, strict=True):
        # The cells' edges are rounded, and a composition multiplies what their masses lack or have
        # too much. Scaled to 1 again, it changes delta by no more than that share of itself.
        mass = float(part.pmf.sum())
        if not abs(mass - 1) * count < _LARGEST_SCALING:
            raise ValueError("the losses are no distribution")
        part.pmf = part.pmf / mass
    whole = composed(cells, counts)
    if not abs(float(whole.pmf.sum()) - 1) < delta_error:
        raise ValueError("the composed losses are no distribution")
    _, _, upper = whole.compute_epsilon(delta, delta_error, PRV_EPSILON_ERROR)
    return float(upper)


def _reach(steps: _Steps, delta_error: float) -> float:
    """A grid from -reach to reach leaves out little enough (Gopi et al. 2021, Remark 5.6).

    Opacus' `compute_safe_domain_size` on our own Rényi curves, which are computed already: it
    would spend most of the time of a whole composition on computing them anew.
    """
    whole = _rdp(steps, delta_error / 4)
    share = delta_error / (8 * sum(count for _, count in steps))
    return max(whole, *(_rdp(((each, 1),), share) for each, _ in steps), PRV_EPSILON_ERROR) + 3


@lru_cache(maxsize=KEPT)
def _curve(noise: float, rate: float) -> npt.NDArray[np.float64]:
    """One step's Rényi divergence at each order; kept, as it is nearly all of the work.

    A divergence is not below 0; what is nearly 0 can be computed as less.
    """
    if NOISES[0] <= noise <= NOISES[1]:
        found = divergences(_ORDERS, rate=rate, noise=noise)
    else:
        from opacus.accountants.analysis.rdp import compute_rdp

        found = compute_rdp(q=rate, noise_multiplier=noise, steps=1, orders=_ORDERS)
    return np.maximum(np.asarray(found, dtype=np.float64), 0.0)
