"""A hospital's tables as columns of text that know where each cell stands.

Every cell is read as text, so that nothing is guessed: `007` stays a patient's id, `1,5` stays
what it is until a column's own parser judges it. Each cell keeps the line an editor shows, since
a complaint about row 5,000 helps nobody when complaints of patients span several lines.
"""

import csv
import difflib
import io
import math
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, NoReturn, TypeVar

from client.joins import Account, JoinCounts, compared, count_partners, judge
from client.site import Join, JoinedTable, RecordsTable, Site, Table
from irene_model.errors import DataError

T = TypeVar("T")
NO_ROW = 0  # the "line" of a cell that a join found no row for


class CellError(ValueError):
    """What is wrong with a cell: its kind, the bound and the remedy, never its content."""


@dataclass(frozen=True, kw_only=True)
class Column:
    """One column. `lines` are 1-based: of the file for CSV, of the rows for Parquet."""

    table: str
    counted: str  # "line" or "row"
    name: str
    cells: Sequence[str]
    lines: Sequence[int]

    def take(self, rows: Sequence[int | None]) -> "Column":
        """The cells at `rows`; None gives an empty cell."""
        return replace(
            self,
            cells=["" if row is None else self.cells[row] for row in rows],
            lines=[NO_ROW if row is None else self.lines[row] for row in rows],
        )

    def place(self, row: int) -> str:
        """Where the cell stands, as `encounters.csv line 7`."""
        if self.lines[row] == NO_ROW:
            return f"{self.table}, which lacks a row for some records"
        return f"{self.table} {self.counted} {self.lines[row]}"

    def refuse(self, rows: Sequence[int], said: str) -> NoReturn:
        """Raise a DataError for the first of `rows` and count the others."""
        more = len({self.lines[row] for row in rows}) - 1
        tail = f" (and {more} more like it)" if more else ""
        raise DataError(f"{self.place(rows[0])}, column '{self.name}': {said}{tail}")

    def index(self, repeated: str) -> dict[str, int]:
        """Cell -> its row; a cell that stands twice is refused in the words of `repeated`."""
        rows: dict[str, int] = {}
        again = [row for row, cell in enumerate(self.cells) if rows.setdefault(cell, row) != row]
        if again:
            self.refuse(again, repeated)
        return rows

    def holds(self, keys: Collection[str]) -> bool:
        """Whether most of `keys` stand in this column."""
        return len(set(compared(self.cells)).intersection(keys)) > len(keys) / 2

    def parse(self, read_cell: Callable[[str], T]) -> list[T]:
        """`read_cell` of every cell; its CellErrors become one DataError.

        Each distinct cell is read once: in clinical tables most cells repeat.
        """
        values: dict[str, T] = {}
        complaints: dict[str, str] = {}
        for cell in set(self.cells):
            try:
                values[cell] = read_cell(cell)
            except CellError as error:
                complaints[cell] = str(error)
        if complaints:
            bad = [row for row, cell in enumerate(self.cells) if cell in complaints]
            said = complaints[self.cells[bad[0]]]
            self.refuse([row for row in bad if complaints[self.cells[row]] == said], said)
        return [values[cell] for cell in self.cells]


@dataclass(frozen=True, kw_only=True)
class Frame:
    """A table, or the records table with all its joins."""

    columns: Mapping[str, Column]
    tables: tuple[str, ...]

    def __len__(self) -> int:
        """Rows; a frame has at least one column."""
        return len(next(iter(self.columns.values())).cells)

    def take(self, rows: Sequence[int]) -> "Frame":
        """The given rows of every column."""
        return replace(self, columns={n: column.take(rows) for n, column in self.columns.items()})

    def column(self, name: str, key: str) -> Column:
        """The column that site.yaml names under `key`; a missing one is a DataError."""
        if name in self.columns:
            return self.columns[name]
        close = difflib.get_close_matches(name, list(self.columns), n=1)
        hint = f"; did you mean '{close[0]}'?" if close else ""
        if len(self.columns) == 1 and not close:
            hint = "; the table has a single column: is its `separator` right?"
        raise DataError(f"{' + '.join(self.tables)}: no column '{name}', named by {key}{hint}")


def read_frame(site: Site, table: Table, key: str) -> Frame:
    """The table as text; `key` is where site.yaml names it, for the errors."""
    path, shown = site.resolve(table.path), str(table.path)
    if not path.is_file():
        raise DataError(f"{shown}: no such file, named by {key}.path; it is sought at {path}")
    suffix = path.suffix.lower()
    if suffix == ".parquet":
        counted, (header, rows, lines) = "row", _read_parquet(path.open("rb"), shown)
    elif suffix in (".csv", ".tsv", ".txt"):
        counted, (header, rows, lines) = "line", _read_csv(path.read_bytes(), table, key)
    else:
        raise DataError(f"{shown}: named by {key}.path: expected .csv, .tsv, .txt or .parquet")
    repeated = sorted({name for name in header if name and header.count(name) > 1})
    if repeated:
        raise DataError(f"{shown}: two columns are named '{repeated[0]}'; rename one")
    if not lines:
        raise DataError(f"{shown}: holds no rows")
    columns = {
        name: Column(table=shown, counted=counted, name=name, cells=cells, lines=lines)
        for name, cells in zip(header, rows, strict=True)
    }
    return Frame(columns=columns, tables=(shown,))


