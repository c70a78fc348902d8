"""The few bins of noised score histograms, and how they are read (pure).

Noise goes into every cell, so there are few: narrow around the study's prior, where an untrained
head starts, and wide elsewhere. The bounds must not follow from patients. Shapes are those of
`irene_model.metrics.metrics`.
"""

import numpy as np
from scipy.special import expit, logit

from irene_model.metrics.metrics import EDGES, Array

# Bounds of the coarse bins, as logits from the prior's. Of those tried on the scores of a private
# model, of a calibrated one and of a strong one, no finer grid took more from ties than it cost.
_OFFSETS: Array = np.array([-2, -1.5, -1, -0.5, 0, 0.5, 1, 1.75, 3])
COARSE_BINS = len(_OFFSETS) + 1
_PARTS = 8  # of a coarse bin, in `refine`


def coarsen(hists: Array, prior: float) -> Array:
    """Histograms (..., BINS) on the grid that noise is added to: (..., COARSE_BINS)."""
    starts = np.searchsorted(EDGES, [EDGES[0], *_coarse_bounds(prior)])
    return np.add.reduceat(hists, starts, axis=-1)


def refine(hists: Array, prior: float) -> Array:
    """Coarse histograms (..., 2, COARSE_BINS) with each bin's patients spread over its parts.

    As those of a calibrated score are: evenly, and the odds of having the label grow with the
    score's own odds, half of that in the positives and half in the negatives. Read as ties
    instead, AUROC and AUPRC come out too low.
    """
    offsets = _parts(prior)[1]
    tilt = np.exp(np.stack([-offsets, offsets]) / 2)  # (2, COARSE_BINS, parts)
    spread = hists[..., None] * (tilt / tilt.sum(axis=-1, keepdims=True))
    return np.asarray(spread.reshape(*hists.shape[:-1], COARSE_BINS * _PARTS))


def refined_centres(prior: float) -> Array:
    """The probability in the middle of each part of `refine`."""
    return np.asarray(expit(np.add(*_parts(prior)))).ravel()


def _parts(prior: float) -> tuple[Array, Array]:
    """Logits of the middles of the coarse bins (COARSE_BINS, 1), and of their parts from there."""
    bounds = _coarse_bounds(prior)
    closed = np.concatenate([[bounds[0] - 1], bounds, [bounds[-1] + 1]])  # an open end: 1 wide
    steps = (np.arange(_PARTS) + 0.5) / _PARTS - 0.5
    return (closed[:-1, None] + closed[1:, None]) / 2, np.diff(closed)[:, None] * steps


def _coarse_bounds(prior: float) -> Array:
    # Bounds of the fine grid, so that coarse bins are made of whole ones.
    width = EDGES[1] - EDGES[0]
    middle = np.clip(np.round(logit(prior) / width) * width, -5, 4)
    return np.asarray(middle + _OFFSETS)
