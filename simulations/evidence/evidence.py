"""What one training's scores on all test patients say, as an entry of its result.json (pure).

Every figure is the mean over the labels that have it, as AUROC is. A standard error is the
deviation of the figure over draws of the patients, with the labels drawn together; thresholds are
chosen anew in each draw. Gaps of a group are to all other patients of its kind (female to male,
one hospital to the others): a difference, so that chance alone does not make it large, as it does
the distance between the largest and the smallest.
"""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from irene_model.metrics import weighted_aurocs
from simulations.evidence.calibration import Array, reliability, slope_and_intercept
from simulations.evidence.operating_points import (
    FALSE_POSITIVE_RATES,
    rates_at,
    roc_curve,
    thresholds_at,
)
from simulations.evidence.scored_cohort import OfOneLabel, ScoredCohort

Json = dict[str, Any]
Figure = Callable[[OfOneLabel, int], Array]  # label and its number to (1+B,)


def evidence_of(cohort: ScoredCohort, specificities: Sequence[float]) -> Json:
    """The entry `evidence` of result.json; the first specificity is that of the groups."""
    labels = [cohort.label(k) for k in range(cohort.labels.shape[1])]
    cuts = {f"{s:g}": [_cut(each, s) for each in labels] for s in specificities}
    fits = [slope_and_intercept(each) for each in labels]
    curves = [curve for each in labels if (curve := roc_curve(each)) is not None]
    first = next(iter(cuts.values()))
    return {
        "slope": _told(_mean([slope for slope, _ in fits])),
        "intercept": _told(_mean([intercept for _, intercept in fits])),
        "sensitivity_at": {
            name: _told(_mean([rates_at(*each)[0] for each in zip(labels, cut, strict=True)]))
            for name, cut in cuts.items()
        },
        "roc": {
            "false_positive_rate": FALSE_POSITIVE_RATES.round(4).tolist(),
            "sensitivity": np.mean(curves, axis=0).round(5).tolist() if curves else [],
        },
        "reliability": reliability(labels),
        "groups": {
            kind: _groups(cohort, labels, first, list(groups.items()))
            for kind, groups in cohort.groups.items()
        },
    }


def _groups(
    cohort: ScoredCohort,
    labels: Sequence[OfOneLabel],
    cuts: Sequence[Array],
    groups: Sequence[tuple[str, Array]],
) -> Json:
    """Each group that has patients, if there are two; all are called by the same thresholds."""
    figures: dict[str, Figure] = {
        "auroc": lambda label, _: _auroc(label),
        "sensitivity": lambda label, k: rates_at(label, cuts[k])[0],
        "specificity": lambda label, k: rates_at(label, cuts[k])[1],
    }
    present = [(name, chosen) for name, chosen in groups if chosen.any()]
    if len(present) < 2:
        return {}
    everyone = np.any([chosen for _, chosen in present], axis=0)
    found: Json = {}
    for name, chosen in present:
        inside = [label.among(chosen) for label in labels]
        others = [label.among(everyone & ~chosen) for label in labels]
        entry: Json = {"patients": len(np.unique(cohort.patient[chosen]))}
        for what, of in figures.items():
            own = [of(label, k) for k, label in enumerate(inside)]
            rest = [of(label, k) for k, label in enumerate(others)]
            gaps = [one - other for one, other in zip(own, rest, strict=True)]
            entry[what] = _told(_mean(own)) | {"gap": _told(_mean(gaps))}
        found[name] = entry
    return found


def _auroc(label: OfOneLabel) -> Array:
    if label.truth.all() or not label.truth.any():  # empty too
        return np.full(len(label.weights), np.nan)
    return weighted_aurocs(label.scores, label.truth, label.weights)


def _cut(label: OfOneLabel, specificity: float) -> Array:
    if not len(label.scores):
        return np.full(len(label.weights), np.nan)
    return thresholds_at(label, specificity)


def _mean(by_label: Sequence[Array]) -> Array:
    """(1+B,) over the labels that have a value of all patients; NaN in a draw that lacks one."""
    values = [each for each in by_label if not np.isnan(each[0])]
    return np.mean(values, axis=0) if values else np.full(len(by_label[0]), np.nan)


def _told(drawn: Array) -> Json:
    """The value and its standard error; None where there is none, or half of the draws lack it."""
    value, draws = float(drawn[0]), drawn[1:][~np.isnan(drawn[1:])]
    if np.isnan(value):
        return {"value": None, "se": None}
    enough = 2 * len(draws) >= len(drawn) - 1 and len(draws) > 1
    return {"value": round(value, 5), "se": round(float(draws.std(ddof=1)), 6) if enough else None}
