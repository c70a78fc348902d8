"""How large an honest sum can be. Pure: what follows from the study's own arithmetic.

Legend: n sites, C the clip norm, s each site's share of the noise over C, B the expected batch of
all together, D the dimensions.

A sum of training is S + N: S of k clipped gradients, so ‖S‖ ≤ k C and each |Sᵢ| ≤ k C. k is
Poisson-sampled with a mean of at most a = 1.5 B, where hospitals have at most half as many patients
again as the study counts, and is above m = a + 6√a + 24 with a chance below e^-18 (Bernstein). N is
normal with deviation s C √n in each coordinate, beyond 10 of them with a chance below 1e-22 each,
and ‖N‖ is above s C √n (√D + 8) with a chance below e^-32.

A sum beyond the bound has a site in it that is broken or lies, and nobody can say which: that is
what the masks are for. A sum within it can still be bent, by as much as the bound allows.
"""

import math

import numpy as np

from irene_model.errors import ProtocolError
from irene_model.exchange import Array
from irene_model.study import HeldOut, Study
from server.secure.shared_accounting import TRAIN, planned_share, secure_of

_MARGIN = 1.02  # rounding to the grid, of values and of noise
_UNDERSTATED = 1.5
_DEVIATIONS = 10.0
_HELD_OUT = 2.0  # a split has at most so many times the patients that are trained on


def check_gradients(total: Array, study: Study, *, sites: int) -> None:
    """Raise ProtocolError for a sum (D,) that `sites` honest ones can't have sent."""
    clip = study.privacy.clip_norm
    mean = _UNDERSTATED * study.training.expected_batch
    signal = clip * (mean + 6 * math.sqrt(mean) + 24)
    deviation = planned_share(study, TRAIN) * clip * math.sqrt(sites)
    size, largest = float(np.linalg.norm(total)), float(np.abs(total).max(initial=0.0))
    most = _MARGIN * (signal + deviation * (math.sqrt(total.size) + 8))
    if not size <= most:
        raise ProtocolError(_beyond(f"norm is {size:.3g}", most, sites))
    most = _MARGIN * (signal + _DEVIATIONS * deviation)
    if not largest <= most:
        raise ProtocolError(_beyond(f"largest coordinate is {largest:.3g}", most, sites))


def check_histograms(
    histograms: Array, study: Study, split: HeldOut, *, sites: int, deviation: float
) -> None:
    """Raise ProtocolError for a sum (K, 2, G) that `sites` honest ones can't have sent.

    deviation: of the noise in each cell, that of all sites together.
    """
    most = _HELD_OUT * secure_of(study).patients + sites
    spread = _DEVIATIONS * deviation
    totals = histograms.sum(axis=(1, 2))
    cells = math.prod(histograms.shape[1:])
    if not (totals <= most + spread * math.sqrt(cells)).all():
        raise ProtocolError(
            _beyond(f"count of {split} patients is {totals.max():.3g}", most, sites)
        )
    if not ((histograms >= -spread - 1) & (histograms <= most + spread)).all():
        raise ProtocolError(
            f"the sum of {sites} sites' counts of {split} patients has a cell that is further off "
            f"than its noise can be: {_NOBODY}"
        )


_NOBODY = (
    "one of them is broken or lies, and a sum can't say which; leave a site out and see "
    "(irene-server expel)"
)


def _beyond(what: str, most: float, sites: int) -> str:
    return f"the sum's {what}, and {sites} honest sites reach {most:.3g}: {_NOBODY}"
