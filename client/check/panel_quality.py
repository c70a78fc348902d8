"""What a hospital should know about its further panels before it joins: counts and doubts."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from client.cells import own_unit
from client.check.doubts import Doubt, doubts_of
from client.check.unit_doubts import doubt_unit
from client.site import Site
from client.units import rivals
from irene_model.study import Panel, Record

_NAMED = 3


@dataclass(frozen=True, kw_only=True)
class PanelCounts:
    """One further panel over all records.

    values: how many of its `of` values are mapped. records: those that have any of them.
    filled: share of these records' mapped values that were measured. outside_reference: share of
    the measured ones outside the study's reference interval. Both None without such a record.
    """

    values: int
    of: int
    records: int
    filled: float | None
    outside_reference: float | None


def count_panel(panel: Panel, site: Site, records: Sequence[Record]) -> PanelCounts:
    """The counts of `panel` over the site's records."""
    lacked = len(site.panels[panel.name].lacks) if panel.name in site.panels else len(panel.values)
    mapped = len(panel.values) - lacked
    values = _values(panel, records)
    measured = ~np.isnan(values)
    rows = int(measured.any(axis=1).sum())
    low, high = _bounds(panel)
    outside = int(((values < low) | (values > high)).sum())
    return PanelCounts(
        values=mapped,
        of=len(panel.values),
        records=rows,
        filled=float(measured.sum() / (rows * mapped)) if rows else None,
        outside_reference=float(outside / measured.sum()) if rows else None,
    )


def doubt_panel(panel: Panel, site: Site, records: Sequence[Record]) -> list[Doubt]:
    """What looks wrong in `panel`, one sentence a kind."""
    if panel.name not in site.panels:
        return []
    values, mapped = _values(panel, records), site.panels[panel.name]
    lacks = set(mapped.lacks)
    empty: list[str] = []
    doubted: dict[str, list[str]] = {}  # sentence -> the values that it is true of
    for index, value in enumerate(panel.values):
        numbers = values[:, index]
        if value.name in lacks:
            continue
        if np.isnan(numbers).all():
            empty.append(value.name)
        elif value.low >= 0:  # a value that may be negative has no scale to judge by
            own = mapped.columns.get(value.name)
            unit = own.unit if own is not None else mapped.unit or value.unit
            taken = own_unit(site, unit)
            doubt = doubt_unit(numbers, low=value.low, high=value.high, rivals=rivals(taken, value))
            if doubt is not None:
                doubted.setdefault(doubt.sentence(taken, ""), []).append(value.name)
    nobody = _sentence(panel, empty, "mapped, but no record has a value")
    wrong_units = [
        sentence for said, names in doubted.items() for sentence in _sentence(panel, names, said)
    ]
    return [*doubts_of("columns", nobody), *doubts_of("units", wrong_units)]


def _sentence(panel: Panel, names: Sequence[str], said: str) -> list[str]:
    if not names:
        return []
    more = f" and {len(names) - _NAMED} more" if len(names) > _NAMED else ""
    return [f"{panel.name}: {', '.join(names[:_NAMED])}{more}: {said}"]


def _values(panel: Panel, records: Sequence[Record]) -> npt.NDArray[np.float64]:
    """(records, values); NaN was not measured."""
    nothing = np.full(len(panel.values), math.nan)
    rows = [record.panels.get(panel.name, nothing) for record in records]
    return np.array(rows, np.float64).reshape(-1, len(panel.values))


def _bounds(panel: Panel) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    return np.array([v.low for v in panel.values]), np.array([v.high for v in panel.values])
