"""What the page of a comparison shows, from results.json: its figures and its words (pure)."""

import math
from collections.abc import Collection, Mapping, Sequence
from typing import Any

from irene_model.console import figure, known
from simulations.report.claims import signed, with_bounds
from simulations.report.forest import Entry, Forest, forest
from simulations.report.square_axes import Place, SquareChart, Trace, square_chart

Json = Mapping[str, Any]
Rows = Sequence[tuple[str, Json]]
_FEWEST = 10  # patients of an interval of scores
_MOST_ROWS = 14  # of a forest: with more, rows of one hospital each are left to the tables
_NO_PRIVACY = "∞"
_SHARES = [0.0, 0.2, 0.4, 0.6, 0.8, 1.0]


def whole(rows: Rows) -> list[tuple[str, Json]]:
    """Rows that are no single hospital's; all rows where there are no others."""
    return [(name, arm) for name, arm in rows if arm["site"] is None] or list(rows)


def dot_plot(rows: Rows, reference: str | None) -> Forest | None:
    """AUROC of all rows with its interval and each of several seeds'; None if none has one."""
    shown = rows if len(rows) <= _MOST_ROWS else whole(rows)
    several = any(len(arm["seeds"]) > 1 for _, arm in rows)
    means = {name: known(arm["auroc"]["macro"]) for name, arm in rows}
    return forest(
        [
            Entry(
                name=name,
                value=arm["auroc"]["macro"],
                ci95=arm["auroc"]["ci95"],
                dots=[seed["auroc"]["macro"] for seed in arm["seeds"]] if several else (),
                text=with_bounds(figure(arm["auroc"]["macro"]), arm["auroc"]["ci95"], figure),
            )
            for name, arm in shown
        ],
        reference=means.get(reference or ""),
        within=(0.0, 1.0),
    )


def gain_plots(results: Json) -> dict[str, Forest]:
    """Way to train -> the gain of each hospital, the largest first, and of the mean hospital."""
    trained = {site: split.get("train", 0) for site, split in results.get("patients", {}).items()}
    found = {}
    for way, told in results.get("joining", {}).items():
        order = sorted(told["sites"], key=lambda site: -trained.get(site, 0))
        entries = [
            Entry(
                name=site,
                value=gain["mean"],
                ci95=gain["ci95"],
                text=with_bounds(signed(gain["mean"]), gain["ci95"], signed),
                note=_of_patients(trained.get(site)) + _chance(gain["p_holm"]),
            )
            for site, gain in ((site, told["sites"][site]) for site in order)
        ]
        mean = told["mean"]
        text = with_bounds(signed(mean["mean"]), mean["ci95"], signed)
        entries.append(Entry(name="mean", value=mean["mean"], ci95=mean["ci95"], text=text))
        if drawn := forest(entries, reference=0.0, within=(-1.0, 1.0)):
            found[way] = drawn
    return found


def epsilon_plot(rows: Rows) -> SquareChart | None:
    """AUROC against epsilon, where a way was trained at several, and without privacy; and, level,
    what the hospitals reach alone and without privacy, on the same patients.
    """
    ways: dict[str, dict[float, Json]] = {}
    for _, arm in rows:
        if arm.get("epsilon") is not None and arm["site"] is None:
            ways.setdefault(f"{arm['arm']}/{arm['model']}", {})[arm["epsilon"]] = arm
    several = {way: at for way, at in ways.items() if len(at) > 1}
    values = sorted({epsilon for at in several.values() for epsilon in at})
    if not values:
        return None
    places = {epsilon: float(place) for place, epsilon in enumerate(values)}
    traces = []
    for way, at in several.items():
        points = [_place(places[epsilon], at[epsilon]) for epsilon in sorted(at)]
        kind, model = way.split("/", 1)
        plain = "central" if kind == "central-dp" else "federated"
        without = [a for _, a in rows if (a["arm"], a["model"]) == (plain, model)]
        points += [_place(float(len(values)), each) for each in without[:1]]
        traces.append(Trace(name=way, places=points))
    traces += _alone(rows, {way.split("/", 1)[1] for way in several}, float(len(values)))
    told = [known(y) for trace in traces for p in trace.places for y in (p.y, p.low, p.high)]
    shown = [y for y in told if y is not None] or [0.5]
    bottom = max(0.0, math.floor(min(shown) * 10) / 10)
    top = min(1.0, max(bottom + 0.1, math.ceil(max(shown) * 10) / 10))
    return square_chart(
        traces,
        x_label="epsilon",
        y_label="AUROC",
        x_ticks=[
            *((place, f"{epsilon:g}") for epsilon, place in places.items()),
            (float(len(values)), _NO_PRIVACY),
        ],
        y_ticks=[round(bottom + (top - bottom) * share, 3) for share in _SHARES],
    )


