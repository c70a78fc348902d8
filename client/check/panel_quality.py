"""What a hospital should know about its further panels before it joins: counts and doubts."""

import math
import warnings
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from client.check.doubts import Doubt, doubts_of
from client.site import Site
from irene_model.study import Panel, Record

# A median so many times beyond the reference interval is rather a wrong unit than a disease: units
# differ by tens and thousands, and a septic cohort's CRP is about ten times its bound.
UNIT_FACTOR = 20.0
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
    values = _values(panel, records)
    values = np.where(np.isinf(values), math.nan, values)
    lacks = set(site.panels[panel.name].lacks)
    asked = np.array([name not in lacks for name in panel.names])
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)  # a value that nobody has has no median
        medians = np.nanmedian(values, axis=0)
    low, high = _bounds(panel)
    far = (medians > UNIT_FACTOR * high) | (medians < (low + high) / 2 / UNIT_FACTOR)
    nobody = _sentence(panel, asked & np.isnan(medians), "mapped, but no record has a value")
    wrong_unit = _sentence(
        panel,
        far & (low >= 0),  # a value that may be negative has no scale to judge by
        "half of the values lie far from the reference interval: is the unit right?",
    )
    return [*doubts_of("columns", nobody), *doubts_of("units", wrong_unit)]


def _sentence(panel: Panel, chosen: npt.NDArray[np.bool_], said: str) -> list[str]:
    names = [panel.names[index] for index in np.flatnonzero(chosen)]
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
