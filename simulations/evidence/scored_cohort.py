"""The test patients of all sites with their scores, who they are, and their bootstrap draws.

Shapes: N records, K labels, P patients, B draws. Row 0 of all weights is the patients as they are;
rows 1 to B are Poisson bootstrap draws of them (Hanley and MacGibbon 2006), the same for every
training of these patients (`irene_model/metrics/patient_draws.py`).
"""

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

from irene_model.metrics import Scored

Array: TypeAlias = npt.NDArray[Any]
_DRAWS = 200  # a standard error over these is known to a twentieth of itself
AGE_BOUNDS = (40, 65)
"""Years at which an age band ends and the next one begins."""


@dataclass(frozen=True, kw_only=True)
class OfOneLabel:
    """Its annotated records. scores: (n,). truth: (n,) bool. weights: (1+B, n). rows: (n,) of N."""

    scores: Array
    truth: Array
    weights: Array
    rows: Array

    def among(self, chosen: Array) -> "OfOneLabel":
        """Those whose record is in `chosen` (N,) bool."""
        kept = chosen[self.rows]
        return OfOneLabel(
            scores=self.scores[kept],
            truth=self.truth[kept],
            weights=self.weights[:, kept],
            rows=self.rows[kept],
        )


@dataclass(frozen=True, kw_only=True)
class ScoredCohort:
    """probabilities, labels, annotated: (N, K). patient: (N,), 0 to P-1. counts: (1+B, P).

    groups: kind -> group -> (N,) bool, as sex -> female.
    """

    probabilities: Array
    labels: Array
    annotated: Array
    patient: Array
    counts: Array
    groups: Mapping[str, Mapping[str, Array]]

    @classmethod
    def of(
        cls, sites: Mapping[str, Scored], years: Mapping[str, Array], sexes: Mapping[str, Array]
    ) -> "ScoredCohort":
        """All sites' test patients; years, sexes: site -> (N of it,), NaN where unknown.

        A sex is 0 for female and 1 for male. A patient of two sites is two patients.
        """
        counts = np.concatenate([each.counts[:_DRAWS] for each in sites.values()], axis=1)
        before = np.cumsum([0, *(each.counts.shape[1] for each in sites.values())])
        own = zip(sites.values(), before, strict=False)
        names = np.repeat(list(sites), [len(each.owner) for each in sites.values()])
        year = np.concatenate([years[name] for name in sites])
        sex = np.concatenate([sexes[name] for name in sites])
        return cls(
            probabilities=np.concatenate([each.probabilities for each in sites.values()]),
            labels=np.concatenate([each.labels for each in sites.values()]),
            annotated=np.concatenate([each.annotated for each in sites.values()]),
            patient=np.concatenate([each.owner + start for each, start in own]),
            counts=np.concatenate([np.ones((1, counts.shape[1])), counts]),
            groups={
                "sex": {"female": sex == 0, "male": sex == 1},
                "age": _age_bands(year),
                "site": {name: names == name for name in sites},
            },
        )

    def label(self, k: int) -> OfOneLabel:
        """Label k; the annotated records of a patient share its weight."""
        rows = np.flatnonzero(self.annotated[:, k])
        patient = self.patient[rows]
        records = np.bincount(patient, minlength=self.counts.shape[1])
        return OfOneLabel(
            scores=self.probabilities[rows, k],
            truth=self.labels[rows, k] == 1,
            weights=self.counts[:, patient] / records[patient],
            rows=rows,
        )


def _age_bands(years: Array) -> dict[str, Array]:
    bounds = [-np.inf, *AGE_BOUNDS, np.inf]
    names = [
        f"below {AGE_BOUNDS[0]}",
        *(f"{low} to {high - 1}" for low, high in pairwise(AGE_BOUNDS)),
        f"{AGE_BOUNDS[-1]} and older",
    ]
    pairs = zip(names, bounds[:-1], bounds[1:], strict=True)
    return {name: (years >= low) & (years < high) for name, low, high in pairs}
