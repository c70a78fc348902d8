"""A hospital's tables as columns of text that know where each cell stands.

Every cell is read as text, so that nothing is guessed: `007` stays a patient's id, `1,5` stays
what it is until a column's own parser judges it. Each cell keeps the line an editor shows, since
a complaint about row 5,000 helps nobody when complaints of patients span several lines.
"""

import difflib
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from client.cells import NumberForm
from client.columns import Column
from client.joins import JoinCounts, compared, count_partners, judge
from client.site import Join, RecordsTable, Site, Table
from client.tables import read_table
from irene_model.errors import DataError

_TWICE = "two columns have this name; rename or drop one"
_NO_NAME = re.compile(r"[\d.,:/ -]+")  # a value, as a date or a number
_FIRST_ROWS = 20  # a title above the header is shorter


@dataclass(frozen=True, kw_only=True)
class Frame:
    """A table, or the records table with all its joins.

    unread: columns that can't be used, and why; harmless as long as site.yaml names none of them.
    """

    columns: Mapping[str, Column]
    tables: tuple[str, ...]
    unread: Mapping[str, str] = field(default_factory=dict)

    def __len__(self) -> int:
        """Rows; a frame has at least one column."""
        return len(next(iter(self.columns.values())).cells)

    def take(self, rows: Sequence[int]) -> "Frame":
        """The given rows of every column."""
        return replace(self, columns={n: column.take(rows) for n, column in self.columns.items()})

    def column(self, name: str, key: str) -> Column:
        """The column that site.yaml names under `key`; a missing one is a DataError."""
        shown = " + ".join(self.tables)
        if name in self.unread:
            raise DataError(f"{shown}: column '{name}', named by {key}: {self.unread[name]}")
        if name in self.columns:
            return self.columns[name]
        close = difflib.get_close_matches(name, list(self.columns), n=1)
        hint = f"; did you mean '{close[0]}'?" if close else ""
        if header := self._lower_header(name):
            hint = f"; {header} has it: delete what stands above the header"
        elif len(self.columns) == 1 and not close:
            hint = "; the table has a single column: is its `separator` right?"
        elif any(_NO_NAME.fullmatch(each) for each in self.columns) and not close:
            hint = "; is there a header with the columns' names in its first line?"
        raise DataError(f"{shown}: no column '{name}', named by {key}{hint}")

    def _lower_header(self, name: str) -> str:
        """The place, among the first rows, of a cell that is `name`."""
        for column in self.columns.values():
            if name in (first := list(column.cells[:_FIRST_ROWS])):
                return column.place(first.index(name))
        return ""


def read_frame(site: Site, table: Table, key: str) -> Frame:
    """The table as text; `key` is where site.yaml names it, for the errors."""
    path, shown = _found(site, table.path, f"{key}.path"), str(table.path)
    beside = {n: _found(site, each, f"{key}.beside.{n}") for n, each in table.beside.items()}
    found = read_table(path, table, key, beside)
    written, exact = NumberForm.of(site, table), NumberForm.of(site, None)
    twice = {name for name, times in Counter(found.names).items() if name and times > 1}
    unread = {**found.unread, **dict.fromkeys(twice, _TWICE)}
    columns = {
        name: Column(
            table=shown,
            counted=found.counted,
            name=name,
            cells=cells,
            lines=found.lines,
            missing=site.missing_words,
            numbers=exact if name in found.numeric else written,
        )
        for name, cells in zip(found.names, found.columns, strict=True)
        if name and name not in twice
    }
    return Frame(columns=columns, tables=(shown,), unread=unread)


def _found(site: Site, named: Path, key: str) -> Path:
    """Where the file lies that site.yaml names under `key`; a DataError if it is not there."""
    path, shown = site.resolve(named), str(named)
    if path.is_dir():
        raise DataError(f"{shown}: is a folder, named by {key}; name the table's file in it")
    if not path.is_file():
        hint = "; paths are written with / here" if "\\" in shown else ""
        raise DataError(f"{shown}: no such file, named by {key}; it is sought at {path}{hint}")
    return path


@dataclass(frozen=True, kw_only=True)
class Joined:
    """A join's counts, and for each row of the records that of its partner in the joined table."""

    counts: JoinCounts
    partners: Sequence[int | None]
    rows: int


def read_joined(site: Site, table: RecordsTable) -> tuple[Frame, list[Joined]]:
    """The records table, with the columns of its joins beside its own."""
    frame = read_frame(site, table, "records")
    joined = []
    for index, join in enumerate(table.joins):
        key = f"records.joins.{index}"
        frame, found = _join(frame, read_frame(site, join, key), join, key)
        joined.append(found)
    return frame, joined


def _join(left: Frame, right: Frame, join: Join, key: str) -> tuple[Frame, Joined]:
    """Many-to-one: a row of `left` without a partner gets empty cells."""
    ours, theirs = (frame.column(join.on, f"{key}.on") for frame in (left, right))
    shared = sorted((set(left.columns) & set(right.columns)) - {join.on})
    if shared:
        raise DataError(
            f"{join.path}: column '{shared[0]}' is also in {' + '.join(left.tables)}; rename or "
            "drop one, so that it is clear which is meant"
        )
    our_keys, their_keys = (compared(column.known()) for column in (ours, theirs))
    theirs = replace(theirs, cells=their_keys)
    empty = [row for row, cell in enumerate(their_keys) if not cell]
    if empty:
        theirs.refuse(empty, "is empty, expected the value that joins the tables")
    partner = theirs.index("repeats an earlier row; a joined table has one row for each value")
    counts = count_partners(our_keys, theirs.cells, key=key, table=theirs.table, on=join.on)
    others = (n for n, column in left.columns.items() if n != join.on and column.holds(partner))
    refused = judge(counts, join.matched, others)
    if refused is not None:
        raise DataError(
            f"{theirs.table}, joined to {' + '.join(left.tables)} by '{join.on}': {refused}"
        )
    rows = [partner.get(cell) for cell in our_keys]
    added = {name: c.take(rows) for name, c in right.columns.items() if name != join.on}
    frame = Frame(
        columns={**added, **left.columns},
        tables=left.tables + right.tables,
        unread={**right.unread, **left.unread},
    )
    return frame, Joined(counts=counts, partners=rows, rows=len(right))
