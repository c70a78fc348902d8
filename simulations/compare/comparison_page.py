"""report.html of a comparison: who is ahead, by how much, and how sure that is.

One self-contained file made of results.json alone. The template escapes everything.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from jinja2 import Environment

from irene_model.console import figure, known
from server.report import Tick, pages, share_of, ticks

Json = Mapping[str, Any]

_WIDTH, _LEFT, _RIGHT, _TOP, _ROW = 940.0, 210.0, 170.0, 8.0, 34.0


@dataclass(frozen=True, kw_only=True)
class Dots:
    """One row of the plot, in pixels: the mean, its interval and each seed's value."""

    name: str
    y: float
    mean: float
    low: float | None
    high: float | None
    seeds: Sequence[float]
    text: str


@dataclass(frozen=True, kw_only=True)
class DotPlot:
    """AUROC of all rows on one axis, best first."""

    width: float
    height: float
    left: float
    right: float
    bottom: float
    reference: float | None
    ticks: Sequence[Tick]
    rows: Sequence[Dots]


def write_page(results: Json, path: Path) -> Path:
    """Write the page of `results`, the contents of results.json, to `path`."""
    work = path.with_suffix(".html.partial")
    work.write_text(render(results), encoding="utf-8")
    work.replace(path)
    return path


def render(results: Json) -> str:
    """The page's HTML."""
    rows = best_first(results)
    modalities = dict.fromkeys(name for _, arm in rows for name in arm["without"])
    page = (
        _environment()
        .get_template("compare/comparison.html.j2")
        .render(
            results=results,
            rows=rows,
            plot=dot_plot(rows, results["reference"]),
            modalities=list(modalities),
            gains=gains_by_way(results),
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
    found: dict[str, dict[str, Any]] = {}
    for name, arm in results["arms"].items():
        way = name if arm["site"] is None else name.replace(f"-{arm['site']}/", "/", 1)
        if arm["gain"]:
            found.setdefault(way, {}).update(arm["gain"])

    def mean(way: str) -> float:
        values = [known(gain["mean"]) for gain in found[way].values()]
        defined = [value for value in values if value is not None]
        return sum(defined) / len(defined) if defined else float("-inf")

    return {way: found[way] for way in sorted(found, key=mean, reverse=True)}


def dot_plot(rows: Sequence[tuple[str, Json]], reference: str | None) -> DotPlot | None:
    """Lay out the rows that have an AUROC; None if none has."""
    drawn = [(name, arm) for name, arm in rows if known(arm["auroc"]["macro"]) is not None]
    if not drawn:
        return None
    values = [value for _, arm in drawn for value in (arm["auroc"]["macro"], *_seed_values(arm))]
    values += [bound for _, arm in drawn for bound in _interval(arm) or ()]
    places = ticks(max(0.0, min(values)), min(1.0, max(values)))
    bottom = _TOP + _ROW * len(drawn)

    def at(value: float) -> float:
        return _LEFT + share_of(value, places) * (_WIDTH - _LEFT - _RIGHT)

    def dots(index: int, name: str, arm: Json) -> Dots:
        mean, bounds = arm["auroc"]["macro"], _interval(arm)
        interval = f" ({figure(bounds[0])} to {figure(bounds[1])})" if bounds else ""
        return Dots(
            name=name,
            y=_TOP + _ROW * (index + 0.5),
            mean=at(mean),
            low=at(bounds[0]) if bounds else None,
            high=at(bounds[1]) if bounds else None,
            seeds=[at(value) for value in _seed_values(arm)],
            text=f"{figure(mean)}{interval}",
        )

    means = {name: arm["auroc"]["macro"] for name, arm in drawn}
    return DotPlot(
        width=_WIDTH,
        height=bottom + 42,
        left=_LEFT,
        right=_WIDTH - _RIGHT,
        bottom=bottom,
        reference=at(means[reference]) if reference in means else None,
        ticks=[Tick(at=at(place), text=f"{place:g}") for place in places],
        rows=[dots(index, name, arm) for index, (name, arm) in enumerate(drawn)],
    )


def _seed_values(arm: Json) -> list[float]:
    values = [known(seed["auroc"]["macro"]) for seed in arm["seeds"]]
    return [value for value in values if value is not None]


def _interval(arm: Json) -> tuple[float, float] | None:
    low, high = (known(bound) for bound in arm["auroc"]["ci95"] or (None, None))
    return None if low is None or high is None else (low, high)


def _environment() -> Environment:
    environment = pages("simulations")
    environment.filters |= {"figure": figure, "signed": signed}
    environment.tests |= {"known": lambda value: known(value) is not None}
    return environment


def signed(value: float | None) -> str:
    """A difference: +0.012."""
    number = known(value)
    return ("+" if number is not None and number >= 0 else "") + figure(number)
