"""Evidence of single trainings, put together over seeds or folds (pure).

Each figure of a training has its standard error over patients; see `intervals.over_both`. Gaps of
groups are asked of all groups of a kind, so their p values are Holm's over these.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np

from simulations.compare.intervals import over_both
from simulations.evidence import holm

Json = dict[str, Any]
_MEASURES = ("auroc", "sensitivity", "specificity")


def across_seeds(results: Sequence[Json], *, seeds: bool) -> Json:
    """`evidence` of a row in results.json, of the trainings that have it; empty if none has."""
    each = [result["evidence"] for result in results if "evidence" in result]
    if not each:
        return {}

    def told(entries: Sequence[Json], *, share: bool = False) -> Json:
        spread = over_both([e["value"] for e in entries], [e["se"] for e in entries], seeds=seeds)
        bounds = spread.ci95 and [min(1.0, max(0.0, b)) if share else b for b in spread.ci95]
        return {"value": spread.mean, "ci95": bounds}

    def group(kind: str, name: str) -> Json:
        of = [e["groups"][kind][name] for e in each if name in e["groups"].get(kind, {})]
        entry: Json = {"patients": sum(one["patients"] for one in of)}
        for measure in _MEASURES:
            gaps = [one[measure]["gap"] for one in of]
            gap = over_both([g["value"] for g in gaps], [g["se"] for g in gaps], seeds=seeds)
            entry[measure] = {
                **told([one[measure] for one in of], share=True),
                "gap": {"value": gap.mean, "ci95": gap.as_dict()["ci95"], "p": gap.p},
            }
        return entry

    kinds = dict.fromkeys(kind for e in each for kind, of in e["groups"].items() if of)
    groups = {
        kind: {
            name: group(kind, name)
            for name in dict.fromkeys(name for e in each for name in e["groups"].get(kind, {}))
        }
        for kind in kinds
    }
    for of_kind in groups.values():
        _correct(of_kind)
    curves = [e["roc"]["sensitivity"] for e in each if e["roc"]["sensitivity"]]
    return {
        "slope": told([e["slope"] for e in each]),
        "intercept": told([e["intercept"] for e in each]),
        "sensitivity_at": {
            name: told([e["sensitivity_at"][name] for e in each], share=True)
            for name in each[0]["sensitivity_at"]
        },
        "roc": {
            "false_positive_rate": each[0]["roc"]["false_positive_rate"],
            "sensitivity": np.mean(curves, axis=0).round(5).tolist() if curves else [],
        },
        "reliability": _together([part for e in each for part in e["reliability"]]),
        "groups": groups,
    }


def _correct(groups: Json) -> None:
    for measure in _MEASURES:
        corrected = holm({name: entry[measure]["gap"]["p"] for name, entry in groups.items()})
        for name, entry in groups.items():
            entry[measure]["gap"]["p_holm"] = corrected[name]


def _together(parts: Sequence[Json]) -> list[Json]:
    """Intervals of a reliability diagram, those of all seeds with the same tenth added up."""
    tenths: dict[int, list[Json]] = {}
    for part in parts:
        tenths.setdefault(min(9, int(part["score"] * 10)), []).append(part)
    found = []
    for _, same in sorted(tenths.items()):
        patients = sum(part["patients"] for part in same)
        found.append(
            {"patients": patients}
            | {
                name: sum(part[name] * part["patients"] for part in same) / patients
                for name in ("score", "share")
            }
        )
    return found
