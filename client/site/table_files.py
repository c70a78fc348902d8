"""The files that a hospital's tables are in, and how their rows belong together."""

from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import Field, model_validator

from irene_model.study import Settings

DayOrder = Literal["dmy", "mdy"]
"""Of a date with strokes: which number is the month."""
Column = Annotated[str, Field(min_length=1)]


class Table(Settings):
    """A CSV (.csv, .tsv, .txt) or Parquet (.parquet) file.

    decimal, thousands: how its numbers are written; a point and nothing, where nobody says. Columns
    that Parquet stores as numbers are read as those.
    """

    path: Path
    encoding: str = "utf-8"
    separator: str = Field(default=",", min_length=1, max_length=1)
    decimal: Literal[".", ","] | None = None
    thousands: Literal[".", ",", " ", "'"] | None = None

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


class LabTable(OwnedTable):
    """A table with one row for each laboratory value; `test` holds LOINC codes.

    Tests that the study does not ask for are passed over.
    """

    test: Column
    value: Column
    unit: Column
