"""numbers.csv: every figure of a comparison in a line of its own, for other programs (pure).

Columns: `row` (as in results.json), `arm`, `site` and `model` of it, `epsilon` where one was asked
for, `measure`, `of` (what it is of: all, a finding, a hospital, a group, a modality), `seed` (empty
for what is over all of them), `value`, `low` and `high` of its 95 % interval, `p` and Holm's `p`.
"""

import csv
import io
from collections.abc import Iterator, Mapping
from typing import Any

Json = Mapping[str, Any]
Line = dict[str, Any]
COLUMNS = (
    "row", "arm", "site", "model", "epsilon", "measure", "of", "seed", "value", "low", "high",
    "p", "p_holm",
)  # fmt: skip


def numbers_csv(results: Json) -> str:
    """The file's text, with a line of names first. What a name holds begins no formula."""
    written = io.StringIO()
    lines = csv.DictWriter(written, COLUMNS, restval="", lineterminator="\n")
    lines.writeheader()
    for key, arm in results["arms"].items():
        about = {"row": key, **{name: arm.get(name) for name in COLUMNS[1:5]}}
        for line in _of_row(arm):
            lines.writerow({name: _safe(value) for name, value in (about | line).items()})
    for way, told in results["joining"].items():
        for site, gain in told["sites"].items():
            line = {"row": way, "site": site, **_line("gain", f"site {site}", gain, "mean")}
            lines.writerow({name: _safe(value) for name, value in line.items()})
        line = {"row": way, **_line("gain", "mean of the sites", told["mean"], "mean")}
        lines.writerow({name: _safe(value) for name, value in line.items()})
    return written.getvalue()


def _of_row(arm: Json) -> Iterator[Line]:
    for measure in ("auroc", "auprc"):
        of = arm[measure]
        yield _line(measure, "all", of, "macro")
        for seed in arm["seeds"]:
            yield _line(measure, "all", seed[measure], "macro") | {"seed": seed["seed"]}
        for label, entry in of["by_label"].items():
            yield _line(measure, f"label {label}", entry, "value")
        for site, value in of["by_site"].items():
            yield {"measure": measure, "of": f"site {site}", "value": value}
    for measure in ("brier", "ece"):
        entry = {
            "value": arm["calibration"][measure],
            "ci95": arm["calibration"][f"{measure}_ci95"],
        }
        yield _line(measure, "all", entry, "value")
    if arm["difference"]:
        for measure, spread in arm["difference"].items():
            yield _line(f"{measure} less the reference's", "all", spread, "mean")
    for modality, found in arm["without"].items():
        yield _line("auroc", f"without {modality}", found["auroc"], "mean")
        yield _line("auroc change", f"without {modality}", found["change"], "mean")
    yield from _of_evidence(arm.get("evidence") or {})
    for site, spent in arm["privacy"].items():
        yield {"measure": "epsilon spent", "of": f"site {site}", "value": spent["epsilon"]}
    yield {"measure": "parameters", "of": "all", "value": arm["parameters"]}
    yield {"measure": "seconds", "of": "all", "value": arm["seconds"]}


def _of_evidence(told: Json) -> Iterator[Line]:
    if not told:
        return
    for measure in ("slope", "intercept"):
        yield _line(f"calibration {measure}", "all", told[measure], "value")
    for name, entry in told["sensitivity_at"].items():
        yield _line(f"sensitivity at specificity {name}", "all", entry, "value")
    roc = told["roc"]
    for x, y in zip(roc["false_positive_rate"], roc["sensitivity"], strict=False):
        yield {"measure": "sensitivity", "of": f"false positive rate {x:g}", "value": y}
    for part in told["reliability"]:
        yield {
            "measure": "share of positives",
            "of": f"score {part['score']:.4f}",
            "value": part["share"],
        }
    for kind, groups in told["groups"].items():
        for name, entry in groups.items():
            of = f"{kind} {name}"
            yield {"measure": "test patients", "of": of, "value": entry["patients"]}
            for measure in ("auroc", "sensitivity", "specificity"):
                yield _line(measure, of, entry[measure], "value")
                yield _line(f"{measure} gap", of, entry[measure]["gap"], "value")


def _line(measure: str, of: str, entry: Json, value: str) -> Line:
    low, high = entry.get("ci95") or (None, None)
    told = {"value": entry[value], "low": low, "high": high}
    return {
        "measure": measure,
        "of": of,
        **told,
        "p": entry.get("p"),
        "p_holm": entry.get("p_holm"),
    }


def _safe(value: Any) -> Any:
    """A spreadsheet takes a text that begins so for a formula, and names come from files."""
    if isinstance(value, str) and value[:1] in "=+-@\t\r":
        return f"'{value}"
    return value
