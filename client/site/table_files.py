"""The files that a hospital's tables are in, and how their rows belong together."""

from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import Field, model_validator

from irene_model.study import Settings

DayOrder = Literal["dmy", "mdy"]
"""Of a date with strokes: which number is the month."""
Column = Annotated[str, Field(min_length=1)]
TableName = Annotated[str, Field(pattern=r"^[A-Za-z_][A-Za-z0-9_]{0,62}$")]


class Table(Settings):
    """A file of CSV (.csv, .tsv, .txt, or these with .gz), Parquet (.parquet) or Excel (.xlsx), or
    what a query makes of files.

    sheet: of a workbook that has several. query: one SELECT, over the database at `path` (.duckdb,
    .db, .sqlite, .sqlite3), or over the file of CSV or Parquet there, as a table that is called as
    the file without its ending. beside: further files that a query may name -> their paths.

    decimal, thousands: how its numbers are written; a point and nothing, where nobody says. Columns
    that Parquet stores as numbers are read as those.
    """

    path: Path
    encoding: str = "utf-8"
    separator: str = Field(default=",", min_length=1, max_length=1)
    decimal: Literal[".", ","] | None = None
    thousands: Literal[".", ",", " ", "'"] | None = None
    sheet: str | None = Field(default=None, min_length=1, max_length=255)
    query: str | None = Field(default=None, min_length=1, max_length=20_000)
    beside: dict[TableName, Path] = Field(default_factory=dict)

    @model_validator(mode="after")
    def _keys_of_its_kind(self) -> Self:
        if self.sheet is not None and self.path.suffix.lower() not in (".xlsx", ".xlsm"):
            raise ValueError("sheet: is for a workbook (.xlsx)")
        if self.beside and self.query is None:
            raise ValueError("beside: names files for a query, and there is none")
        return self

    @model_validator(mode="after")
    def _two_signs(self) -> Self:
        if self.thousands is not None and self.thousands == (self.decimal or "."):
            raise ValueError("thousands: is the decimal sign too; say by decimal which one that is")
        return self


class JoinedTable(Table):
    """A table whose column `on` says which record a row belongs to.

    matched: the least share of keys that must be in both tables, of those in the smaller one. Left
    out, it is half for a join, and all rows of any other table must belong to a record.
    """

    on: Column
    matched: float | None = Field(default=None, ge=0, le=1)

    @model_validator(mode="before")
    @classmethod
    def _on_is_a_word(cls, document: Any) -> Any:
        """YAML 1.1, which PyYAML reads, takes the bare key `on` for true."""
        if not isinstance(document, dict):
            return document
        return {"on" if key is True else key: value for key, value in document.items()}


class Join(JoinedTable):
    """A table with at most one row for each value of the column `on`."""


class OwnedTable(JoinedTable):
    """A table whose rows belong to records, one by one.

    patient: the column that names the patient a second time, which is compared with the record's.
    Left out, it is the column that is called as the records' one, if there is any.
    """

    patient: Column | None = None


class RecordsTable(Table):
    """The table with one row for each record, and what is joined to it."""

    joins: tuple[Join, ...] = ()


Take = Literal["first", "last", "nearest", "mean"]


class Window(Settings):
    """Hours before and after the record's own time; a value outside is passed over."""

    before: float = Field(default=0.0, ge=0, le=1e6)
    after: float = Field(default=0.0, ge=0, le=1e6)

    @model_validator(mode="after")
    def _is_open(self) -> Self:
        if not self.before + self.after > 0:
            raise ValueError("give hours, as {before: 24, after: 6}")
        return self


class LabTable(OwnedTable):
    """A table with one row for each laboratory value; `test` holds LOINC codes.

    Tests that the study does not ask for are passed over. codes: the study's name -> further codes
    for it, of LOINC or the laboratory's own. comparator: a column with `<` or `>` for the value.

    take: which counts where a record has several; left out, a second one is refused. time: the
    column of the values' times; at: the column of the records' own, as that of the image.
    """

    test: Column
    value: Column
    unit: Column
    codes: dict[str, tuple[str, ...]] = Field(default_factory=dict)
    comparator: Column | None = None
    take: Take | None = None
    time: Column | None = None
    at: Column | None = None
    window: Window | None = None

    @model_validator(mode="after")
    def _a_code_has_one_meaning(self) -> Self:
        known: dict[str, str] = {}
        for name, codes in self.codes.items():
            for code in codes:
                if known.setdefault(code.strip(), name) != name:
                    raise ValueError(
                        f"codes: '{code}' is listed for {known[code.strip()]} and for {name}"
                    )
        return self

    @model_validator(mode="after")
    def _times_where_they_are_needed(self) -> Self:
        if self.take in ("first", "last", "nearest") and self.time is None:
            raise ValueError(f"take: {self.take} needs time, the column of the values' times")
        for asked, key in ((self.take == "nearest", "take: nearest"), (self.window, "window")):
            if asked and (self.at is None or self.time is None):
                raise ValueError(
                    f"{key} needs time, and at, the column of the records' own time (of the image)"
                )
        return self
