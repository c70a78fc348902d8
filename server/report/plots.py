"""Geometry of the report's charts, which the template draws as inline SVG (pure).

Drawn by the browser, the charts are sharp in print, weigh little and show hospitals' names in
whatever script they are written. Lengths are pixels of the SVG's own coordinates. Lines differ
in marker and dashes as well as in colour, so that they can be told apart without it.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TypeAlias

Scale: TypeAlias = Callable[[float], float]

STYLES = 8
"""How many lines can be told apart; the template has as many colours and dash patterns."""

_WIDTH, _HEIGHT = 560.0, 260.0
_LEFT, _RIGHT, _TOP, _BOTTOM = 52.0, 14.0, 12.0, 40.0
_MOST_MARKERS = 30


@dataclass(frozen=True, kw_only=True)
class Point:
    """One value at one round; `low` and `high` bound its interval, where there is one."""

    x: float
    y: float
    low: float | None = None
    high: float | None = None


@dataclass(frozen=True, kw_only=True)
class Series:
    """One named line."""

    name: str
    points: Sequence[Point]


@dataclass(frozen=True, kw_only=True)
class Marker:
    """A drawn point: SVG path data around it, and the text shown when hovering."""

    path: str
    text: str


@dataclass(frozen=True, kw_only=True)
class Line:
    """A drawn series: SVG path data of the line and of its interval band."""

    name: str
    style: int
    path: str
    band: str
    markers: Sequence[Marker]
    legend_marker: str


@dataclass(frozen=True, kw_only=True)
class Tick:
    """A place on an axis and what is written there."""

    at: float
    text: str


@dataclass(frozen=True, kw_only=True)
class Chart:
    """A line chart, ready to draw; `left`, `right`, `top`, `bottom` bound the plotted area."""

    x_label: str
    y_label: str
    lines: Sequence[Line]
    x_ticks: Sequence[Tick]
    y_ticks: Sequence[Tick]
    width: float = _WIDTH
    height: float = _HEIGHT
    left: float = _LEFT
    right: float = _WIDTH - _RIGHT
    top: float = _TOP
    bottom: float = _HEIGHT - _BOTTOM


def line_chart(
    series: Sequence[Series], *, x_label: str, y_label: str, from_zero: bool = False
) -> Chart | None:
    """Lay out at most `STYLES` series on common axes; None if no series has a point."""
    drawn = [line for line in series if line.points][:STYLES]
    points = [point for line in drawn for point in line.points]
    if not points:
        return None
    x_low, x_high = min(p.x for p in points), max(p.x for p in points)
    heights = [y for p in points for y in (p.y, p.low, p.high) if y is not None]
    y_ticks = ticks(0.0 if from_zero else min(heights), max(heights))
    x_ticks = [x for x in ticks(x_low, x_high, most=10) if x_low <= x <= x_high and x == round(x)]

    def x_at(x: float) -> float:
        share = (x - x_low) / (x_high - x_low) if x_high > x_low else 0.5
        return _LEFT + 10 + share * (_WIDTH - _LEFT - _RIGHT - 20)

    def y_at(y: float) -> float:
        share = (y - y_ticks[0]) / (y_ticks[-1] - y_ticks[0])
        return _HEIGHT - _BOTTOM - share * (_HEIGHT - _TOP - _BOTTOM)

    def line(style: int, one: Series) -> Line:
        places = [(x_at(p.x), y_at(p.y)) for p in one.points]
        marked = _evenly(len(places), _MOST_MARKERS)
        return Line(
            name=one.name,
            style=style,
            path=_path(places),
            band=_band(one.points, x_at, y_at),
            markers=[
                Marker(
                    path=marker_path(style, *places[i]),
                    text=f"{one.name}, {x_label} {one.points[i].x:g}: {one.points[i].y:.3g}",
                )
                for i in marked
            ],
            legend_marker=marker_path(style, 14.0, 6.0),
        )

    decimals = _decimals(y_ticks)
    return Chart(
        x_label=x_label,
        y_label=y_label,
        lines=[line(style, one) for style, one in enumerate(drawn)],
        x_ticks=[Tick(at=x_at(x), text=f"{x:g}") for x in x_ticks],
        y_ticks=[Tick(at=y_at(y), text=f"{y:.{decimals}f}") for y in y_ticks],
    )


def ticks(low: float, high: float, most: int = 6) -> list[float]:
    """Round numbers that span low..high, at most `most` + 1 of them and at least two."""
    span = high - low or abs(high) or 1.0
    raw = span / (most - 1)
    magnitude = 10.0 ** math.floor(math.log10(raw))
    step = magnitude * next(m for m in (1, 2, 5, 10) if m * magnitude >= raw * (1 - 1e-9))
    first, last = math.floor(low / step + 1e-9), math.ceil(high / step - 1e-9)
    return [round(i * step, 12) for i in range(first, max(last, first + 1) + 1)]


def marker_path(style: int, x: float, y: float) -> str:
    """SVG path data of the marker that belongs to a style, centred on (x, y)."""
    shapes = (
        "m-3.5,0a3.5,3.5 0 1,0 7,0a3.5,3.5 0 1,0 -7,0z",  # circle
        "m-3.2,-3.2h6.4v6.4h-6.4z",  # square
        "m0,-4.4l3.9,7.2h-7.8z",  # triangle
        "m0,-4.6l4.6,4.6l-4.6,4.6l-4.6,-4.6z",  # diamond
    )
    return f"M{x:.1f},{y:.1f}{shapes[style % len(shapes)]}"


def _path(places: Sequence[tuple[float, float]]) -> str:
    return "M" + "L".join(f"{x:.1f},{y:.1f}" for x, y in places)


def _band(points: Sequence[Point], x_at: Scale, y_at: Scale) -> str:
    """The closed area between the intervals' bounds; empty with fewer than two intervals."""
    bounds = [(p.x, p.low, p.high) for p in points if p.low is not None and p.high is not None]
    if len(bounds) < 2:
        return ""
    upper = [(x_at(x), y_at(high)) for x, _, high in bounds]
    lower = [(x_at(x), y_at(low)) for x, low, _ in reversed(bounds)]
    return _path(upper + lower) + "z"


def _evenly(n: int, most: int) -> range:
    return range(0, n, max(1, math.ceil(n / most)))


def _decimals(values: Sequence[float]) -> int:
    step = values[1] - values[0]
    return max(0, -math.floor(math.log10(step) + 1e-9))
