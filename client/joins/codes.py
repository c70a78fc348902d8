"""LOINC codes of a laboratory table that the study does not ask for, and why they may be others."""

import re
from collections import Counter
from collections.abc import Collection, Mapping

_LOINC = re.compile(r"[1-9]\d{0,6}-\d", re.ASCII)
# What spreadsheets make of 1988-5: May-88, 01.05.1988, 1988-05-01.
_DATE = re.compile(
    r"[^\W\d]{3,9}[-./ ]\d{2,4}|\d{2,4}[-./ ][^\W\d]{3,9}"
    r"|\d{1,2}[-./]\d{1,2}[-./]\d{2,4}|\d{4}[-./]\d{2}([-./]\d{2}([ T].*)?)?"
)


def passed_over(codes: Mapping[str, int], asked: Collection[str]) -> tuple[dict[str, int], int]:
    """Of `codes` (code -> rows): those of LOINC that are not asked for, and rows with no LOINC.

    What has not LOINC's form may be anything, also a name, and is only counted.
    """
    others = {code: rows for code, rows in codes.items() if code not in asked}
    loinc = Counter({code: rows for code, rows in others.items() if _LOINC.fullmatch(code)})
    return dict(loinc.most_common()), sum(others.values()) - loinc.total()


def cause_of_codes(codes: Mapping[str, int], asked: Collection[str]) -> str | None:
    """Why rows whose code is no LOINC code may be of tests that the study asks for."""
    odd = {code: rows for code, rows in codes.items() if not _LOINC.fullmatch(code) and code}
    rows = sum(odd.values())
    dates = sum(count for code, count in odd.items() if _DATE.fullmatch(code))
    if dates:
        return (
            f"{dates} rows hold a date, which a spreadsheet made of a code as 1988-5; export the "
            "column as text"
        )
    bare = re.compile(rf"(?<![1-9])0*(?:{'|'.join(map(re.escape, asked))})(?!\d)", re.ASCII)
    within = sum(count for code, count in odd.items() if bare.search(code)) if asked else 0
    if within:
        return f"{within} rows hold such a code with more around it; export the code alone"
    if rows and rows == sum(codes.values()):
        return (
            f"none of {rows} rows holds a LOINC code, as 1988-5; translate the laboratory's own "
            "codes in your export"
        )
    return None
