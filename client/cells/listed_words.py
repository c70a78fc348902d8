"""Cells whose meaning site.yaml lists: sexes and splits."""

from collections.abc import Callable, Mapping
from typing import TypeVar

from client.cells.cell_error import CellError
from client.cells.kinds import kind_of
from client.site import MissingWords, SexColumn, SplitColumn, plain, split_cells
from irene_model.study import Sex, Split

V = TypeVar("V")


def sex_reader(column: SexColumn, missing: MissingWords) -> Callable[[str], Sex | None]:
    """Cells as columns.sex maps them; one that it does not list and that says nothing is None."""
    sexes: dict[str, Sex | None] = dict.fromkeys(column.female, "female")
    sexes |= dict.fromkeys(column.male, "male")
    sexes |= dict.fromkeys(column.unknown, None)
    listed = _lookup(sexes, "columns.sex.female, .male or .unknown", " (or `missing`)")

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
