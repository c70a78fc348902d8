"""missing.json, missing.csv and missing.html of finished trainings."""

import csv
import io
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from irene_model.pages import look
from server.report import pages
from simulations.compare import over_both
from simulations.report import Place, SquareChart, Trace, square_chart

Json = dict[str, Any]
_ALONE = " alone"
_COLUMNS = ("model", "trained", "tested", "auroc", "low", "high", "seeds")


def summarise(results: Sequence[Json], *, study: str) -> Json:
    """Each model, training and test over the seeds: AUROC with its interval (`over_both`)."""
    found: dict[tuple[str, str, str], list[Json]] = {}
    for result in results:
        for test in result["tests"]:
            key = (result["model"], trained_words(result), tested_words(test))
            found.setdefault(key, []).append(test)
    rows = []
    for (model, trained, tested), tests in found.items():
        spread = over_both([t["auroc"] for t in tests], [t["se"] for t in tests])
        bounds = spread.ci95 and [min(1.0, max(0.0, bound)) for bound in spread.ci95]
        rows.append(
            {
                "model": model,
                "trained": trained,
                "tested": tested,
                "auroc": spread.mean,
                "ci95": bounds,
                "seeds": spread.n,
                "lack": _of_one(tests[0]),
            }
        )
    return {"schema": 1, "study": study, "rows": rows}


def curves(summary: Json) -> dict[str, SquareChart]:
    """`text missing at random` -> AUROC against the share that lacks it in the test.

    A line for each model and each training that bears on it: with all, and with that lack.
    """
    found: dict[str, dict[str, list[Place]]] = {}
    whole = {
        (row["model"], row["trained"]): _place(0.0, row)
        for row in summary["rows"]
        if row["tested"] == "all"
    }
    for row in summary["rows"]:
        if lack := row["lack"]:
            title = f"{lack['modality']} missing {_how(lack['way'])}"
            key, name = (row["model"], row["trained"]), f"{row['model']}, {row['trained']}"
            places = found.setdefault(title, {}).setdefault(name, [whole[key]])
            places.append(_place(lack["rate"], row))
    return {
        title: chart
        for title, lines in found.items()
        if (chart := _chart([Trace(name=name, places=p) for name, p in lines.items()]))
    }


def _chart(traces: Sequence[Trace]) -> SquareChart | None:
    told = [y for trace in traces for p in trace.places for y in (p.y, p.low) if y is not None]
    bottom = int(max(0.0, min([0.5, *told])) * 10) / 10
    return square_chart(
        traces,
        x_label="% who lack it in the test",
        y_label="AUROC",
        x_ticks=[(share, f"{100 * share:g}") for share in (0, 0.25, 0.5, 0.75, 1)],
        y_ticks=[round(bottom + (1 - bottom) * part / 5, 3) for part in range(6)],
    )


def _place(rate: float, row: Json) -> Place:
    low, high = row["ci95"] or (None, None)
    return Place(
        x=rate, y=float("nan") if row["auroc"] is None else row["auroc"], low=low, high=high
    )


def _of_one(test: Mapping[str, Any]) -> Json | None:
    """The one modality that the test takes away, if it takes one away at a rate."""
    if "present" in test or not test["modality"]:
        return None
    return {name: test[name] for name in ("modality", "rate", "way")}


def trained_words(result: Mapping[str, Any]) -> str:
    """`all`, `text 50 % missing at random`, `text alone`."""
    if result["alone"]:
        return f"{result['alone']}{_ALONE}"
    return _lack(result) if result["modality"] else "all"


def tested_words(test: Mapping[str, Any]) -> str:
    """`all`, `text 25 % missing by pattern`, `only image + text`."""
    if "present" in test:
        return "only " + " + ".join(test["present"])
    return _lack(test) if test["modality"] else "all"


def _lack(of: Mapping[str, Any]) -> str:
    return f"{of['modality']} {of['rate']:.0%} missing {_how(of['way'])}".replace("%", " %")


def _how(way: str) -> str:
    return "at random" if way == "random" else "by pattern"


def table_of(summary: Json, trained: str) -> tuple[list[str], list[tuple[str, list[Json | None]]]]:
    """Models, and for each test of this training the models' figures in that order."""
    rows = [row for row in summary["rows"] if row["trained"] == trained]
    models = list(dict.fromkeys(row["model"] for row in rows))
    figures = {(row["tested"], row["model"]): row for row in rows}
    tests = dict.fromkeys(row["tested"] for row in rows)
    return models, [(test, [figures.get((test, model)) for model in models]) for test in tests]


def write_results(summary: Json, out: Path) -> None:
    """All three files, each replaced as a whole."""
    trainings = dict.fromkeys(row["trained"] for row in summary["rows"])
    alone = [row for row in summary["rows"] if row["trained"].endswith(_ALONE)]
    page = (
        pages("simulations")
        .get_template("missing/missing.html.j2")
        .render(
            look=look(),
            summary=summary,
            curves=curves(summary),
            tables={
                trained: table_of(summary, trained)
                for trained in trainings
                if not trained.endswith(_ALONE)
            },
            alone=alone,
        )
    )
    text = json.dumps(summary, indent=2, allow_nan=False) + "\n"
    for name, content in (
        ("missing.json", text),
        ("missing.csv", _csv(summary)),
        ("missing.html", page.strip() + "\n"),
    ):
        work = out / f"{name}.partial"
        work.write_text(content, encoding="utf-8")
        work.replace(out / name)


def _csv(summary: Json) -> str:
    written = io.StringIO()
    lines = csv.writer(written, lineterminator="\n")
    lines.writerow(_COLUMNS)
    for row in summary["rows"]:
        low, high = row["ci95"] or ("", "")
        lines.writerow(
            [row["model"], row["trained"], row["tested"], row["auroc"], low, high, row["seeds"]]
        )
    return written.getvalue()
