"""What a run's files may hold: lines of rounds.jsonl as they can be used. Pure.

Replies are bounded where they are parsed. A file outlives the version that wrote it, and a disk
holds what it holds: a number that no reply could bring today is left out here, so that no line can
end a run, its results or a page. What stood in a refused reply was never true of anything.
"""

import json
import math
from collections.abc import Mapping
from typing import Any

from irene_model.exchange import LARGEST_EPSILON, MOST_PATIENTS
from irene_model.study import LARGEST_NOISE, MOST_ROUNDS, one_line

Json = dict[str, Any]
_MOST: Mapping[str, float] = {
    "weight": MOST_PATIENTS,
    "noise_multiplier": LARGEST_NOISE,
    "sample_rate": 1.0,
    "rounds_charged": MOST_ROUNDS,
    "epsilon": LARGEST_EPSILON,
    "epsilon_told": LARGEST_EPSILON,
    "epsilon_total": LARGEST_EPSILON,
    "epsilon_alone": LARGEST_EPSILON,
    "epsilon_alone_told": LARGEST_EPSILON,
    "norm": 1e30,
    "seconds": 1e8,
    "waited_s": 1e8,
    "bytes_up": 1e15,
    "discount": 1.0,
}
_TOLD = (
    *("noise_multiplier", "sample_rate", "rounds_charged", "weight"),
    *("epsilon", "epsilon_told", "epsilon_total", "epsilon_alone", "epsilon_alone_told"),
)
_OF_EVALUATION = {"auroc": 1.0, "auprc": 1.0, "loss": 1e3}


def clean(line: Mapping[str, Any]) -> Json:
    """`line` without what can't be true in it."""
    result: Json = dict(line)
    if "sites" in line:
        result["sites"] = _entries(line["sites"])
    if "late" in line:
        late = line["late"] if isinstance(line["late"], list) else []
        result["late"] = [_entry(each) for each in late if isinstance(each, dict)]
    if "secure" in line:
        result["secure"] = _attempts(line["secure"])
    if isinstance(line.get("evaluation"), dict):
        result["evaluation"] = _evaluation(line["evaluation"])
    return result


def bounded(number: Any, most: float) -> bool:
    """Whether it is a finite number from 0 to `most`."""
    real = isinstance(number, int | float) and not isinstance(number, bool)
    return real and 0 <= number <= most  # which no NaN is


def finite(number: float) -> float | None:
    """JSON knows no infinity: without noise there is no epsilon."""
    return number if math.isfinite(number) else None


def as_json(value: Any, *, indent: int | None = None) -> str:
    """`value` as JSON, with null for each number that is not finite."""
    return json.dumps(_with_null(value), indent=indent, allow_nan=False)


def _with_null(value: Any) -> Any:
    match value:
        case float():
            return finite(value)
        case dict():
            return {key: _with_null(each) for key, each in value.items()}
        case list() | tuple():
            return [_with_null(each) for each in value]
    return value


def _entries(sites: Any) -> dict[str, Json]:
    known = sites.items() if isinstance(sites, dict) else ()
    return {one_line(str(s), 80): _entry(each) for s, each in known if isinstance(each, dict)}


def _entry(entry: Json) -> Json:
    """What became of one site; one whose numbers are impossible was refused."""
    left_out = {
        key for key, most in _MOST.items()
        if key in entry and not bounded(entry[key], most)
        and not (entry[key] is None and key.startswith("epsilon"))  # null without noise
    }  # fmt: skip
    if entry.get("outcome") == "refused":
        left_out |= set(_TOLD)
    impossible = left_out & {"noise_multiplier", "sample_rate"} or entry.get("sample_rate") == 0
    if impossible or "noise_multiplier" not in entry:
        left_out |= {"noise_multiplier", "sample_rate"}  # one alone is no mechanism of training
    result = {"outcome": "failed", **{k: v for k, v in entry.items() if k not in left_out}}
    if result["outcome"] == "evaluated" and "noise_multiplier" not in result:
        result |= {"outcome": "refused", "reason": "its noise multiplier is impossible"}
    if "withheld" in result:
        names = result["withheld"] if isinstance(result["withheld"], list) else []
        result["withheld"] = [one_line(str(name), 80) for name in names]
    if "rounds_charged" in result:
        result["rounds_charged"] = int(result["rounds_charged"])
    for key in ("outcome", "reason", "code", "site"):
        if key in result:
            result[key] = one_line(str(result[key]))
    return result


def _attempts(attempts: Any) -> list[Json]:
    """Those of a secure sum: who was in them, what became of them, and by whom."""
    found = []
    for each in attempts if isinstance(attempts, list) else ():
        match each:
            case {"attempt": int(number), "partners": [*partners], "outcome": str(outcome)}:
                blamed = each.get("blamed")
                told = blamed.items() if isinstance(blamed, dict) else ()
                found.append(
                    {
                        **each,
                        "attempt": number,
                        "partners": [one_line(str(site), 80) for site in partners],
                        "outcome": one_line(outcome),
                        "blamed": {one_line(str(s), 80): one_line(str(why)) for s, why in told},
                        "reason": one_line(str(each.get("reason", ""))),
                    }
                )
    return found


def _interval(told: Any) -> bool:
    """Two ends of shares."""
    return isinstance(told, list) and len(told) == 2 and all(bounded(end, 1.0) for end in told)


def _evaluation(evaluation: Json) -> Json:
    result = dict(evaluation)
    for key, most in _OF_EVALUATION.items():
        if key in result and not bounded(result[key], most):
            result[key] = None
    if not _interval(result.get("auroc_ci95")):
        result["auroc_ci95"] = None
    by_site = result.get("by_site")
    sites = by_site.items() if isinstance(by_site, dict) else ()
    result["by_site"] = {s: v if bounded(v, 1.0) else None for s, v in sites}
    if "by_site_ci95" in result:
        told = result["by_site_ci95"]
        intervals = told.items() if isinstance(told, dict) else ()
        result["by_site_ci95"] = {s: i for s, i in intervals if _interval(i)}
    if "sites" in result:
        result["sites"] = _entries(result["sites"])
    if "secure" in result:
        result["secure"] = _attempts(result["secure"])
    return result
