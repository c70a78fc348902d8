"""Whether a probability means what it says (pure).

Slope and intercept are those of a logistic regression of the truth on the score's log odds (Cox
1958). A slope of 1 and an intercept of 0 are calibrated; a slope below 1 means scores that are too
sure of themselves. The intercept is that of a regression whose slope is held at 1: calibration in
the large (Van Calster et al. 2019, "Calibration: the Achilles heel of predictive analytics").

Shapes: n records of one label, W rows of weights (see `scored_cohort`).
"""

from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt
from scipy.special import expit, logit

from simulations.evidence.scored_cohort import OfOneLabel

Array: TypeAlias = npt.NDArray[Any]
_GRID = 64  # log odds are read to this part, which is what makes many draws cheap
_FARTHEST = 15.0  # log odds of a score that float32 can't tell from 0 or 1
_STEPS = 30  # of Newton's; a regression that has an optimum is there after eight
_GROUPS = 10


def slope_and_intercept(label: OfOneLabel) -> tuple[Array, Array]:
    """(W,) slope, (W,) intercept; NaN where the truth is all one, or the scores separate it."""
    if not len(label.scores):
        nothing = np.full(len(label.weights), np.nan)
        return nothing, nothing
    odds = np.round(np.clip(logit(label.scores.astype(np.float64)), -_FARTHEST, _FARTHEST) * _GRID)
    order = np.argsort(odds, kind="stable")
    starts = np.flatnonzero(np.diff(odds[order], prepend=-np.inf))
    x = odds[order][starts] / _GRID
    positives = np.add.reduceat((label.weights * label.truth)[:, order], starts, axis=1)
    patients = np.add.reduceat(label.weights[:, order], starts, axis=1)
    slope = _newton(x, positives, patients, free_slope=True)[1]
    intercept = _newton(x, positives, patients, free_slope=False)[0]
    return slope, intercept


def reliability(labels: list[OfOneLabel]) -> list[dict[str, float]]:
    """All labels' scores in ten equal intervals: mean score, share of positives, patients.

    An interval without patients is left out. Of the patients as they are.
    """
    scores = np.concatenate([each.scores for each in labels])
    truth = np.concatenate([each.truth for each in labels])
    weights = np.concatenate([each.weights[0] for each in labels])
    group = np.minimum((scores * _GROUPS).astype(int), _GROUPS - 1)
    totals = [
        np.bincount(group, weights=w, minlength=_GROUPS)
        for w in (weights, weights * scores, weights * truth)
    ]
    return [
        {"score": float(s / n), "share": float(p / n), "patients": float(n)}
        for n, s, p in zip(*totals, strict=True)
        if n > 0
    ]


def _newton(
    x: Array, positives: Array, patients: Array, *, free_slope: bool
) -> tuple[Array, Array]:
    """(W,) intercept, slope: the likeliest for `positives` of `patients` (W, G) at odds `x`."""
    intercept, slope = np.zeros(len(patients)), np.ones(len(patients))
    last = np.full(len(patients), np.inf)
    for _ in range(_STEPS):
        expected = expit(intercept[:, None] + slope[:, None] * x)
        residual, spread = positives - patients * expected, patients * expected * (1 - expected)
        a, b, c = spread.sum(axis=1), (spread * x).sum(axis=1), (spread * x * x).sum(axis=1)
        g, h = residual.sum(axis=1), (residual * x).sum(axis=1)
        if free_slope:
            room = a * c - b * b
            first, second = _over(c * g - b * h, room), _over(a * h - b * g, room)
        else:
            first, second = _over(g, a), np.zeros(len(a))
        longest = np.maximum(np.abs(first), np.abs(second))
        shorter = 2.0 / np.maximum(longest, 2.0)  # no leap from a far start
        intercept, slope = intercept + shorter * first, slope + shorter * second
        last = longest
    settled = last < 1e-6
    return np.where(settled, intercept, np.nan), np.where(settled, slope, np.nan)


def _over(numerator: Array, denominator: Array) -> Array:
    found = np.full(len(denominator), np.nan)
    np.divide(numerator, denominator, out=found, where=denominator > 1e-12)
    return found
