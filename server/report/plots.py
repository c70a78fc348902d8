"""Geometry of the report's charts, which the template draws as inline SVG (pure).

Drawn by the browser, the charts are sharp in print, weigh little and show hospitals' names in
whatever script they are written. Lengths are pixels of the SVG's own coordinates. Lines differ
in marker and dashes as well as in colour, so that they can be told apart without it.

Any float may come: what is not finite is not drawn, and every coordinate lies on the chart.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import TypeAlias

from irene_model.console import figure, known

Scale: TypeAlias = Callable[[float], float]

STYLES = 8
"""How many lines can be told apart; the template has as many colours and dash patterns."""

_WIDTH, _HEIGHT = 560.0, 260.0
_LEFT, _RIGHT, _TOP, _BOTTOM = 62.0, 14.0, 12.0, 40.0
_MOST_MARKERS = 30
_MOST_POINTS = 1000  # of a line: two a pixel
_LARGEST = 1e300  # drawn; differences and steps of such numbers are numbers still
_NARROWEST = 1e-9  # an axis, as a share of the largest value on it


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
    """Lay out at most `STYLES` series on common axes; None if no series has a finite point.

    Of a series of more than a thousand points some are drawn, the last one always.
    """
    finite = [replace(line, points=_drawable(line.points)) for line in series]
    drawn = [line for line in finite if line.points][:STYLES]
    points = [point for line in drawn for point in line.points]
    if not points:
        return None
    x_low, x_high = min(p.x for p in points), max(p.x for p in points)
    heights = [y for p in points for y in (p.y, p.low, p.high) if y is not None]
    if from_zero:
        heights.append(0.0)
    y_ticks = ticks(min(heights), max(heights))
    x_ticks = [x for x in ticks(x_low, x_high, most=10) if x_low <= x <= x_high and x == round(x)]

    def x_at(x: float) -> float:
        share = (x - x_low) / (x_high - x_low) if x_high > x_low else 0.5
        return _LEFT + 10 + share * (_WIDTH - _LEFT - _RIGHT - 20)

    def y_at(y: float) -> float:
        return _HEIGHT - _BOTTOM - share_of(y, y_ticks) * (_HEIGHT - _TOP - _BOTTOM)

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
                    text=f"{one.name}, {x_label} {one.points[i].x:g}: {figure(one.points[i].y)}",
                )
                for i in marked
            ],
            legend_marker=marker_path(style, 14.0, 6.0),
        )

    written = _texts(y_ticks)
    return Chart(
        x_label=x_label,
        y_label=y_label,
        lines=[line(style, one) for style, one in enumerate(drawn)],
        x_ticks=[Tick(at=x_at(x), text=f"{x:g}") for x in x_ticks],
        y_ticks=[Tick(at=y_at(y), text=t) for y, t in zip(y_ticks, written, strict=True)],
    )


def ticks(low: float, high: float, most: int = 6) -> list[float]:
    """Round numbers that span low..high, at most `most` + 1 of them and at least two.

    They rise, whatever floats they are to span, and span those that can be drawn.
    """
    low, high = sorted(_bounded(each) for each in (low, high))
    size = max(abs(low), abs(high))
    span = max(high - low, _NARROWEST * size) if high > low else size or 1.0
    raw = span / (most - 1)
    magnitude = 10.0 ** math.floor(math.log10(raw))
    step = magnitude * next(m for m in (1, 2, 5, 10) if m * magnitude >= raw * (1 - 1e-9))
    first, last = math.floor(low / step + 1e-9), math.ceil(high / step - 1e-9)
    digits = 2 - math.floor(math.log10(step))
    return [round(i * step, digits) for i in range(first, max(last, first + 1) + 1)]


def share_of(value: float, places: Sequence[float]) -> float:
    """Where `value` lies between the first and the last of `places`: 0 to 1, and never beyond."""
    low, high = places[0], places[-1]
    return min(1.0, max(0.0, (_bounded(value) - low) / (high - low)))


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


def _evenly(n: int, most: int) -> list[int]:
    """At most `most` + 1 of n indices, the last among them."""
    return sorted({*range(0, n, max(1, math.ceil(n / most))), n - 1}) if n else []


def _drawable(points: Sequence[Point]) -> list[Point]:
    """The points at a place, within what can be drawn; an interval has two ends or none."""
    found = []
    for point in points:
        x, y, low, high = (known(each) for each in (point.x, point.y, point.low, point.high))
        if x is None or y is None:
            continue
        if low is None or high is None:
            found.append(Point(x=_bounded(x), y=_bounded(y)))
        else:
            low, high = sorted(map(_bounded, (low, high)))
            found.append(Point(x=_bounded(x), y=_bounded(y), low=low, high=high))
    return [found[i] for i in _evenly(len(found), _MOST_POINTS)]


def _bounded(value: float) -> float:
    """`value` so that it can be reckoned with: no NaN, no infinity, nothing denormal."""
    if math.isnan(value) or abs(value) < 1 / _LARGEST:
        return 0.0
    return min(_LARGEST, max(-_LARGEST, value))


def _texts(values: Sequence[float]) -> list[str]:
    """Ticks, all with as many digits as tell them apart."""
    step = math.floor(math.log10(values[1] - values[0]) + 1e-9)
    size = math.floor(math.log10(max(map(abs, values))))
    if step >= -4 and size < 6:
        return [f"{value:.{max(0, -step)}f}" for value in values]
    return [f"{value:.{max(1, size - step + 1)}g}" for value in values]
