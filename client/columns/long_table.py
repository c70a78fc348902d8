"""The rows of a long table that are asked for, gathered part by part.

Of millions of rows most are of tests that nobody asks for: these are counted and forgotten.
"""

from collections import Counter
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from client.cells import NumberForm, read_moment
from client.columns.coded import Coded, CodedColumn, Rows
from client.columns.column import Column
from client.columns.moments import NOT_READ, Seconds, seconds_from, seconds_of
from client.site import Site, Table
from client.tables import OddTable, TableParts, read_parts, trimmed


@dataclass(frozen=True, kw_only=True)
class LongRows:
    """The gathered rows of a table.

    rows: of the whole table. names: of all its columns. keys: cell of the column that chooses ->
    rows of the whole table. columns: name -> its cells in the gathered rows.
    times: seconds since 1970 in each gathered row, where they were read at once, else NOT_READ.
    """

    rows: int
    names: Collection[str]
    keys: Mapping[str, int]
    columns: Mapping[str, CodedColumn]
    times: Seconds

    def at(self, rows: Rows) -> "LongRows":
        """Only these of the gathered rows."""
        columns = {name: column.at(rows) for name, column in self.columns.items()}
        return replace(self, columns=columns, times=self.times[rows])

    def moments(self, name: str, site: Site, rows: Rows) -> Seconds:
        """Seconds since 1970 at `rows` of the column `name`; NOT_READ where a cell is empty."""
        found = self.times[rows]
        left = np.flatnonzero(found == NOT_READ)
        if len(left):
            column = self.columns[name].at(rows[left])
            read = column.as_known(lambda cell: seconds_from(read_moment(cell, site.dates)))
            found[left] = np.asarray(column.values(read), np.int64)[column.cells.codes]
        return found


def read_rows(
    site: Site,
    table: Table,
    key: str,
    wanted: Sequence[str],
    also: Sequence[str],
    *,
    by: str,
    asked: Callable[[str], bool],
    times: str | None,
) -> LongRows:
    """The rows of a plain file whose cell of the column `by` is asked for.

    key: where site.yaml names the table. wanted: names of the columns that are gathered, `by` and
    `times` among them; also: of those that are where they are there.
    times: the column of times, if one is needed.

    Raises:
        OddTable: the file has to be read as a whole.
    """
    parts = read_parts(site.resolve(table.path), table, key, wanted, also)
    gathered = {name: _Gathered() for name in parts.wanted}
    keys, lines, seconds = Counter[str](), [np.zeros(0, np.int32)], [np.zeros(0, np.int64)]
    for part in parts.parts:
        rows = _asked_rows(part.columns[by], by, keys, asked)
        taken = {name: column.take(rows) for name, column in part.columns.items()}
        lines.append((rows + part.first_line).astype(np.int32))
        if times is not None:
            seconds.append(seconds_of(taken[times]))
            taken[times] = _without_read(taken[times], seconds[-1])
        for name, cells in taken.items():
            gathered[name].add(cells)
    if not keys:
        raise OddTable
    _give_back()
    places = np.concatenate(lines)
    lines.clear()
    return LongRows(
        rows=keys.total(),
        names=parts.names,
        keys=keys,
        columns={
            name: _column(site, table, parts, name=name, cells=cells.coded(), places=places)
            for name, cells in gathered.items()
        },
        times=np.concatenate(seconds),
    )


def coded_rows(
    columns: Mapping[str, Column],
    wanted: Sequence[str],
    *,
    by: str,
    asked: Callable[[str], bool],
) -> LongRows:
    """The same of a table that was read as a whole; columns that it lacks are left out."""
    chooses = CodedColumn.of(columns[by])
    counts = np.bincount(chooses.cells.codes, minlength=len(chooses.cells.words)).tolist()
    rows = np.flatnonzero(chooses.cells.among([*filter(asked, chooses.cells.words)]))
    return LongRows(
        rows=len(chooses.cells),
        names=[*columns],
        keys=dict(zip(chooses.cells.words, counts, strict=True)),
        columns={
            name: CodedColumn.of(columns[name]).at(rows) for name in wanted if name in columns
        },
        times=np.full(len(rows), NOT_READ),
    )


@dataclass(kw_only=True)
class _Gathered:
    """Cells of one column, part after part."""

    numbers: dict[str, int] = field(default_factory=dict)
    codes: list[npt.NDArray[np.int32]] = field(default_factory=lambda: [np.zeros(0, np.int32)])

    def add(self, cells: Any) -> None:
        coded, numbers = cells.dictionary_encode(), self.numbers
        words = map(trimmed, coded.dictionary.to_pylist())
        own = [numbers.setdefault(word, len(numbers)) for word in words]
        self.codes.append(np.asarray(own, np.int32)[coded.indices.to_numpy()])

    def coded(self) -> Coded:
        codes = np.concatenate(self.codes)
        self.codes.clear()
        return Coded(words=[*self.numbers], codes=codes)


def _asked_rows(
    cells: Any, name: str, keys: Counter[str], asked: Callable[[str], bool]
) -> npt.NDArray[np.int64]:
    """The rows of a part that are asked for; all are counted by their key."""
    coded = cells.dictionary_encode()
    words, codes = [*map(trimmed, coded.dictionary.to_pylist())], coded.indices.to_numpy()
    if name in words:
        raise OddTable  # the header again
    for word, count in zip(words, np.bincount(codes, minlength=len(words)).tolist(), strict=True):
        keys[word] += count
    is_asked = np.fromiter(map(asked, words), np.bool_, len(words))
    return np.flatnonzero(is_asked[codes]) if words else np.zeros(0, np.int64)


def _give_back() -> None:
    """The memory of parts that were read, which pyarrow keeps for more of them."""
    import pyarrow as pa

    pa.default_memory_pool().release_unused()


def _without_read(cells: Any, seconds: Seconds) -> Any:
    """Text that was read as a time is not kept as text."""
    import pyarrow as pa
    import pyarrow.compute as pc

    return pc.if_else(pa.array(seconds == NOT_READ), cells, "")


def _column(
    site: Site,
    table: Table,
    parts: TableParts,
    *,
    name: str,
    cells: Coded,
    places: npt.NDArray[np.int32],
) -> CodedColumn:
    is_number = name in parts.numeric
    return CodedColumn(
        table=str(table.path),
        counted=parts.counted,
        name=name,
        cells=cells,
        lines=places,  # type: ignore[arg-type]  # an array is as good as a sequence here
        missing=site.missing_words,
        numbers=NumberForm.of(site, None if is_number else table),
    )
