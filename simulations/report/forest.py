"""A forest plot: one line for each name, with its interval, all on one axis (pure).

Places are per cent of the axis, so that a page can draw it as wide as its paper or its phone is.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from irene_model.console import known
from server.report import Tick, share_of, ticks

Interval = Sequence[float] | None
_MARGIN = 3.0  # per cent of the axis at both ends, for markers


@dataclass(frozen=True, kw_only=True)
class Entry:
    """What one line says; `dots` are values of single seeds, `text` and `note` are written."""

    name: str
    value: float | None
    ci95: Interval = None
    dots: Sequence[float | None] = ()
    text: str = ""
    note: str = ""


@dataclass(frozen=True, kw_only=True)
class Bar:
    """One line, drawn: places in per cent of the axis; `low` and `high` both None or neither."""

    name: str
    mean: float
    low: float | None
    high: float | None
    seeds: Sequence[float]
    text: str
    note: str


@dataclass(frozen=True, kw_only=True)
class Forest:
    """All lines that have a value, in order, and the axis. reference: a place to compare with."""

    ticks: Sequence[Tick]
    reference: float | None
    rows: Sequence[Bar]


def forest(
    entries: Sequence[Entry], *, reference: float | None = None, within: tuple[float, float]
) -> Forest | None:
    """Lay out the entries that have a value; None if none has. The axis holds `reference` too.

    within: the axis ends there, whatever an interval says: no AUROC is above 1.
    """
    drawn = [(entry, value) for entry in entries if (value := known(entry.value)) is not None]
    if not drawn:
        return None
    told = [value for _, value in drawn] + ([] if reference is None else [reference])
    told += [dot for entry, _ in drawn for dot in _known(entry.dots)]
    told += [bound for entry, _ in drawn for bound in _bounds(entry.ci95) or ()]
    told = [min(within[1], max(within[0], each)) for each in told]
    places = ticks(min(told), max(told), most=4)

    def at(value: float) -> float:
        return _MARGIN + (100 - 2 * _MARGIN) * share_of(value, places)

    def bar(entry: Entry, value: float) -> Bar:
        low, high = _bounds(entry.ci95) or (None, None)
        return Bar(
            name=entry.name,
            mean=at(value),
            low=None if low is None else at(low),
            high=None if high is None else at(high),
            seeds=[at(dot) for dot in _known(entry.dots)],
            text=entry.text,
            note=entry.note,
        )

    return Forest(
        ticks=[Tick(at=at(place), text=f"{place:g}") for place in places],
        reference=None if reference is None else at(reference),
        rows=[bar(entry, value) for entry, value in drawn],
    )


def _known(values: Sequence[float | None]) -> list[float]:
    return [number for value in values if (number := known(value)) is not None]


def _bounds(interval: Interval) -> tuple[float, float] | None:
    low, high = (known(bound) for bound in interval or (None, None))
    return None if low is None or high is None else (low, high)
