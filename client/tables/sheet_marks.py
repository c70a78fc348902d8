"""What a sheet says beside its values: what is hidden, failed, not computed, or shown otherwise.

A reader of values passes these over, and each of them is a value lost or changed in silence.
"""

from collections import defaultdict
from dataclasses import dataclass, field
from functools import lru_cache
from xml.parsers import expat

from irene_model.errors import DataError

MOST_CELLS = 10_000_000  # rows times columns, and as written
MOST_MERGED = 10_000  # ranges of cells; one in the table is refused anyway
_KEPT_ROWS = 1000
_MOST_COLUMNS = 16_384
_ERROR, _NUMBER = "e", "n"
_VALUES = ("v", "t", "is")
_NAMES = frozenset({"c", "f", "row", "mergeCell", *_VALUES})
_NOTHING_KNOWN = ("#N/A", "#NULL!")  # which are words for a missing value


@dataclass(kw_only=True)
class SheetMarks:
    """Rows and columns count from 1.

    hidden: the first rows that hold values and are hidden. failed, not_computed: column -> the
    first row with an error (`#REF!`), with a formula without its result. kinds: column -> the
    kinds of number formats of its numbers.
    """

    rows: int = 0
    columns: int = 0
    hidden: list[int] = field(default_factory=list)
    failed: dict[int, int] = field(default_factory=dict)
    not_computed: dict[int, int] = field(default_factory=dict)
    kinds: defaultdict[int, set[str]] = field(default_factory=lambda: defaultdict(set))


def marks_of(content: bytes, kinds: tuple[str, ...], shown: str) -> SheetMarks:
    """The marks of a sheet's XML; kinds: of each cell style, as `WorkbookParts.number_kinds`.

    Raises:
        DataError: the XML is damaged, or the sheet spans more than `MOST_CELLS` cells, or has more
            than `MOST_MERGED` ranges of merged ones.
    """
    scan = _Scan(kinds, shown)
    parser = expat.ParserCreate()
    parser.buffer_text = True
    parser.StartElementHandler = scan.start
    parser.EndElementHandler = scan.end
    parser.CharacterDataHandler = scan.text
    parser.StartDoctypeDeclHandler = scan.doctype
    try:
        parser.Parse(content, True)
    except (expat.ExpatError, ValueError, OverflowError):
        raise DataError(f"{shown}: is damaged; save the workbook again") from None
    marks = scan.marks
    if marks.rows * marks.columns > MOST_CELLS:
        raise DataError(
            f"{shown}: its cells span {marks.rows} rows and {marks.columns} columns, more than "
            f"{MOST_CELLS // 1_000_000} million cells; delete what stands far from the table, or "
            "export CSV or Parquet"
        )
    return marks


class _Scan:
    """Expat's handlers. A cell is <c r="B7" s="style" t="type"><f>formula</f><v>value</v></c>."""

    def __init__(self, kinds: tuple[str, ...], shown: str) -> None:
        self.marks = SheetMarks()
        self._kinds = kinds
        self._shown = shown
        self._cells = self._merged = 0
        self._row = self._column = self._style = 0
        self._type = _NUMBER
        self._row_hidden = self._formula = self._holds = self._filled = self._in_value = False

    def start(self, name: str, attributes: dict[str, str]) -> None:
        name = name if name in _NAMES else name.rpartition(":")[2]
        if name == "c":
            # A reader believes the cell's own place, whatever its row says of itself.
            if place := attributes.get("r"):
                letters = place.rstrip("0123456789")
                self._column, self._row = _column_of(letters), int(place[len(letters) :])
            else:
                self._column += 1
            self._type = attributes.get("t", _NUMBER)
            self._style = int(attributes.get("s", 0))
            self._formula = self._holds = self._filled = False
        elif name in _VALUES:
            self._in_value = self._holds = True
        elif name == "f":
            self._formula = self._holds = True
        elif name == "mergeCell":
            self._merged += 1
            if self._merged > MOST_MERGED:
                raise DataError(
                    f"{self._shown}: has more than {MOST_MERGED:,} ranges of merged cells; undo "
                    "the merging, or export CSV or Parquet"
                )
        elif name == "row":
            self._row = int(attributes.get("r", self._row + 1))
            self._column = 0
            self._row_hidden = attributes.get("hidden") in ("1", "true")

    def text(self, said: str) -> None:
        if self._in_value:
            self._filled = True
            if self._type == _ERROR and said in _NOTHING_KNOWN:
                self._filled = self._formula = False

    def end(self, name: str) -> None:
        name = name if name in _NAMES else name.rpartition(":")[2]
        if name in _VALUES:
            self._in_value = False
        elif name == "c" and self._holds:
            self._cell()

    def _cell(self) -> None:
        marks, row, column = self.marks, self._row, self._column
        self._cells += 1
        if self._cells > MOST_CELLS:
            raise DataError(
                f"{self._shown}: holds more than {MOST_CELLS // 1_000_000} million cells; delete "
                "what stands far from the table, or export CSV or Parquet"
            )
        marks.rows, marks.columns = max(marks.rows, row), max(marks.columns, column)
        if not self._filled:
            # A formula of text may come to an empty one, which then has a type.
            if self._formula and self._type != "str":
                marks.not_computed.setdefault(column, row)
            return
        if self._row_hidden and row not in marks.hidden[-1:] and len(marks.hidden) < _KEPT_ROWS:
            marks.hidden.append(row)
        if self._type == _NUMBER:
            known = 0 <= self._style < len(self._kinds)
            marks.kinds[column].add(self._kinds[self._style] if known else "")
        elif self._type == _ERROR:
            marks.failed.setdefault(column, row)

    def doctype(self, *_: object) -> None:
        raise ValueError("a sheet has no DOCTYPE")


@lru_cache(maxsize=20_000)
def _column_of(letters: str) -> int:
    """The number of a column: 2 of B."""
    column = 0
    for letter in letters:
        column = 26 * column + ord(letter) - ord("A") + 1
    if not 1 <= column <= _MOST_COLUMNS:
        raise ValueError("no column of a sheet")
    return column
