"""Lines over two axes in a square: ROC, reliability, AUROC against epsilon (pure).

Small enough to be read on a phone as it is. Lengths are pixels of the SVG's own coordinates.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from irene_model.console import figure, known
from server.report import STYLES, Tick, share_of

_SIDE, _LEFT, _BOTTOM, _TOP, _RIGHT = 340.0, 46.0, 40.0, 10.0, 12.0


@dataclass(frozen=True, kw_only=True)
class Place:
    """One value; `low` and `high` bound its interval, where there is one."""

    x: float
    y: float
    low: float | None = None
    high: float | None = None


@dataclass(frozen=True, kw_only=True)
class Trace:
    """One named line; `marked` shows each of its places."""

    name: str
    places: Sequence[Place]
    marked: bool = True


@dataclass(frozen=True, kw_only=True)
class Mark:
    """A place in pixels; `whisker` is path data of its interval, and `text` is told on hovering."""

    x: float
    y: float
    whisker: str
    text: str


@dataclass(frozen=True, kw_only=True)
class Drawn:
    """A line in pixels; `style` is its colour and dashes."""

    name: str
    style: int
    path: str
    marks: Sequence[Mark]


@dataclass(frozen=True, kw_only=True)
class SquareChart:
    """Ready to draw. `diagonal` is path data of y = x, or empty."""

    x_label: str
    y_label: str
    x_ticks: Sequence[Tick]
    y_ticks: Sequence[Tick]
    diagonal: str
    lines: Sequence[Drawn]
    side: float = _SIDE
    left: float = _LEFT
    right: float = _SIDE - _RIGHT
    top: float = _TOP
    bottom: float = _SIDE - _BOTTOM


def square_chart(
    traces: Sequence[Trace],
    *,
    x_label: str,
    y_label: str,
    x_ticks: Sequence[tuple[float, str]],
    y_ticks: Sequence[float],
    diagonal: bool = False,
) -> SquareChart | None:
    """Lay out at most `STYLES` traces on axes from the first to the last tick; None without any.

    x_ticks: places and what is written there. What lies beyond the axes is drawn at their ends.
    """
    drawn = [
        Trace(name=each.name, places=places, marked=each.marked)
        for each in traces
        if (places := [p for p in each.places if None not in (known(p.x), known(p.y))])
    ][:STYLES]
    if not drawn:
        return None
    across = [place for place, _ in x_ticks]

    def x_at(x: float) -> float:
        return _LEFT + share_of(x, across) * (_SIDE - _LEFT - _RIGHT)

    def y_at(y: float) -> float:
        return _SIDE - _BOTTOM - share_of(y, y_ticks) * (_SIDE - _BOTTOM - _TOP)

    def mark(trace: Trace, place: Place) -> Mark:
        x, whisker = x_at(place.x), ""
        if known(place.low) is not None and known(place.high) is not None:
            assert place.low is not None and place.high is not None
            low, high = y_at(place.low), y_at(place.high)
            whisker = f"M{x - 4:.1f},{low:.1f}h8m-4,0V{high:.1f}m-4,0h8"
        text = f"{trace.name}: {figure(place.y)}"
        return Mark(x=x, y=y_at(place.y), whisker=whisker, text=text)

    return SquareChart(
        x_label=x_label,
        y_label=y_label,
        x_ticks=[Tick(at=x_at(place), text=text) for place, text in x_ticks],
        y_ticks=[Tick(at=y_at(place), text=f"{place:g}") for place in y_ticks],
        diagonal=f"M{x_at(0):.1f},{y_at(0):.1f}L{x_at(1):.1f},{y_at(1):.1f}" if diagonal else "",
        lines=[
            Drawn(
                name=trace.name,
                style=style,
                path="M" + "L".join(f"{x_at(p.x):.1f},{y_at(p.y):.1f}" for p in trace.places),
                marks=[mark(trace, place) for place in trace.places] if trace.marked else [],
            )
            for style, trace in enumerate(drawn)
        ],
    )
