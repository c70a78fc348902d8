"""One cell of text to one value, for each kind of column.

A parser takes the cell and returns the value, None where the cell is empty, or raises `CellError`
with a sentence that names the kind of what it found, never the content. Columns apply the parsers
with `Column.parse`, which adds file, line and column.
"""

import math
import re
import unicodedata
from collections.abc import Callable, Mapping
from typing import TypeVar

from client.records.frames import CellError
from client.site import AgeUnit, MissingWords, SexColumn, SplitColumn, plain, split_cells
from irene_model.study import OLDEST_YEARS, Sex, Split

V = TypeVar("V")
_NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?", re.ASCII)
_WITH_COMMA = re.compile(r"[<>≤≥=\s]*[+-]?[\d.]*,\d+", re.ASCII)
# A flag or a unit, as `5 H`, `5*`, `5.0 mg/L`, `065Y`; a date or a ratio is another thing.
_WITH_LETTERS = re.compile(
    r"[<>≤≥]?\s*[+-]?\d+(\.\d+)?\s*[a-zµμ%*(][a-zµμ%*/()+ -]*", re.ASCII | re.IGNORECASE
)
_DATE = re.compile(r"\d{1,4}[-./]\d{1,2}[-./]\d{1,4}([ T].*)?", re.ASCII)
_RANGE = re.compile(r"\d+(\.\d+)?\s*[-–]\s*\d+(\.\d+)?", re.ASCII)
_SPACED = re.compile(r"[<>≤≥]?\s*[+-]?\d{1,3}([\s'’]\d{3})+([.,]\d+)?")
_POWER = re.compile(r"[+-]?\d+([.,]\d+)?\s*[x×*·]\s*10\s*(\^|\*\*)?\s*[+-]?\d+", re.IGNORECASE)
_REMEDIES = {
    "a number with a comma": "; write a decimal point, and nothing between thousands",
    "a number with a gap": "; write nothing between thousands",
    "a number in other signs": "; write plain digits, and - for minus",
    "a number with a power of ten": "; write 1.5e3 or 1500",
    "a number with letters": "; keep the number alone",
    "a range": "; give one number",
}
_SMALL_CHILD = re.compile(
    r"\d+\s*(m|w|d|mo|mon|mos|months?|monate?|mths?|weeks?|wochen?|days?|tage?|t)\.?",
    re.ASCII | re.IGNORECASE,
)
_IN_A_YEAR: dict[AgeUnit, float] = {"years": 1.0, "months": 12.0, "days": 365.25}
_CAPPED = re.compile(r"([<>≤≥]=?)\s*\d+|\d+\s*\+", re.ASCII)
_BEYOND_LIMIT = re.compile(r"(?P<side>[<>]=?|[≤≥])\s*(?P<limit>.*)")
# As spreadsheets (1.23457E+11) and floats (1.5e10) write it; 12E4 may be the name of a ward.
_SCIENTIFIC = re.compile(r"[+-]?(\d+[.,]\d*e[+-]?\d+|\d+e\+\d+)", re.ASCII | re.IGNORECASE)
_INEXACT = re.compile(r"\d{16,}[.,]0+", re.ASCII)  # a floating-point number beyond 2**53
_TOTALS = {
    *("total", "totals", "grand total", "subtotal", "sum", "summe", "gesamt", "gesamtsumme"),
    *("insgesamt", "somme", "totale", "totaal", "suma", "mean", "average", "mittelwert", "count"),
}
_FORMS = {
    "a number with a gap": _SPACED,
    "a date": _DATE,
    "a range": _RANGE,
    "a number with a power of ten": _POWER,
}
_INFINITE = {"inf": math.inf, "+inf": math.inf, "-inf": -math.inf}


def kind_of(cell: str) -> str:
    """What a cell is, in words that give nothing away."""
    if not cell:
        return "empty"
    if _NUMBER.fullmatch(cell):
        return "a number"
    if _WITH_COMMA.fullmatch(cell):
        return "a number with a comma"
    if _WITH_LETTERS.fullmatch(cell):
        return "a number with letters"
    if _NUMBER.fullmatch(unicodedata.normalize("NFKC", _in_plain_digits(cell))):
        return "a number in other signs"
    return next((kind for kind, form in _FORMS.items() if form.fullmatch(cell)), "text")


def _in_plain_digits(cell: str) -> str:
    digits = (str(digit) if (digit := unicodedata.digit(s, None)) is not None else s for s in cell)
    return "".join(digits).replace("\u2212", "-").replace("\u066b", ".")


