"""From real sums to integers modulo 2^32, and back (pure).

A grid is a unit, a power of two, so that dividing by it is exact. Every site and the server find
the same one from the study alone. It is as fine as 32 bits allow: the sum over all sites, its noise
included, must lie within ±(2^31 - 1) units, or it would wrap round.

A coordinate that is rounded to nearest moves by at most one unit more than it did. So where one
patient moves a site's sum by at most Δ in L2, they move the rounded one by at most Δ/unit + sqrt(D)
units, and the noise is enlarged to be the same multiple of that. docs/privacy.md has the proof.
"""

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from irene_model.errors import ConfigError
from irene_model.metrics import BINS, COARSE_BINS
from irene_model.secure.discrete import LARGEST_DEVIATION, Integers, discrete_gaussian
from irene_model.secure.keystream import CHUNK, Bits, Words32
from irene_model.secure.shares import secure_of, share_of_evaluation, share_of_training
from irene_model.study import MOST_SECURE_SITES, HeldOut, Study

Reals = npt.NDArray[np.floating]
LARGEST_ROUNDING = 0.1
"""What rounding may add to the sensitivity, relative to it: more would waste noise on the grid."""
LEAST_DEVIATION = 16.0
"""Units. Below 4.3 a sum of discrete Gaussians would not be one, all but 1e-76 of it."""
CONVOLVED = 9.0
"""Units squared of each site's variance that the proof uses up."""
_TAIL = 8.0  # deviations of the sum's noise that are kept free: beyond lies 1.2e-15
_RARE = 2.0**-100  # of a step: that more patients are drawn than the grid allows for
_SLACK = 1.01  # what float32 may err by in a sum of many clipped gradients


@dataclass(frozen=True, kw_only=True)
class Grid:
    """unit: of one integer, in what is summed. bound: the largest |coordinate| of a sum over all
    sites without noise. deviation: of each site's integer noise, in units."""

    unit: float
    bound: float
    deviation: float

    @classmethod
    def of(
        cls, *, bound: float, sensitivity: float, share: float, sites: int, dimensions: int
    ) -> "Grid":
        """The finest grid for sums of `sites` vectors (D,) with noise of `share` times what one
        patient moves a rounded sum by; unrounded that is `sensitivity`, in L2.

        ConfigError where 32 bits hold such sums only on a grid that is too coarse.
        """
        spread = _TAIL * math.sqrt(sites) * share * sensitivity * (1 + LARGEST_ROUNDING)
        reach = bound + spread
        unit = 2.0 ** math.ceil(math.log2(reach / (2**31 - 2**16)))
        moved = sensitivity / unit + math.sqrt(dimensions)
        rounding = math.sqrt(dimensions) * unit / sensitivity
        deviation = math.sqrt((share * moved) ** 2 + CONVOLVED) if share else 0.0
        if rounding > LARGEST_ROUNDING or 0 < deviation < LEAST_DEVIATION:
            raise ConfigError(
                f"secure sums: 32 bits hold the sums of {sites} sites, of up to {bound:.4g} in a "
                f"coordinate, in steps of {unit:.2g} at the finest; rounding {dimensions} numbers "
                f"to them would add {rounding:.0%} to what one patient can move, "
                f"{LARGEST_ROUNDING:.0%} is allowed"
            )
        return cls(unit=unit, bound=bound, deviation=deviation)

    def encode(self, values: Reals) -> Integers:
        """(D,) int64: `values` in units, rounded to nearest.

        ConfigError where one is no number or beyond the bound: it must not wrap round.
        """
        with np.errstate(invalid="ignore"):
            if not np.all(np.abs(values) <= self.bound):
                # Of its own patients a site tells so with a chance below 2^-100: see `most_drawn`.
                raise ConfigError(
                    "secure sums: a sum leaves the study's grid; more patients take part here than "
                    "federation.secure.patients allows for, or a number is not finite"
                )
        return np.rint(np.asarray(values, dtype=np.float64) / self.unit).astype(np.int64)

    def noised(self, values: Reals, bits: Bits) -> Integers:
        """(D,) int64: `encode` and a site's noise, a part at a time."""
        noised = np.empty(len(values), dtype=np.int64)
        for start in range(0, len(values), CHUNK):
            part = self.encode(values[start : start + CHUNK])
            part += discrete_gaussian(len(part), self.deviation, bits)
            noised[start : start + CHUNK] = part
        return noised

    def decode(self, total: Words32) -> npt.NDArray[np.float64]:
        """(D,) float64: the inverse of `encode`, for sums modulo 2^32 of no more than the bound."""
        return np.multiply(total.view(np.int32), self.unit, dtype=np.float64)


def grid_of_training(study: Study, dimensions: int) -> Grid:
    """The grid of a step's clipped sums of D = `dimensions` trained parameters.

    ConfigError for a study that 32 bits are not enough for, ProtocolError for one without secure
    sums or with an epsilon that no noise reaches.
    """
    secure, clip = secure_of(study), study.privacy.clip_norm
    batch = study.training.expected_batch
    drawn = min(most_drawn(batch), secure.patients)
    try:
        return Grid.of(
            bound=_SLACK * clip * drawn,
            sensitivity=clip,
            share=share_of_training(study),
            sites=_most_sites(study),
            dimensions=dimensions,
        )
    except ConfigError as error:
        raise ConfigError(
            f"{error}; make training.expected_batch smaller than {batch}, or train fewer "
            "parameters (training.parameters)"
        ) from None


def grid_of_evaluation(study: Study, split: HeldOut) -> Grid:
    """The grid of the histograms of `split`, as one vector: (K, 2, COARSE_BINS), or (K, 2, BINS)
    where the study asks for exact ones.

    All sites together hold out no more patients than `federation.secure.patients`, which train.
    Errors are those of `grid_of_training`.
    """
    labels, share = len(study.labels), share_of_evaluation(study, split)
    try:
        return Grid.of(
            bound=_SLACK * secure_of(study).patients,
            sensitivity=math.sqrt(labels),
            share=share,
            sites=_most_sites(study),
            dimensions=labels * 2 * (COARSE_BINS if share else BINS),
        )
    except ConfigError as error:
        raise ConfigError(f"{error}; federation.secure.patients is too large") from None


def most_drawn(expected: float) -> int:
    """A number of patients that a step of `expected` exceeds with a chance below 2^-100.

    Chernoff's bound for a sum of coins: P(X >= k) <= exp(k - m - k log(k / m)) for a mean m < k.
    """
    most = expected + 8 * math.sqrt(expected) + 8
    while most - expected - most * math.log(most / expected) > math.log(_RARE):
        most += math.sqrt(expected) + 1
    return math.ceil(most)


def _most_sites(study: Study) -> int:
    roster = secure_of(study).roster
    return MOST_SECURE_SITES if roster is None else len(roster.members)


assert LARGEST_DEVIATION > 2**31 / _TAIL  # every grid's noise can be drawn
