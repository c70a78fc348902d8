"""report.html of a comparison: who is ahead, by how much, and how sure that is.

One self-contained file made of results.json, and of the picture of the split where there is one.
The template escapes everything.
"""

from base64 import b64encode
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from jinja2 import Environment

from irene_model.console import figure, known
from irene_model.pages import look
from server.report import pages
from simulations.report import page_parts
from simulations.report.claims import claims, signed

Json = Mapping[str, Any]
_MOST_COLUMNS = 8  # of a table on paper; numbers.csv has all
_MOST_PICTURE = 4_000_000  # bytes


def write_page(results: Json, path: Path) -> Path:
    """Write the page of `results`, the contents of results.json, to `path`."""
    work = path.with_suffix(".html.partial")
    work.write_text(render(results, split=split_picture(path.parent)), encoding="utf-8")
    work.replace(path)
    return path


def split_picture(out: Path) -> str | None:
    """The first seed's `split.png` as a data URI."""
    for path in sorted(out.glob("seed-*/split.png")):
        if path.stat().st_size <= _MOST_PICTURE:
            return f"data:image/png;base64,{b64encode(path.read_bytes()).decode()}"
    return None


def render(results: Json, *, split: str | None = None) -> str:
    """The page's HTML. split: a picture of it as a data URI."""
    rows = best_first(results)
    together = page_parts.whole(rows)
    page = (
        _environment()
        .get_template("report/comparison.html.j2")
        .render(
            look=look(),
            results=results,
            rows=rows,
            together=together[:_MOST_COLUMNS],
            plot=page_parts.dot_plot(rows, results["reference"]),
            gains=page_parts.gain_plots(results),
            claims=claims(results),
            epsilons=page_parts.epsilon_plot(rows),
            curves={
                "ROC: the mean over findings": page_parts.roc_plot(rows),
                "Reliability: on the dashed line a score means what it says": (
                    page_parts.reliability_plot(rows)
                ),
            },
            ablations=page_parts.ablation(results),
            by_site=dict(
                list(page_parts.at_each_site(rows, results["sites"]).items())[:_MOST_COLUMNS]
            ),
            judged=[(name, arm) for name, arm in rows if arm.get("evidence")],
            modalities=list(dict.fromkeys(name for _, arm in rows for name in arm["without"])),
            split=split,
            most_seeds=max((len(arm["seeds"]) for _, arm in rows), default=0),
        )
    )
    return page.strip() + "\n"


def best_first(results: Json) -> list[tuple[str, Json]]:
    """Rows by falling mean AUROC; those without one last."""
    return sorted(
        results["arms"].items(),
        key=lambda item: (
            known(item[1]["auroc"]["macro"]) is None,
            -(known(item[1]["auroc"]["macro"]) or 0.0),
        ),
    )


def gains_by_way(results: Json) -> dict[str, dict[str, Any]]:
    """`federated-dp/irene` -> site -> its gain; the rows of one site each stand in one together.

    Best first by the mean over the sites, and without the rows that have no own model beside them.
    """
    found = {way: told["sites"] for way, told in results["joining"].items()}

    def mean(way: str) -> float:
        values = [known(gain["mean"]) for gain in found[way].values()]
        defined = [value for value in values if value is not None]
        return sum(defined) / len(defined) if defined else float("-inf")

    return {way: found[way] for way in sorted(found, key=mean, reverse=True)}


def chance(p: float | None) -> str:
    """A p value: 0.032, or < 0.001, since none is 0, in one piece."""
    return "<\u00a00.001" if known(p) is not None and p < 0.001 else figure(p)  # type: ignore[operator]


def _environment() -> Environment:
    environment = pages("simulations")
    environment.filters |= {"figure": figure, "signed": signed, "chance": chance}
    environment.tests |= {"known": lambda value: known(value) is not None}
    return environment
