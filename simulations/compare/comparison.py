"""results.json of a comparison: finished trials to rows, with intervals and differences (pure).

A row is an arm with a model. `ci95` is over seeds here, or over draws of the test patients where
these are real (see `intervals`); each seed's own interval, over its test patients, is in the row's
`seeds`. The first row that is no single hospital's is the reference of all differences, or else the
first one.
"""

from collections.abc import Callable, Mapping, Sequence
from enum import StrEnum
from typing import Any

from simulations.compare.evidence_rows import across_seeds
from simulations.compare.intervals import (
    Spread,
    minus,
    over_seeds,
    seeds_or_patients,
    without_interval,
)
from simulations.compare.joining import gain_at, joining, own_model
from simulations.evidence import holm

Json = dict[str, Any]
_KEPT_APART = ("versions", "draws", "evidence", "patients")  # in each result.json
Value = Callable[[Json], float | None]

MEASURES: Mapping[str, Value] = {
    "auroc": lambda result: result["auroc"]["macro"],
    "auprc": lambda result: result["auprc"]["macro"],
    "brier": lambda result: result["calibration"]["brier"],
    "ece": lambda result: result["calibration"]["ece"],
}


class Interval(StrEnum):
    """What an interval is over: it holds that and nothing else (see `intervals`)."""

    SEEDS = "seeds"
    PATIENTS = "patients"


HOLDS: Mapping[Interval, str] = {
    Interval.SEEDS: "mean over seeds and its 95 % interval by Student's t: new patients, split, "
    "first weights and batches each; of a gain, of calibration and of groups of patients never "
    "narrower than the test patients allow; with a single seed over draws of these alone, which "
    "tells what other test patients would show of this training, not what another would",
    Interval.PATIENTS: "mean over folds of the same patients, and the middle 95 % of its values "
    "over draws of the test patients: what other test patients would show of these trainings, "
    "not what another training or another hospital would",
}


def summarise(
    rows: Mapping[str, Sequence[Json]],
    *,
    labels: Sequence[str],
    sites: Sequence[str],
    over: Interval = Interval.SEEDS,
) -> Json:
    """The contents of results.json. `rows`: each row's key and its finished trials, in order."""
    done = [key for key, results in rows.items() if results]
    reference = next((key for key in done if rows[key][0]["site"] is None), next(iter(done), None))
    summary: Json = {
        "schema": 1,
        "labels": list(labels),
        "sites": list(sites),
        "over": str(over),
        "interval": HOLDS[over],
        "reference": reference,
        "arms": {},
    }
    for key, results in rows.items():
        if results and reference is not None:
            row = _row(results, labels, sites, over)
            ahead = _difference(results, rows[reference], over) if key != reference else None
            gain = _gains(results, rows, sites, over)
            summary["arms"][key] = row | {"difference": ahead, "gain": gain}
    summary["models"] = _models(rows, over)
    summary["pooled"] = _less_pooled(rows, over)
    summary["joining"] = joining(rows, sites, seeds=over is Interval.SEEDS)
    summary["patients"] = next((r[0]["patients"] for r in rows.values() if _tells(r)), {})
    return summary


def _models(rows: Mapping[str, Sequence[Json]], over: Interval) -> Json:
    """Way to train -> its first model, and AUROC of its others less that one's, seed by seed."""
    ways: dict[str, list[Sequence[Json]]] = {}
    for key, results in rows.items():
        if results and results[0]["site"] is None:
            ways.setdefault(key.removesuffix(f"/{results[0]['model']}"), []).append(results)
    found = {}
    for way, (first, *others) in ways.items():
        gaps = {each[0]["model"]: _ahead(each, first, over) for each in others}
        corrected = holm({model: gap.p for model, gap in gaps.items()})
        if gaps:
            found[way] = {
                "first": first[0]["model"],
                "less_first": {
                    model: gap.as_dict() | {"p": gap.p, "p_holm": corrected[model]}
                    for model, gap in gaps.items()
                },
            }
    return found


def _less_pooled(rows: Mapping[str, Sequence[Json]], over: Interval) -> Json:
    """Row of all hospitals -> its AUROC less that of `central` with the same model, paired."""
    found: Json = {}
    for key, results in rows.items():
        pooled = rows.get(f"central/{results[0]['model']}") if results else None
        if pooled and results[0]["site"] is None and results[0]["arm"] != "central":
            found[key] = _ahead(results, pooled, over).as_dict()
            found[key]["of"] = over_seeds([r["auroc"]["macro"] for r in pooled]).mean
    return found


def _tells(results: Sequence[Json]) -> bool:
    return bool(results) and "patients" in results[0]


