"""results.json of a comparison: finished trials to rows, with intervals and differences (pure).

A row is an arm with a model. `ci95` is over seeds here (see `intervals`); each seed's own interval,
over its test patients, is in the row's `seeds`. The first row is the reference of all differences.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from simulations.compare.intervals import Spread, over_seeds, paired

Json = dict[str, Any]
Value = Callable[[Json], float | None]

MEASURES: Mapping[str, Value] = {
    "auroc": lambda result: result["auroc"]["macro"],
    "auprc": lambda result: result["auprc"]["macro"],
    "brier": lambda result: result["calibration"]["brier"],
    "ece": lambda result: result["calibration"]["ece"],
}


def summarise(
    rows: Mapping[str, Sequence[Json]], *, labels: Sequence[str], sites: Sequence[str]
) -> Json:
    """The contents of results.json. `rows`: each row's key and its finished trials, in order."""
    reference = next((key for key, results in rows.items() if results), None)
    return {
        "schema": 1,
        "labels": list(labels),
        "sites": list(sites),
        "interval": "mean over seeds and its 95 % interval by Student's t",
        "reference": reference,
        "arms": {
            key: _row(results, labels, sites)
            | {"difference": _difference(results, rows[reference]) if key != reference else None}
            for key, results in rows.items()
            if results and reference is not None
        },
    }


def _row(results: Sequence[Json], labels: Sequence[str], sites: Sequence[str]) -> Json:
    first = results[0]
    calibration: Json = {}
    for name in ("brier", "ece"):
        spread = over_seeds([MEASURES[name](r) for r in results])
        calibration |= {name: spread.mean, f"{name}_ci95": spread.as_dict()["ci95"]}
    return {
        "arm": first["arm"],
        "site": first["site"],
        "model": first["model"],
        "rounds": first["rounds"],
        "seconds": over_seeds([r["seconds"] for r in results]).mean,
        "parameters": first["parameters"],
        "auroc": _metric(results, "auroc", labels, sites),
        "auprc": _metric(results, "auprc", labels, sites),
        "calibration": calibration,
        "privacy": _most_spent(results),
        "without": _without(results),
        "seeds": [{name: r[name] for name in r if name != "versions"} for r in results],
        "versions": first["versions"],
    }


def _metric(
    results: Sequence[Json], name: str, labels: Sequence[str], sites: Sequence[str]
) -> Json:
    """AUROC or AUPRC; a label's `positives` and `n` add up over the seeds."""
    macro = _named(over_seeds([r[name]["macro"] for r in results]), "macro")
    by_label = {}
    for label in labels:
        estimates = [r[name]["by_label"][label] for r in results]
        by_label[label] = {
            **_named(over_seeds([e["value"] for e in estimates]), "value"),
            "positives": sum(e["positives"] for e in estimates),
            "n": sum(e["n"] for e in estimates),
        }
    by_site = {
        site: over_seeds([r[name]["by_site"].get(site) for r in results]).mean for site in sites
    }
    return {**macro, "by_label": by_label, "by_site": by_site}


def _difference(results: Sequence[Json], reference: Sequence[Json]) -> Json:
    """Row minus reference, seed by seed."""
    return {
        name: paired(
            {r["seed"]: value(r) for r in results}, {r["seed"]: value(r) for r in reference}
        ).as_dict()
        for name, value in MEASURES.items()
    }


def _without(results: Sequence[Json]) -> Json:
    """The AUROC with a modality taken from the test patients, and what that changes."""
    whole = {r["seed"]: r["auroc"]["macro"] for r in results}
    modalities = dict.fromkeys(name for r in results for name in r["without"])
    summary: Json = {}
    for modality in modalities:
        lacking = {
            r["seed"]: r["without"][modality]["auroc"] for r in results if modality in r["without"]
        }
        summary[modality] = {
            "auroc": over_seeds(list(lacking.values())).as_dict(),
            "change": paired(lacking, whole).as_dict(),
        }
    return summary


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
