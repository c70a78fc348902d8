"""Days and hours as FHIR, OMOP and DICOM write them, with how much of them is known."""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta, timezone
from typing import Literal

_EPOCH = datetime(1970, 1, 1)
_ISO = re.compile(
    r"(?P<year>\d{4})(-(?P<month>\d{2})(-(?P<day>\d{2})"
    r"([T ](?P<hour>\d{2}):(?P<minute>\d{2})(:(?P<second>\d{2})([.,]\d+)?)?"
    r"(?P<zone>Z|[+-]\d{2}:?\d{2})?)?)?)?",
    re.ASCII,
)
_DICOM_TIME = re.compile(r"(\d{2}):?(\d{2})?:?(\d{2})?(\.\d*)?", re.ASCII)


@dataclass(frozen=True, kw_only=True)
class Moment:
    """A time, a day, or a month or year of which the day is unknown.

    at: the time; of a day its midnight, of a month or year its middle. One that names its zone is
    in UTC; one that names none is the hospital's own time.
    """

    at: datetime
    known: Literal["time", "day", "month", "year"]
    zoned: bool = False

    @property
    def text(self) -> str:
        """As a table holds it; empty where not even the day is known."""
        if self.known == "day":
            return self.at.date().isoformat()
        if self.known == "time":
            return self.at.isoformat(timespec="seconds") + ("Z" if self.zoned else "")
        return ""

    @property
    def has_day(self) -> bool:
        """Whether it says more than a month."""
        return self.known in ("time", "day")

    @property
    def seconds(self) -> float:
        """Since 1970; NaN where not even the day is known."""
        return (self.at - _EPOCH).total_seconds() if self.has_day else float("nan")


def read_iso(text: str) -> Moment | None:
    """FHIR's dateTime or OMOP's: `2024`, `2024-05`, `2024-05-01`, with a time and zone; else None.

    FHIR R4, 2.24.0.1 (Primitive Types). A leap second is the second before it.
    """
    found = _ISO.fullmatch(text.strip())
    try:
        return None if found is None else _moment(found)
    except (ValueError, OverflowError):
        return None


def _moment(found: re.Match[str]) -> Moment:
    year, month = int(found["year"]), int(found["month"] or 0)
    if found["month"] is None:
        return Moment(at=datetime(year, 7, 2), known="year")
    if found["day"] is None:
        return Moment(at=datetime(year, month, 16), known="month")
    day = datetime(year, month, int(found["day"]))
    if found["hour"] is None:
        return Moment(at=day, known="day")
    second = min(int(found["second"] or 0), 59)
    at = day.replace(hour=int(found["hour"]), minute=int(found["minute"]), second=second)
    if found["zone"] is None:
        return Moment(at=at, known="time")
    return Moment(at=at - _offset(found["zone"]), known="time", zoned=True)


def read_dicom(date: str, time: str) -> Moment | None:
    """DICOM's DA and TM (PS3.5, 6.2), in the hospital's own time."""
    day = re.fullmatch(r"(\d{4})\.?(\d{2})\.?(\d{2})", date.strip(), re.ASCII)
    if day is None:
        return None
    try:
        at = datetime(*map(int, day.groups()))  # type: ignore[arg-type]  # year, month, day
        clock = _DICOM_TIME.fullmatch(time.strip())
        if clock is None:
            return Moment(at=at, known="day")
        hour, minute, second = (int(part or 0) for part in clock.groups()[:3])
        return Moment(at=at.replace(hour=hour, minute=minute, second=min(second, 59)), known="time")
    except ValueError:
        return None


def first_known(texts: Iterable[str | None]) -> Moment | None:
    """The first of `texts` that is a moment with a day, or else any that is one."""
    read = [moment for text in texts if text and (moment := read_iso(text)) is not None]
    return next((each for each in read if each.has_day), read[0] if read else None)


def _offset(zone: str) -> timedelta:
    if zone == "Z":
        return timedelta()
    hours, minutes = int(zone[1:3]), int(zone[-2:])
    offset = timezone(timedelta(hours=hours, minutes=minutes)).utcoffset(None)
    return -offset if zone[0] == "-" else offset
