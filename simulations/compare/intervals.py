"""Means over seeds or folds with intervals, and differences between ways to train (pure).

A seed draws other patients, another split, other initial weights and other batches, so the spread
over seeds is what a repetition of the whole experiment would show. Differences are paired: both
sides of a difference have the same patients, split and test patients, and what these do to both
cancels.

Folds of the same patients are no repetitions: their trainings share most patients, so that the
spread over folds says too little (Bengio and Grandvalet 2004). There the interval is over draws of
the test patients (`irene_model/metrics/patient_draws.py`): it holds which of them came to be
tested, and neither another training nor another hospital.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from scipy.stats import t

from irene_model.metrics import Draws

CONFIDENCE = 0.95


@dataclass(frozen=True, kw_only=True)
class Spread:
    """A mean over `n` seeds; `ci95` None where nothing can tell how much it varies."""

    mean: float | None
    ci95: tuple[float, float] | None
    n: int

    def as_dict(self) -> dict[str, float | int | list[float] | None]:
        """For results.json."""
        return {
            "mean": self.mean,
            "ci95": None if self.ci95 is None else list(self.ci95),
            "seeds": self.n,
        }


def over_seeds(values: Sequence[float | None]) -> Spread:
    """The mean of the defined values with Student's interval, mean ± t(n-1) s / √n.

    Student 1908. It takes the seeds' values as normal around the mean; with three seeds t is 4.3,
    and the interval is wide because so little is known.
    """
    defined = np.array([value for value in values if value is not None], dtype=np.float64)
    n = len(defined)
    if n == 0:
        return Spread(mean=None, ci95=None, n=0)
    mean = float(defined.mean())
    if n == 1:
        return Spread(mean=mean, ci95=None, n=1)
    quantile = float(t.ppf((1 + CONFIDENCE) / 2, n - 1))
    half = quantile * float(defined.std(ddof=1)) / math.sqrt(n)
    return Spread(mean=mean, ci95=(mean - half, mean + half), n=n)


def without_interval(values: Sequence[float | None]) -> Spread:
    """The mean of the defined values alone."""
    return replace(over_seeds(values), ci95=None)


def over_patients(values: Sequence[float | None], draws: Sequence[Draws]) -> Spread:
    """The mean of the defined values; its interval from how they move with draws of patients.

    draws: for each value, what it is in all draws, in the same order. A draw moves the mean by the
    mean of what it moves the values that it has: so a fold that it leaves without positives does
    not change what is averaged. The interval holds the middle 95 % of the draws; None where fewer
    than half of them have any value.
    """
    mean = without_interval(values)
    if mean.mean is None:
        return mean
    moved = np.array(
        [
            np.array(row, dtype=np.float64) - value  # None becomes NaN
            for value, row in zip(values, draws, strict=True)
            if value is not None
        ]
    )
    defined = ~np.isnan(moved)
    some = defined.any(axis=0)
    if 2 * some.sum() < len(some):
        return mean
    means = np.nansum(moved, axis=0)[some] / defined.sum(axis=0)[some]
    tail = (1 - CONFIDENCE) / 2
    low, high = mean.mean + np.quantile(means, [tail, 1 - tail])
    return replace(mean, ci95=(float(low), float(high)))


def minus(values: Draws, reference: Draws) -> Draws:
    """Draw by draw; None where one of the two has no value."""
    return [
        None if a is None or b is None else a - b for a, b in zip(values, reference, strict=True)
    ]