def _alone(rows: Rows, models: Collection[str], width: float) -> list[Trace]:
    """Level lines at the best and the mean of the hospitals' own models."""
    own = [arm for _, arm in rows if arm["arm"] == "local" and arm["model"] in models]
    reached = [y for arm in own if (y := known(arm["auroc"]["macro"])) is not None]
    if not reached:
        return []
    levels = {"best": max(reached), "mean": sum(reached) / len(reached)}
    return [
        Trace(
            name=f"the {kind} hospital alone, without privacy",
            places=[Place(x=0.0, y=level), Place(x=width, y=level)],
            marked=False,
        )
        for kind, level in levels.items()
    ]


def roc_plot(rows: Rows) -> SquareChart | None:
    """The ROC curve of each whole row: the mean over findings and seeds."""
    traces = []
    for name, arm in whole(rows):
        curve = arm.get("evidence", {}).get("roc", {})
        pairs = zip(
            curve.get("false_positive_rate", []), curve.get("sensitivity", []), strict=False
        )
        places = [Place(x=x, y=y) for x, y in pairs]
        traces.append(Trace(name=name, places=places, marked=False))
    return _of_shares(traces, "1 − specificity", "sensitivity")


def reliability_plot(rows: Rows) -> SquareChart | None:
    """How often what a score promises is there, all findings together.

    Intervals of scores with a handful of patients say nothing and are not drawn.
    """
    traces = [
        Trace(
            name=name,
            places=[
                Place(x=part["score"], y=part["share"])
                for part in arm.get("evidence", {}).get("reliability", [])
                if (known(part["patients"]) or 0.0) >= _FEWEST
            ],
        )
        for name, arm in whole(rows)
    ]
    return _of_shares(traces, "mean score", "share who have it")


def ablation(results: Json) -> dict[str, Forest]:
    """Way to train -> AUROC of its other models less that of its first."""
    found = {}
    for way, told in results.get("models", {}).items():
        entries = [
            Entry(
                name=model,
                value=gap["mean"],
                ci95=gap["ci95"],
                text=with_bounds(signed(gap["mean"]), gap["ci95"], signed),
            )
            for model, gap in told["less_first"].items()
        ]
        if drawn := forest(entries, reference=0.0, within=(-1.0, 1.0)):
            found[f"{way}, less {told['first']}"] = drawn
    return found


def at_each_site(rows: Rows, sites: Sequence[str]) -> dict[str, dict[str, float | None]]:
    """Way -> site -> AUROC on its own test patients; rows of one hospital each are one way."""
    found: dict[str, dict[str, float | None]] = {}
    for name, arm in rows:
        site = arm["site"]
        way = name if site is None else name.replace(f"-{site}/", "/", 1)
        told = {each: arm["auroc"]["by_site"].get(each) for each in ([site] if site else sites)}
        found.setdefault(way, {}).update(told)
    return found


def _of_shares(traces: Sequence[Trace], x_label: str, y_label: str) -> SquareChart | None:
    return square_chart(
        traces,
        x_label=x_label,
        y_label=y_label,
        x_ticks=[(share, f"{share:g}") for share in _SHARES],
        y_ticks=_SHARES,
        diagonal=True,
    )


def _place(x: float, arm: Json) -> Place:
    low, high = arm["auroc"]["ci95"] or (None, None)
    value = known(arm["auroc"]["macro"])
    return Place(x=x, y=float("nan") if value is None else value, low=low, high=high)


def _of_patients(count: int | None) -> str:
    return "" if count is None else f"{count} to train"


def _chance(p: float | None) -> str:
    if p is None:
        return ""
    return f", p {'< 0.001' if p < 0.001 else figure(p)}"
