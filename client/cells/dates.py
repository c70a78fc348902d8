"""Days and hours as exports write them; which number is the month is never guessed."""

import re
from datetime import datetime, timedelta

from client.cells.cell_error import CellError
from client.cells.kinds import kind_of
from client.site import DayOrder

_TIME = r"([ T]+(?P<hour>\d{1,2}):(?P<minute>\d{2})(:(?P<second>\d{2})([.,]\d+)?)?)?"
_ZONE = r"\s*(?P<zone>Z|UTC|[+-]\d{2}:?\d{2})?"
_FORMS = {
    "ymd": rf"(?P<a>\d{{4}})(?P<mark>[-/])(?P<b>\d{{1,2}})(?P=mark)(?P<c>\d{{1,2}}){_TIME}{_ZONE}",
    "dicom": r"(?P<a>\d{4})(?P<b>\d{2})(?P<c>\d{2})"
    r"([ T]?(?P<hour>\d{2})(?P<minute>\d{2})(?P<second>\d{2})?(\.\d+)?)?" + _ZONE,
    "dots": rf"(?P<a>\d{{1,2}})\.\s?(?P<b>\d{{1,2}})\.\s?(?P<c>\d{{4}}){_TIME}{_ZONE}",
    "strokes": rf"(?P<a>\d{{1,2}})(?P<mark>[-/])(?P<b>\d{{1,2}})(?P=mark)(?P<c>\d{{4}}){_TIME}"
    + _ZONE,
}
_READ = {name: re.compile(form, re.ASCII) for name, form in _FORMS.items()}
_SHORT_YEAR = re.compile(r"\d{1,2}[-./]\d{1,2}[-./]\d{2}([ T].*)?", re.ASCII)
_EXPECTED = "expected a date, as 2024-01-31, with or without a time"


def read_moment(cell: str, order: DayOrder | None = None) -> datetime | None:
    """A day, at midnight unless a time is given; one with a time zone is moved to UTC.

    order: what `dates` in site.yaml says of 01/02/2024; without it such a date is refused. With
    dots the day is first everywhere.
    """
    if not cell:
        return None
    found = next(
        ((name, match) for name, form in _READ.items() if (match := form.fullmatch(cell))), None
    )
    if found is None:
        if _SHORT_YEAR.fullmatch(cell):
            raise CellError("is a date whose year has two digits: of which century? Write all four")
        raise CellError(f"is {kind_of(cell)}, {_EXPECTED}")
    name, match = found
    numbers = [int(match[group]) for group in "abc"]
    if name == "strokes":
        if order is None:
            raise CellError(
                "is a date in which the month may be first or second; say which by `dates: dmy` or "
                "`dates: mdy` in site.yaml"
            )
        numbers = [numbers[2], *(numbers[:2] if order == "mdy" else numbers[1::-1])]
    elif name == "dots":
        numbers.reverse()
    clock = [int(match[part] or 0) for part in ("hour", "minute", "second")]
    try:
        moment = datetime(*numbers, *clock)  # type: ignore[arg-type]  # year to second
        return moment - _offset(match["zone"])
    except (ValueError, OverflowError):
        raise CellError(f"is a date or time that no calendar has, {_EXPECTED}") from None


def _offset(zone: str | None) -> timedelta:
    if not zone or zone in ("Z", "UTC"):
        return timedelta()
    hours, minutes = int(zone[1:3]), int(zone[-2:])
    return (-1 if zone[0] == "-" else 1) * timedelta(hours=hours, minutes=minutes)
