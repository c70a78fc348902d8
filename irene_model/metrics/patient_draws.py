"""AUROC under draws of the test patients, the same draws for every training (pure).

Poisson bootstrap: in each draw a patient counts a Poisson(1) number of times (Hanley and MacGibbon
2006). A patient's counts follow from the site's name and from where its records stand, so every
arm, model and fold draws the same patients: what these do to two trainings cancels in a difference.

Shapes: N records, K labels, P patients, B draws.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

Array: TypeAlias = npt.NDArray[Any]
Draws = list[float | None]
DRAWS = 400


@dataclass(frozen=True, kw_only=True)
class Scored:
    """One site's test patients. probabilities, labels, annotated: (N, K). owner: (N,), 0 to P-1.

    counts: (B, P), how often each patient is in each draw.
    """

    probabilities: Array
    labels: Array
    annotated: Array
    owner: Array
    counts: Array


def counts_of(site: str, first_records: Sequence[int], records: int) -> Array:
    """(B, P) the draws of the patients whose records begin at `first_records` of so many."""
    rng = np.random.default_rng([*site.encode()])
    drawn = rng.poisson(1.0, (DRAWS, records))
    return drawn[:, np.asarray(first_records, dtype=np.int64)]


def resampled(sites: Mapping[str, Scored]) -> dict[str, Any]:
    """The macro AUROC in each draw: of `all` patients together, and by site. None: undefined."""
    return {
        "all": _macro(list(sites.values())),
        "by_site": {name: _macro([scored]) for name, scored in sites.items()},
    }


def exact_aurocs(sites: Mapping[str, Scored]) -> dict[str, Any]:
    """Of the patients as they are: `macro`, `by_label` (a value for each column), `by_site`.

    From the scores themselves. A score histogram takes all scores beyond its grid for ties, which
    costs a model that is too sure of itself, as a small hospital's own is.
    """
    told = {
        name: replace(each, counts=np.ones((1, each.counts.shape[1])))
        for name, each in sites.items()
    }
    columns = range(next(iter(told.values())).labels.shape[1])
    by_label = [_label(list(told.values()), k) for k in columns]
    return {
        "macro": _macro(list(told.values()))[0],
        "by_label": [None if each is None else float(each[0]) for each in by_label],
        "by_site": {name: _macro([each])[0] for name, each in told.items()},
    }


def _macro(sites: Sequence[Scored]) -> Draws:
    """The mean over the labels that have an AUROC; a draw that lacks one of them has no mean."""
    by_label = [_label(sites, k) for k in range(sites[0].labels.shape[1])]
    values = np.array([each for each in by_label if each is not None])
    if not values.size:
        return [None] * DRAWS
    return [None if math.isnan(mean) else round(mean, 5) for mean in values.mean(axis=0).tolist()]


def _label(sites: Sequence[Scored], k: int) -> Array | None:
    """(B,) AUROC of one label, a patient's annotated records sharing its weight; NaN undefined."""
    scores, truths, weights = [], [], []
    for each in sites:
        known = each.annotated[:, k]
        owner = each.owner[known]
        of_patient = np.bincount(owner, minlength=each.counts.shape[1])
        scores.append(each.probabilities[known, k])
        truths.append(each.labels[known, k] == 1)
        weights.append(each.counts[:, owner] / of_patient[owner])
    score, truth = np.concatenate(scores), np.concatenate(truths)
    if truth.all() or not truth.any():
        return None
    return weighted_aurocs(score, truth, np.concatenate(weights, axis=1))


def weighted_aurocs(scores: Array, truth: Array, weights: Array) -> Array:
    """(B,) the chance that a positive scores above a negative, ties half; NaN without a side.

    scores, truth: (N,), N at least 1. weights: (B, N).
    """
    order = np.argsort(scores, kind="stable")
    weights, truth = weights[:, order], truth[order]
    starts = np.flatnonzero(np.diff(scores[order], prepend=-np.inf))
    positives = np.add.reduceat(weights * truth, starts, axis=1)
    negatives = np.add.reduceat(weights * ~truth, starts, axis=1)
    below = np.cumsum(negatives, axis=1) - negatives / 2
    pairs = positives.sum(axis=1) * negatives.sum(axis=1)
    found = np.full(len(pairs), np.nan)
    np.divide((positives * below).sum(axis=1), pairs, out=found, where=pairs > 0)
    return found
