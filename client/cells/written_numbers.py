"""Numbers as a hospital writes them: with a point or a comma, beyond detection, in words."""

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass, field

from client.cells.cell_error import CellError
from client.cells.kinds import NUMBER, REMEDIES, kind_of
from client.site import Site, Table, plain

_BEYOND_LIMIT = re.compile(r"(?P<side>[<>]=?|[≤≥])\s*(?P<limit>.*)")
_INFINITE = {"inf": math.inf, "+inf": math.inf, "-inf": -math.inf}
_IN_SIGNS = {"<": "-inf", ">": "inf"}
_WRITTEN = re.compile(
    r"(?P<side>([<>]=?|[≤≥])?\s*)(?P<number>[+-]?[0-9][0-9.,'’\s]*|[+-]?[.,][0-9]+)"
    r"(?P<power>([eE][+-]?[0-9]+)?)"
)
# Between thousands nobody sees which space it is, or which apostrophe.
_GAPS = {" ": r"[ \u00a0\u2009\u202f]", "'": "['’]"}


@dataclass(frozen=True, kw_only=True)
class NumberForm:
    """How one table writes numbers; `decimal` None is a point, since nobody has said otherwise.

    words: the site's own words for results -> `<`, `>` or a number.
    """

    decimal: str | None = None
    thousands: str | None = None
    words: Mapping[str, str] = field(default_factory=dict)
    _form: re.Pattern[str] | None = field(init=False, repr=False, compare=False, default=None)

    def __post_init__(self) -> None:
        """Compile the form once: a column has many cells."""
        if self.decimal is None and self.thousands is None:
            return
        point = re.escape(self.decimal or ".")
        whole = "[0-9]+"
        if self.thousands is not None:
            gap = _GAPS.get(self.thousands, re.escape(self.thousands))
            whole = rf"[0-9]{{1,3}}({gap}[0-9]{{3}})+|[0-9]+"
        form = re.compile(rf"[+-]?(({whole})({point}[0-9]*)?|{point}[0-9]+)")
        object.__setattr__(self, "_form", form)

    @classmethod
    def of(cls, site: Site, table: Table | None) -> "NumberForm":
        """As site.yaml says of words, and at the table of signs; None is for real numbers."""
        words = {plain(word): _IN_SIGNS.get(said, said) for word, said in site.words.items()}
        if table is None:
            return cls(words=words)
        return cls(decimal=table.decimal, thousands=table.thousands, words=words)

    def word(self, cell: str) -> str | None:
        """What a word of the site's means, as a number or limit; None where it is none."""
        return self.words.get(plain(cell)) if self.words else None

    def plain(self, cell: str) -> str:
        """`cell` with a point, and nothing between thousands, where it is a number or a limit.

        Raises:
            CellError: it is a number in another form than site.yaml says.
        """
        found = None if self._form is None else _WRITTEN.fullmatch(cell)
        if found is None or self._form is None:
            return cell
        number = found["number"].strip()
        if not self._form.fullmatch(number):
            raise CellError(
                "is a number in another form than the table's `decimal` and `thousands` in "
                "site.yaml say; mend the cell, or what is said of the table"
            )
        whole, point, part = number.partition(self.decimal or ".")
        sign = whole[:1] if whole[:1] in "+-" else ""
        digits = re.sub("[^0-9]", "", whole)
        return f"{found['side']}{sign}{digits}{'.' if point else ''}{part}{found['power']}"

    def plain_or_same(self, cell: str) -> str:
        """`plain`, of a column that need not hold numbers."""
        try:
            return self.plain(cell)
        except CellError:
            return cell


def read_number(cell: str) -> float:
    """A finite decimal number with a point."""
    if not NUMBER.fullmatch(cell):
        kind = kind_of(cell)
        raise CellError(f"is {kind}, expected a number{REMEDIES.get(kind, '')}")
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
    if beyond is not None and NUMBER.fullmatch(beyond["limit"]):
        return math.inf if beyond["side"][0] in ">≥" else -math.inf
    try:
        return read_number(cell)
    except CellError as error:
        raise CellError(
            f"{error} (or -inf, inf, <5, >500 beyond detection; empty if not measured, or list the "
            "word for it under `missing` in site.yaml)"
        ) from None
