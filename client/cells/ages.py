"""Ages as systems write them, and those between two days, in years."""

import re
from datetime import datetime

from client.cells.cell_error import CellError
from client.cells.written_numbers import read_number
from client.site import AgeUnit
from irene_model.study import OLDEST_YEARS

_IN_A_YEAR: dict[AgeUnit, float] = {"years": 1.0, "months": 12.0, "days": 365.25}
# DICOM's age string: three digits and D, W, M or Y (PS3.5, 6.2). With fewer digits M may be male.
_AGE_STRING = re.compile(r"(?P<number>\d{3})(?P<unit>[DWMY])", re.ASCII)
_OF_A_STRING = {"Y": 1.0, "M": 12.0, "W": 365.25 / 7, "D": 365.25}
_SMALL_CHILD = re.compile(
    r"\d+\s*(m|w|d|mo|mon|mos|months?|monate?|mths?|weeks?|wochen?|days?|tage?|t)\.?",
    re.ASCII | re.IGNORECASE,
)
_CAPPED = re.compile(r"(?P<side>[<>≤≥]=?)\s*(?P<above>\d+)|(?P<plus>\d+)\s*\+", re.ASCII)
# Whoever de-identifies writes `>89` or `90+`; `18+` or `>60` is a group, and no age.
_LEAST_CAP = 80


def is_capped(cell: str) -> bool:
    """Whether a cell is read as the youngest age of a group of the oldest, as `>89` and `90+`."""
    found = _CAPPED.fullmatch(cell)
    return found is not None and _least(found) is not None


def _least(found: re.Match[str]) -> int | None:
    """The youngest age, in years, that a bound allows; None where it says too little."""
    if found["plus"] is not None:
        least = int(found["plus"])
    elif found["side"] in (">=", "≥"):
        least = int(found["above"])
    elif found["side"] == ">":
        least = int(found["above"]) + 1
    else:
        return None
    return least if _LEAST_CAP <= least <= OLDEST_YEARS else None


def read_age(cell: str, unit: AgeUnit = "years") -> float | None:
    """Years, 0 to 120, of an age in `unit`.

    DICOM's age strings (`065Y`, `018M`) say their own unit. Of the bounds that stand for the oldest
    (`>89`, `90+`) the youngest age is taken, where years are read.
    """
    if not cell:
        return None
    if said := _AGE_STRING.fullmatch(cell):
        return _bounded(int(said["number"]), _OF_A_STRING[said["unit"]], "years")
    if _SMALL_CHILD.fullmatch(cell):
        raise CellError(
            f"is an age in months, weeks or days, expected {unit}; give them, as "
            f"{1.5 * _IN_A_YEAR[unit]:g}"
        )
    if capped := _CAPPED.fullmatch(cell):
        least = _least(capped) if unit == "years" else None
        if least is None:
            raise CellError(
                f"is a bound, expected the age in {unit}; write one number for it, as "
                f"{90 * _IN_A_YEAR[unit]:.0f} (of years >89, 90+ and the like are read)"
            )
        return float(least)
    try:
        age = read_number(cell)
    except CellError as error:
        raise CellError(
            f"{error}; give {unit}, as {65 * _IN_A_YEAR[unit]:.0f}, or leave it empty if unknown"
        ) from None
    return _bounded(age, _IN_A_YEAR[unit], unit)


def _bounded(age: float, in_a_year: float, unit: AgeUnit) -> float:
    years, most = age / in_a_year, OLDEST_YEARS * _IN_A_YEAR[unit]
    if not 0 <= years <= OLDEST_YEARS:
        raise CellError(
            f"is a number outside 0 to {most:.0f}, expected the age in {unit}; leave it "
            "empty if unknown, or list the number that says so under `missing` in site.yaml"
        )
    return years


def years_between(born: datetime, at: datetime) -> float | None:
    """The age at a day in whole years and the part of the next; None where nobody has that age."""
    days = (at.date() - born.date()).days
    years = days / 365.25
    return years if days >= 0 and years <= OLDEST_YEARS else None
