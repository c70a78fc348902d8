"""A column of millions of rows as numbers into its distinct cells: four bytes a row.

What is read of a cell is read once for each distinct one, and the rest is arithmetic of arrays.
"""

from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any, TypeVar, overload

import numpy as np
import numpy.typing as npt

from client.columns.column import Column

T = TypeVar("T")
Rows = npt.NDArray[np.signedinteger[Any]]
Codes = npt.NDArray[np.int32]


@dataclass(frozen=True, kw_only=True, eq=False)
class Coded(Sequence[str]):
    """Cells: that of row i is `words[codes[i]]`; a word may have no row."""

    words: Sequence[str]
    codes: Codes

    @classmethod
    def of(cls, cells: Sequence[str]) -> "Coded":
        """The same cells."""
        if isinstance(cells, Coded):
            return cells
        numbers: dict[str, int] = {}
        codes = [numbers.setdefault(cell, len(numbers)) for cell in cells]
        return cls(words=[*numbers], codes=np.asarray(codes, np.int32))

    def __len__(self) -> int:
        """Rows."""
        return len(self.codes)

    @overload
    def __getitem__(self, row: int) -> str: ...
    @overload
    def __getitem__(self, row: slice) -> "Coded": ...
    def __getitem__(self, row: int | slice) -> "str | Coded":
        """One cell, or the cells of some rows."""
        if isinstance(row, slice):
            return replace(self, codes=self.codes[row])
        return self.words[int(self.codes[row])]

    def __iter__(self) -> Iterator[str]:
        """Cell by cell; words are not made anew."""
        return map(self.words.__getitem__, self.codes.tolist())

    @property
    def in_use(self) -> npt.NDArray[np.bool_]:
        """Of each word, whether it stands in any row."""
        return np.bincount(self.codes, minlength=len(self.words)) > 0

    def spelt(self, words: Sequence[str]) -> "Coded":
        """With other words for the same codes; those that have become alike have one code."""
        numbers: dict[str, int] = {}
        codes = [numbers.setdefault(word, len(numbers)) for word in words]
        return Coded(words=[*numbers], codes=np.asarray(codes, np.int32)[self.codes])

    def compact(self) -> "Coded":
        """Without words that stand in no row."""
        used = self.in_use
        if used.all():
            return self
        kept = np.flatnonzero(used)
        codes = (np.cumsum(used) - 1).astype(np.int32)
        return Coded(words=[self.words[code] for code in kept.tolist()], codes=codes[self.codes])

    def among(self, words: Collection[str]) -> npt.NDArray[np.bool_]:
        """Of each row, whether its cell is one of `words`."""
        return np.fromiter((w in words for w in self.words), np.bool_, len(self.words))[self.codes]


@dataclass(frozen=True, kw_only=True)
class CodedColumn(Column):
    """A column whose cells are coded."""

    cells: Coded

    @classmethod
    def of(cls, column: Column) -> "CodedColumn":
        """The same column."""
        if isinstance(column, CodedColumn):
            return column
        return cls(
            table=column.table,
            counted=column.counted,
            name=column.name,
            cells=Coded.of(column.cells),
            lines=column.lines,
            missing=column.missing,
            numbers=column.numbers,
        )

    def at(self, rows: Rows) -> "CodedColumn":
        """The cells at `rows`."""
        cells = Coded(words=self.cells.words, codes=self.cells.codes[rows])
        return replace(self, cells=cells.compact(), lines=np.asarray(self.lines)[rows])  # type: ignore[arg-type]  # an array is as good as a sequence here

    def known_words(self) -> list[str]:
        """As `known`, of each word."""
        return ["" if word in self.missing else word for word in self.cells.words]

    def values(self, read_cell: Callable[[str], T]) -> list[T]:
        """`read_cell` of each word, which all stand in some row (see `at`)."""
        read = self.words(read_cell)
        return [read[word] for word in self.cells.words]

    def distinct(self) -> Collection[str]:
        """The words."""
        return self.cells.words

    def rows_of(self, words: Collection[str]) -> Sequence[int]:
        """The rows whose cells are among `words`."""
        return np.flatnonzero(self.cells.among(words)).tolist()
