"""Means over seeds with intervals, and differences between ways to train (pure).

A seed draws other patients, another split, other initial weights and other batches, so the spread
over seeds is what a repetition of the whole experiment would show. Differences are paired: both
sides of a difference have the same patients, split and test patients, and what these do to both
cancels.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from scipy.stats import t

CONFIDENCE = 0.95


@dataclass(frozen=True, kw_only=True)
class Spread:
    """A mean over `n` seeds; `ci95` None where fewer than two can't tell how much it varies."""

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


def paired(values: Mapping[int, float | None], reference: Mapping[int, float | None]) -> Spread:
    """The mean of value - reference over the seeds that both have, with its interval."""
    differences = []
    for seed, value in values.items():
        other = reference.get(seed)
        if value is not None and other is not None:
            differences.append(value - other)
    return over_seeds(differences)
