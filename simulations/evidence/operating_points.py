"""Where a score is cut: sensitivity at a fixed specificity, and the ROC curve (pure).

Shapes: n records of one label, W rows of weights (see `scored_cohort`). A record is called
positive where its score is at or above the threshold.
"""

from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

from simulations.evidence.scored_cohort import OfOneLabel

Array: TypeAlias = npt.NDArray[Any]
FALSE_POSITIVE_RATES: Array = np.linspace(0.0, 1.0, 51)
"""Where ROC curves are told."""
_ROUNDING = 1e-9  # a specificity of 0.9 that a sum of weights brings to 0.8999999999


def thresholds_at(label: OfOneLabel, specificity: float) -> Array:
    """(W,) the lowest score whose use as a threshold has at least this specificity.

    Infinity where none has, and NaN without negatives: nobody is called positive then.
    """
    values, starts, order = _steps(label)
    negatives = np.add.reduceat((label.weights * ~label.truth)[:, order], starts, axis=1)
    total = negatives.sum(axis=1, keepdims=True)
    below = np.cumsum(negatives, axis=1) - negatives
    enough = below >= specificity * total - _ROUNDING * np.maximum(total, 1.0)
    first = np.argmax(enough, axis=1)
    found = np.where(enough.any(axis=1), values[first], np.inf)
    return np.where(total[:, 0] > 0, found, np.nan)


def rates_at(label: OfOneLabel, thresholds: Array) -> tuple[Array, Array]:
    """(W,) sensitivity and (W,) specificity at each row's threshold; NaN without such patients."""
    called = label.scores >= thresholds[:, None]  # False for a NaN
    told = ~np.isnan(thresholds)
    sensitivity = _share(label.weights * label.truth, called)
    specificity = _share(label.weights * ~label.truth, ~called)
    return np.where(told, sensitivity, np.nan), np.where(told, specificity, np.nan)


def roc_curve(label: OfOneLabel) -> Array | None:
    """(51,) sensitivity at `FALSE_POSITIVE_RATES`, between thresholds by straight lines.

    None without positives or without negatives. Of the patients as they are; averaged at equal
    false positive rates such curves keep their area (Fawcett 2006, vertical averaging).
    """
    if not len(label.scores) or label.truth.all() or not label.truth.any():
        return None
    _, starts, order = _steps(label)
    weights = label.weights[0][order]
    truth = label.truth[order]
    sides = [np.add.reduceat(weights * side, starts)[::-1] for side in (truth, ~truth)]
    hits, alarms = (np.cumsum(side) / side.sum() for side in sides)
    # Straight up at a rate of 0: the last of the points that share an abscissa stands there.
    at_zero = hits[alarms == 0][-1:] if np.any(alarms == 0) else np.zeros(1)
    curve = np.interp(FALSE_POSITIVE_RATES, np.r_[0.0, alarms], np.r_[0.0, hits])
    curve[0] = at_zero[0]
    return np.asarray(curve)


def _steps(label: OfOneLabel) -> tuple[Array, Array, Array]:
    """Rising distinct scores, where each begins in that order, and the order."""
    order = np.argsort(label.scores, kind="stable")
    rising = label.scores[order]
    starts = np.flatnonzero(np.diff(rising, prepend=-np.inf))
    return rising[starts], starts, order


def _share(weights: Array, chosen: Array) -> Array:
    total = weights.sum(axis=1)
    found = np.full(len(total), np.nan)
    np.divide((weights * chosen).sum(axis=1), total, out=found, where=total > 0)
    return found