def read_owners(
    owners: Column, table: JoinedTable, key: str, known_ids: Collection[str], account: Account
) -> Column:
    """Record ids of a table as they are compared; one that is no record's is refused.

    Where site.yaml says by `matched` that the table is of others as well, only that share is.
    """
    owners = replace(owners, cells=compared(owners.cells))
    counts = count_partners(known_ids, owners.cells, key=key, table=owners.table, on=table.on)
    account.joins.append(counts)
    unknown = [row for row, owner in enumerate(owners.cells) if owner not in known_ids]
    if unknown and table.matched is None:
        cause = "drop the row or mend the id" if counts.cause is None else counts.cause.said
        owners.refuse(unknown, f"names no record of the records table; {cause}")
    refused = judge(counts, table.matched or 0.0)
    if refused is not None:
        raise DataError(f"{owners.table}, joined to the records by '{table.on}': {refused}")
    return owners


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
    shared = sorted((set(left.columns) & set(right.columns)) - {join.on, ""})
    if shared:
        raise DataError(
            f"{join.path}: column '{shared[0]}' is also in {' + '.join(left.tables)}; rename or "
            "drop one, so that it is clear which is meant"
        )
    our_keys = compared(ours.cells)
    theirs = replace(theirs, cells=compared(theirs.cells))
    empty = [row for row, cell in enumerate(theirs.cells) if not cell]
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
    frame = Frame(columns={**added, **left.columns}, tables=left.tables + right.tables)
    return frame, Joined(counts=counts, partners=rows, rows=len(right))


_Cells = tuple[list[str], list[list[str]], list[int]]  # names, cells of each column, lines


def _read_csv(content: bytes, table: Table, key: str) -> _Cells:
    shown = str(table.path)
    reader = csv.reader(
        io.StringIO(_decoded(content, table, key), newline=""),
        delimiter="\t" if table.path.suffix.lower() == ".tsv" else table.separator,
        strict=True,
    )
    header: list[str] = []
    rows: list[list[str]] = []
    lines: list[int] = []
    end = 0
    try:
        for row in reader:
            start, end = end + 1, reader.line_num
            if not any(row):
                continue
            if not header:
                header = [name.strip() for name in row]
            elif len(row) != len(header):
                raise DataError(
                    f"{shown} line {start}: has {len(row)} cells, the header has {len(header)}; "
                    "put cells that hold the separator in quotes"
                )
            else:
                rows.append([cell.strip() for cell in row])
                lines.append(start)
    except csv.Error:
        raise DataError(
            f"{shown} line {end + 1}: is not valid CSV; is a quote left open or doubled?"
        ) from None
    return header, [list(cells) for cells in zip(*rows, strict=True)] or [[] for _ in header], lines


def _decoded(content: bytes, table: Table, key: str) -> str:
    try:
        text = content.decode(table.encoding).removeprefix("\ufeff")
    except UnicodeError as error:
        raise DataError(
            f"{table.path}: byte {getattr(error, 'start', 0)} is not {table.encoding} text; save "
            f"the file as {table.encoding}, or name its encoding (as latin-1 or cp1252) in "
            f"{key}.encoding"
        ) from None
    except LookupError:
        raise DataError(
            f"{table.path}: {key}.encoding names no known encoding; usual are utf-8, latin-1, "
            "cp1252 and utf-16"
        ) from None
    if "\0" in text:
        raise DataError(
            f"{table.path}: byte {content.index(0)} is zero, which text never holds; is it "
            f"utf-16? Then set {key}.encoding: utf-16"
        )
    return text


def _read_parquet(file: Any, shown: str) -> _Cells:
    import pyarrow as pa
    import pyarrow.parquet as pq

    with file:
        try:
            table = pq.read_table(file)
        except (pa.ArrowException, OSError):
            raise DataError(f"{shown}: is not a readable Parquet file") from None
    nested = [f.name for f in table.schema if pa.types.is_nested(f.type) or _is_bytes(f.type, pa)]
    if nested:
        raise DataError(f"{shown}: column '{nested[0]}' holds lists or bytes; leave it out")
    cells = [[_as_text(value) for value in column.to_pylist()] for column in table.columns]
    return list(table.column_names), cells, list(range(1, table.num_rows + 1))


def _is_bytes(kind: Any, pa: Any) -> bool:
    tests = (pa.types.is_binary, pa.types.is_large_binary, pa.types.is_fixed_size_binary)
    return any(test(kind) for test in tests)


def _as_text(value: object) -> str:
    """A Parquet value as CSV would hold it.

    Whole floats lose their point: integers with gaps are stored as floats, and an id has to
    match the same id in another table.
    """
    if value is None or (isinstance(value, float) and math.isnan(value)):
        return ""
    if isinstance(value, bool):
        return str(int(value))
    if isinstance(value, float) and value.is_integer() and abs(value) < 2**53:
        return str(int(value))
    return str(value).strip()
