"""Means over seeds or folds with intervals, and differences between ways to train (pure).

A seed draws other patients, another split, other initial weights and other batches, so the spread
over seeds is what a repetition of the whole experiment would show. Differences are paired: both
sides of a difference have the same patients, split and test patients, and what these do to both
cancels.

Folds of the same patients are no repetitions: their trainings share most patients, so that the
spread over folds says too little (Bengio and Grandvalet 2004). There the interval is over draws of
the test patients (`irene_model/metrics/patient_draws.py`): it holds which of them came to be
tested, and neither another training nor another hospital.

A few seeds can agree by chance more closely than their test patients let them know anything. So
where each seed has a standard error over its patients, the interval is never narrower than these
allow (`over_both`).
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from scipy.stats import norm, t

from irene_model.metrics import Draws

CONFIDENCE = 0.95


@dataclass(frozen=True, kw_only=True)
class Spread:
    """A mean over `n` seeds; `ci95` None where nothing can tell how much it varies.

    p: of a difference, the chance of one at least so large if there is none; None: not asked.
    """

    mean: float | None
    ci95: tuple[float, float] | None
    n: int
    p: float | None = None

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
    error, of = float(defined.std(ddof=1)) / math.sqrt(n), t(n - 1)
    half = float(of.ppf((1 + CONFIDENCE) / 2)) * error
    return Spread(mean=mean, ci95=(mean - half, mean + half), n=n, p=_chance(mean, error, of))


def over_both(
    values: Sequence[float | None], errors: Sequence[float | None], *, seeds: bool = True
) -> Spread:
    """The mean of the defined values with an interval over seeds and over patients.

    errors: each value's standard error over its seed's test patients; None is none known. With
    seeds of their own patients the variance between values holds training and patients both, and
    its interval is Student's. Estimated from three seeds it can come out far too small; it is
    bounded below by what the patients alone would give, as Knapp and Hartung's interval for a few
    studies is (Knapp and Hartung 2003; Röver, Knapp and Friede 2015, "modified", equal weights):
    mean ± t(n-1) √max(s²/n, Σ errors²/n²). With a single seed, and over folds (not `seeds`), it is
    normal over the patients alone.
    """
    pairs = [(v, e) for v, e in zip(values, errors, strict=True) if v is not None]
    spread = over_seeds([value for value, _ in pairs])
    known = [error for _, error in pairs if error is not None]
    n = spread.n
    of_patients = n == 1 or not seeds
    if spread.mean is None or (of_patients and not known):
        return replace(spread, ci95=None)
    floor = float(np.mean(np.square(known))) / n if known else 0.0
    between = 0.0 if of_patients else float(np.var([v for v, _ in pairs], ddof=1)) / n
    error = math.sqrt(max(between, floor))
    of = norm if of_patients else t(n - 1)
    half = float(of.ppf((1 + CONFIDENCE) / 2)) * error
    return replace(
        spread,
        ci95=(spread.mean - half, spread.mean + half),
        p=_chance(spread.mean, error, of),
    )


def _chance(mean: float, error: float, of: Any) -> float:
    """Two-sided: of a distance from 0 at least so large under the distribution `of`."""
    if not error:
        return 0.0 if mean else 1.0
    return 2 * float(of.sf(abs(mean) / error))


def error_of(value: float | None, draws: Draws) -> float | None:
    """The standard error of `value` from its draws; None where half of them have none."""
    defined = [draw for draw in draws if draw is not None]
    if value is None or 2 * len(defined) < len(draws) or len(defined) < 2:
        return None
    return float(np.std(defined, ddof=1))


def without_interval(values: Sequence[float | None]) -> Spread:
    """The mean of the defined values alone."""
    return replace(over_seeds(values), ci95=None)


def over_patients(values: Sequence[float | None], draws: Sequence[Draws]) -> Spread:
    """The mean of the defined values; its interval from how they move with draws of patients.

    draws: for each value, what it is in all draws, in the same order. A draw moves the mean by the
    mean of what it moves the values that it has: so a fold that it leaves without positives does
    not change what is averaged. The interval holds the middle 95 % of the draws; None where fewer
    than half of them have any value. p takes the draws as normal: so few can't count a tail.
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
    chance = _chance(mean.mean, float(means.std(ddof=1)), norm) if len(means) > 1 else None
    return replace(mean, ci95=(float(low), float(high)), p=chance)


def seeds_or_patients(
    values: Sequence[float | None], draws: Sequence[Draws], *, seeds: bool
) -> Spread:
    """Over seeds where there are several; of a single one, and of folds, over draws of patients."""
    if seeds and sum(value is not None for value in values) > 1:
        return over_seeds(values)
    return over_patients(values, draws)


def minus(values: Draws, reference: Draws) -> Draws:
    """Draw by draw; None where one of the two has no value."""
    return [
        None if a is None or b is None else a - b for a, b in zip(values, reference, strict=True)
    ]
