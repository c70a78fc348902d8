"""A CSV file's bytes to cells of text, each with the line that an editor shows.

What is unambiguous and harmless is read as it is meant: a byte order mark, Excel's `sep=` line,
rows and last columns without any content, Ctrl-Z at the end. All else that is odd is refused with
its cause: a semicolon read as a comma would put patients' values into other columns.
"""

import csv
import io
import re
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from itertools import islice
from typing import Literal, NoReturn

from client.site import Table
from client.tables.text_encodings import decoded
from irene_model.errors import DataError

_SEPARATORS = {",": "comma", ";": "semicolon", "\t": "tab", "|": "vertical bar"}
_FIRST_ROWS = 1_000_000  # characters that surely hold two rows
_SEP_LINE = re.compile(r'"?sep=(?P<mark>[^"\r\n])"?[,;\t ]*(?:\r\n|\r|\n)', re.IGNORECASE)
# Written by copying from web pages: at a cell's edge they are seen by nobody and match nothing.
_UNSEEN = " \t\xa0\u200b\u200c\u200d\u200e\u200f\u2060\ufeff\xad"


@dataclass(frozen=True, kw_only=True)
class Cells:
    """What a file holds: names, the cells of each column, the line of each row.

    counted: whether `lines` are a text's lines or a Parquet file's rows. unread: columns without
    cells, and why. numeric: columns that the file stores as numbers: those have a point.
    """

    names: list[str]
    columns: list[list[str]]
    lines: list[int]
    counted: Literal["line", "row"] = "line"
    unread: Mapping[str, str] = field(default_factory=dict)
    numeric: frozenset[str] = frozenset()


def read_csv(content: bytes, table: Table, key: str) -> Cells:
    """The file's cells; `key` is where site.yaml names the table.

    Raises:
        DataError: the encoding, the separator, a quote or a row is not as it should be.
    """
    text = decoded(content, table, key).rstrip("\x1a\0\r\n")
    return _Reader(shown=str(table.path), key=key).read(text, separator_of(table))


def separator_of(table: Table) -> str:
    """What stands between cells, as site.yaml or the file's name says."""
    is_tsv = table.path.suffix.lower() == ".tsv" and "separator" not in table.model_fields_set
    return "\t" if is_tsv else table.separator


def trimmed(cell: str) -> str:
    """Without what nobody sees at its edges."""
    cell = cell.strip()
    return cell if cell.isascii() else cell.strip(_UNSEEN)


@dataclass(frozen=True, kw_only=True)
class _Row:
    cells: list[str]
    line: int
    end: int  # the line of its last letter


@dataclass(frozen=True, kw_only=True)
class _Reader:
    shown: str
    key: str

    def read(self, text: str, separator: str) -> Cells:
        said = _SEP_LINE.match(text)
        if said is not None:
            separator, text = said["mark"], text[said.end() :]
        rows = self._rows(text, separator, first=1 if said is None else 2)
        header = next(rows, None)
        if header is None:
            return Cells(names=[], columns=[], lines=[])
        width, names = len(header.cells), _without_last_empty(header.cells)
        self._refuse_other_separator(text, separator, len(names))
        table: list[list[str]] = []
        lines: list[int] = []
        for row in rows:
            cells = row.cells[: len(names)]
            # Not merely what fits once empty cells are cut off: an unquoted separator may have
            # moved a row's values by one column, the last of which is empty.
            if len(row.cells) != width or any(row.cells[len(names) :]):
                self._refuse_length(row, names, next(rows, None))
            if cells == names:
                raise DataError(
                    f"{self.shown} line {row.line}: repeats the header; were files put one after "
                    "another? Delete the line"
                )
            table.append(cells)
            lines.append(row.line)
        columns = [list(cells) for cells in zip(*table, strict=True)] or [[] for _ in names]
        return Cells(names=names, columns=columns, lines=lines)

    def _rows(self, text: str, separator: str, *, first: int) -> Iterator[_Row]:
        """The rows that hold anything; the first line of `text` is number `first`."""
        csv.field_size_limit(sys.maxsize)  # a discharge letter is longer than Python's 131,072
        reader = csv.reader(
            io.StringIO(text, newline=""),
            delimiter=separator,
            strict=True,
            skipinitialspace=separator != " ",
        )
        line = first
        try:
            for row in reader:
                cells = [trimmed(cell) for cell in row]
                end = reader.line_num + first - 1
                if any(cells):
                    yield _Row(cells=cells, line=line, end=end)
                line = end + 1
        except csv.Error as error:
            self._refuse_quote(text, line, first, at_end="unexpected end" in str(error))

    def _refuse_quote(self, text: str, line: int, first: int, *, at_end: bool) -> None:
        written = io.StringIO(text, newline="").readlines()[line - first]
        if '\\"' in written:
            said = 'a quote within a cell is written \\"; expected two of them, ""'
        elif at_end:
            said = "a quote is opened here and never closed; close or remove it"
        else:
            said = "text follows a closing quote; is a quote left open, or not doubled?"
        raise DataError(f"{self.shown} line {line}: is not valid CSV: {said}") from None

    def _refuse_other_separator(self, text: str, separator: str, width: int) -> None:
        """Refuse where another separator makes more columns, of header and first row alike."""
        for other, called in _SEPARATORS.items():
            widths = _widths(text, other)
            if other != separator and min(widths) == max(widths) > width:
                read_as = _SEPARATORS.get(separator, f"'{separator}'")
                raise DataError(
                    f"{self.shown}: its columns are separated by a {called}, and were read as "
                    f"separated by a {read_as}; set {self.key}.separator: "
                    + ('"\\t"' if other == "\t" else f'"{other}"')
                )

    def _refuse_length(self, row: _Row, names: list[str], following: _Row | None) -> NoReturn:
        width = len(row.cells)
        filled = len(_without_last_empty(row.cells))
        if width >= 2 * len(names):
            remedy = (
                "is there a title above the header? Delete what stands above the line with the "
                "columns' names"
            )
        elif row.end > row.line:
            remedy = f"it reaches to line {row.end}: is a quote left open?"
        elif filled <= len(names) < width:
            remedy = (
                "if each line ends in a separator, end the header in one too; if not, put cells "
                "that hold the separator in double quotes"
            )
        elif width > len(names):
            remedy = "put cells that hold the separator in double quotes"
        elif following is None and sum(map(bool, row.cells)) <= 2:
            remedy = "is it a total or a remark below the table? Delete the line"
        else:
            remedy = "is the file cut off here, or a line broken in two? Export it again"
        raise DataError(
            f"{self.shown} line {row.line}: has {width} cell{'s' * (width != 1)}, the header has "
            f"{len(names)}; {remedy}"
        )


def _without_last_empty(cells: list[str]) -> list[str]:
    last = max((index for index, cell in enumerate(cells) if cell), default=-1)
    return cells[: last + 1]


def _widths(text: str, separator: str) -> list[int]:
    """Columns of the first two rows of `text`; [0] where it can't be read so."""
    reader = csv.reader(io.StringIO(text[:_FIRST_ROWS], newline=""), delimiter=separator)
    try:
        return [len(row) for row in islice(filter(any, reader), 2)] or [0]
    except csv.Error:
        return [0]