def _gains(
    results: Sequence[Json],
    rows: Mapping[str, Sequence[Json]],
    sites: Sequence[str],
    over: Interval,
) -> Json:
    """Site -> its gain over its own model (`joining`); of a row of one site at that alone."""
    first = results[0]
    if first["arm"] == "local":
        return {}
    found: Json = {}
    for site in sites if first["site"] is None else [first["site"]]:
        own = own_model(rows, site, first["model"])
        if {each["seed"] for each in own} & {each["seed"] for each in results}:
            found[site] = gain_at(site, results, own, seeds=over is Interval.SEEDS).as_dict()
    return found


def _row(
    results: Sequence[Json], labels: Sequence[str], sites: Sequence[str], over: Interval
) -> Json:
    first = results[0]
    calibration: Json = {}
    for name in ("brier", "ece"):
        spread = _plain(over)([MEASURES[name](r) for r in results])
        calibration |= {name: spread.mean, f"{name}_ci95": spread.as_dict()["ci95"]}
    return {
        "arm": first["arm"],
        "site": first["site"],
        "model": first["model"],
        "rounds": first["rounds"],
        "seconds": over_seeds([r["seconds"] for r in results]).mean,
        "parameters": first["parameters"],
        "auroc": _metric(results, "auroc", labels, sites, over),
        "auprc": _metric(results, "auprc", labels, sites, over),
        "calibration": calibration,
        "privacy": _most_spent(results),
        "without": _without(results, over),
        "evidence": across_seeds(results, seeds=over is Interval.SEEDS),
        "epsilon": first["epsilon"],
        "seeds": [{name: r[name] for name in r if name not in _KEPT_APART} for r in results],
        "versions": first["versions"],
    }


def _metric(
    results: Sequence[Json],
    name: str,
    labels: Sequence[str],
    sites: Sequence[str],
    over: Interval,
) -> Json:
    """AUROC or AUPRC; a label's `positives` and `n` add up over the seeds."""
    values = [r[name]["macro"] for r in results]
    if name == "auroc":
        draws = [r["draws"]["all"] for r in results]
        spread = seeds_or_patients(values, draws, seeds=over is Interval.SEEDS)
    else:
        spread = _plain(over)(values)
    macro = _named(spread, "macro")
    by_label = {}
    for label in labels:
        estimates = [r[name]["by_label"][label] for r in results]
        by_label[label] = {
            **_named(_plain(over)([e["value"] for e in estimates]), "value"),
            "positives": sum(e["positives"] for e in estimates),
            "n": sum(e["n"] for e in estimates),
        }
    by_site = {
        site: over_seeds([r[name]["by_site"].get(site) for r in results]).mean for site in sites
    }
    return {**macro, "by_label": by_label, "by_site": by_site}


def _difference(results: Sequence[Json], reference: Sequence[Json], over: Interval) -> Json:
    """Row minus reference, seed by seed."""
    both = _paired(results, reference)
    others = {
        name: _plain(over)([_less(value(one), value(other)) for one, other in both]).as_dict()
        for name, value in MEASURES.items()
    }
    return others | {"auroc": _ahead(results, reference, over).as_dict()}


def _ahead(results: Sequence[Json], reference: Sequence[Json], over: Interval) -> Spread:
    """AUROC minus the reference's, of the same patients."""
    both = _paired(results, reference)
    value = MEASURES["auroc"]
    return seeds_or_patients(
        [_less(value(one), value(other)) for one, other in both],
        [minus(one["draws"]["all"], other["draws"]["all"]) for one, other in both],
        seeds=over is Interval.SEEDS,
    )


def _paired(results: Sequence[Json], reference: Sequence[Json]) -> list[tuple[Json, Json]]:
    others = {other["seed"]: other for other in reference}
    return [(result, others[result["seed"]]) for result in results if result["seed"] in others]


def _without(results: Sequence[Json], over: Interval) -> Json:
    """The AUROC with a modality taken from the test patients, and what that changes."""
    modalities = dict.fromkeys(name for r in results for name in r["without"])
    summary: Json = {}
    for modality in modalities:
        lacking = [
            (r["without"][modality]["auroc"], r["auroc"]["macro"])
            for r in results
            if modality in r["without"]
        ]
        summary[modality] = {
            "auroc": _plain(over)([value for value, _ in lacking]).as_dict(),
            "change": _plain(over)([_less(value, whole) for value, whole in lacking]).as_dict(),
        }
    return summary


def _plain(over: Interval) -> Callable[[Sequence[float | None]], Spread]:
    """How values without draws of patients are put together."""
    return over_seeds if over is Interval.SEEDS else without_interval


def _less(value: float | None, reference: float | None) -> float | None:
    return None if value is None or reference is None else value - reference


def _most_spent(results: Sequence[Json]) -> Json:
    """Each site's largest epsilon over the seeds, with its delta and unit."""
    most: Json = {}
    for result in results:
        for site, spent in result["privacy"].items():
            if site not in most or (spent["epsilon"] or 0.0) > (most[site]["epsilon"] or 0.0):
                most[site] = spent
    return most


def _named(spread: Spread, name: str) -> Json:
    return {name: spread.mean, "ci95": spread.as_dict()["ci95"]}
