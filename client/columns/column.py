"""A column of a table as text, which knows where each cell stands."""

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import NoReturn, TypeVar

from client.cells import CellError, NumberForm
from client.joins import compared
from client.site import MissingWords
from irene_model.errors import DataError

T = TypeVar("T")
NO_ROW = 0  # the "line" of a cell that a join found no row for
_SHOWN_LINES = 3


@dataclass(frozen=True, kw_only=True)
class Column:
    """One column. `lines` are 1-based: of the file for CSV, of the rows for Parquet.

    `cells` are as written; `missing` are the words in them that say that nothing is known;
    `numbers` says how its numbers are written.
    """

    table: str
    counted: str  # "line" or "row"
    name: str
    cells: Sequence[str]
    lines: Sequence[int]
    missing: MissingWords = field(default_factory=MissingWords)
    numbers: NumberForm = field(default_factory=NumberForm)

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
        others = sorted({self.lines[row] for row in rows} - {self.lines[rows[0]], NO_ROW})
        shown = ", ".join(map(str, others[:_SHOWN_LINES]))
        shown += " ..." if len(others) > _SHOWN_LINES else ""
        more = f"{self.counted}{'s' * (len(others) != 1)} {shown}"
        tail = f" (and {len(others)} more like it: {more})" if others else ""
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

    def known(self) -> list[str]:
        """The cells, one that says that nothing is known as empty."""
        return ["" if cell in self.missing else cell for cell in self.cells]

    def parse(self, read_cell: Callable[[str], T]) -> list[T]:
        """`read_cell` of every cell; one that says that nothing is known is read as empty."""
        return self.parse_written(self.as_known(read_cell))

    def parse_numbers(self, read_cell: Callable[[str], T]) -> list[T]:
        """As `parse`, with numbers, and the site's words for them, as `read_cell` expects them."""
        return self.parse_written(self.as_numbers(read_cell))

    def parse_written(self, read_cell: Callable[[str], T]) -> list[T]:
        """`read_cell` of every cell as it is written; its CellErrors become one DataError."""
        values = self.words(read_cell)
        return [values[cell] for cell in self.cells]

    def as_known(self, read_cell: Callable[[str], T]) -> Callable[[str], T]:
        """`read_cell`, to which a cell that says that nothing is known is empty."""
        return lambda cell: read_cell("" if cell in self.missing else cell)

    def as_numbers(self, read_cell: Callable[[str], T]) -> Callable[[str], T]:
        """`read_cell`, to which numbers are given in its own form."""

        def read(cell: str) -> T:
            word = self.numbers.word(cell)
            if word is not None:
                return read_cell(word)
            return read_cell("" if cell in self.missing else self.numbers.plain(cell))

        return read

    def words(self, read_cell: Callable[[str], T]) -> Mapping[str, T]:
        """`read_cell` of each distinct cell, once: in clinical tables most cells repeat."""
        values: dict[str, T] = {}
        complaints: dict[str, str] = {}
        for cell in self.distinct():
            try:
                values[cell] = read_cell(cell)
            except CellError as error:
                complaints[cell] = str(error)
        if complaints:
            first = self.cells[self.rows_of(complaints)[0]]
            alike = {cell for cell, said in complaints.items() if said == complaints[first]}
            self.refuse(self.rows_of(alike), complaints[first])
        return values

    def distinct(self) -> Collection[str]:
        """The cells, each once."""
        return set(self.cells)

    def rows_of(self, words: Collection[str]) -> Sequence[int]:
        """The rows whose cells are among `words`."""
        return [row for row, cell in enumerate(self.cells) if cell in words]