def read_number(cell: str) -> float:
    """A finite decimal number with a point."""
    if not _NUMBER.fullmatch(cell):
        kind = kind_of(cell)
        raise CellError(f"is {kind}, expected a number{_REMEDIES.get(kind, '')}")
    number = float(cell)
    if math.isinf(number):
        raise CellError("is a number too large to store; write inf if it is above detection")
    return number


def read_lab(cell: str) -> float | None:
    """A laboratory value as written, in the hospital's unit.

    `inf` or `>500` is +inf, above the assay's range; `-inf` or `<5` is -inf, below it. A finite
    number is accepted below zero: a base excess is.
    """
    if not cell:
        return None
    if cell.lower() in _INFINITE:
        return _INFINITE[cell.lower()]
    beyond = _BEYOND_LIMIT.fullmatch(cell)
    if beyond is not None and _NUMBER.fullmatch(beyond["limit"]):
        return math.inf if beyond["side"][0] in ">≥" else -math.inf
    try:
        return read_number(cell)
    except CellError as error:
        raise CellError(
            f"{error} (or -inf, inf, <5, >500 beyond detection; empty if not measured, or list the "
            "word for it under `missing` in site.yaml)"
        ) from None


def read_age(cell: str, unit: AgeUnit = "years") -> float | None:
    """Years, 0 to 120, of an age in `unit`."""
    if not cell:
        return None
    most = OLDEST_YEARS * _IN_A_YEAR[unit]
    if _SMALL_CHILD.fullmatch(cell):
        raise CellError(
            f"is an age in months, weeks or days, expected {unit}; give them, as "
            f"{1.5 * _IN_A_YEAR[unit]:g}"
        )
    if _CAPPED.fullmatch(cell):
        raise CellError(
            f"is a bound, expected the age in {unit}; write one number for it, as "
            f"{90 * _IN_A_YEAR[unit]:.0f}"
        )
    try:
        age = read_number(cell)
    except CellError as error:
        raise CellError(
            f"{error}; give {unit}, as {65 * _IN_A_YEAR[unit]:.0f}, or leave it empty if unknown"
        ) from None
    if not 0 <= age <= most:
        raise CellError(
            f"is a number outside 0 to {most:.0f}, expected the age in {unit}; leave it "
            "empty if unknown, or list the number that says so under `missing` in site.yaml"
        )
    return age / _IN_A_YEAR[unit]


def identifier_reader(missing: MissingWords) -> Callable[[str], str]:
    """A patient's or record's id: not empty, no word for missing, and as it was once issued."""

    def read(cell: str) -> str:
        if not cell:
            raise CellError("is empty, expected an id; fill it in or drop the row")
        if cell in missing:
            raise CellError(
                "is a word for missing, expected an id: all rows with it would be taken for one; "
                "fill it in or drop the row"
            )
        if _SCIENTIFIC.fullmatch(cell):
            raise CellError(
                "is a number in scientific notation, expected an id: a spreadsheet has cut off "
                "its last digits, so that different ids became one; export the column as text"
            )
        if _INEXACT.fullmatch(cell):
            raise CellError(
                "is a number with a point and more digits than a program keeps, expected an id: "
                "different ids may have become one; export the column as text"
            )
        if plain(cell) in _TOTALS:
            raise CellError("is a word for a total, expected an id; delete the line")
        return cell

    return read


def sex_reader(column: SexColumn, missing: MissingWords) -> Callable[[str], Sex | None]:
    """Cells as columns.sex maps them; one that it does not list and that says nothing is None."""
    sexes: dict[str, Sex | None] = dict.fromkeys(column.female, "female")
    sexes |= dict.fromkeys(column.male, "male")
    listed = _lookup(sexes, "columns.sex.female or columns.sex.male", " (or `missing`)")

    def read(cell: str) -> Sex | None:
        return None if cell in missing and cell not in sexes else listed(cell)

    return read


def split_reader(column: SplitColumn) -> Callable[[str], Split]:
    """Cells as columns.split maps them; an empty one is refused."""
    return _lookup(split_cells(column), "columns.split.train, .validation or .test")


def _lookup(known: Mapping[str, V], keys: str, tail: str = "") -> Callable[[str], V]:
    by_word: dict[str, set[V]] = {}
    for each, meaning in known.items():
        by_word.setdefault(plain(each), set()).add(meaning)

    def read(cell: str) -> V:
        if cell in known:
            return known[cell]
        meant = by_word.get(plain(cell), set())
        if len(meant) != 1:  # `F` is `f`, but where both are listed and differ
            raise CellError(f"is {kind_of(cell)}, expected a cell that {keys} lists{tail}")
        return next(iter(meant))

    return read
