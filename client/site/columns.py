"""Which columns hold what, and what the words in their cells mean."""

from collections.abc import Mapping
from typing import Any, Literal, Self

from pydantic import Field, field_validator, model_validator

from client.site.table_files import Column, OwnedTable
from irene_model.study import SPLITS, Settings, Split


class ImageColumn(Settings):
    """Where a record's radiograph lies: the cell put into `pattern`; PNG, JPEG or DICOM."""

    column: Column
    pattern: str = "{}"

    @field_validator("pattern")
    @classmethod
    def _has_one_place(cls, pattern: str) -> str:
        if pattern.count("{}") != 1:
            raise ValueError("must hold {} once: the place of the cell, as in png/{}.png")
        return pattern


AgeUnit = Literal["years", "months", "days"]


class AgeColumn(Settings):
    """Where a record's age stands, and in which unit; a bare name says no unit, so years are read.

    The check says that nobody has said so: a number does not tell.
    """

    column: Column
    unit: AgeUnit | None = None

    @model_validator(mode="before")
    @classmethod
    def _a_name_is_a_column(cls, document: Any) -> Any:
        return {"column": document} if isinstance(document, str) else document


class SexColumn(Settings):
    """Which cells mean female and which male; any other filled cell is refused."""

    column: Column
    female: tuple[str, ...] = ("f", "female")
    male: tuple[str, ...] = ("m", "male")

    @model_validator(mode="after")
    def _cells_differ(self) -> Self:
        _refuse_shared_cells({"female": self.female, "male": self.male})
        return self


class SplitColumn(Settings):
    """Which cells mean train, validation and test."""

    column: Column
    train: tuple[str, ...] = ("train",)
    validation: tuple[str, ...] = ("validation",)
    test: tuple[str, ...] = ("test",)

    @model_validator(mode="after")
    def _cells_differ(self) -> Self:
        _refuse_shared_cells({split: getattr(self, split) for split in SPLITS})
        return self


class Columns(Settings):
    """Columns of the records table (with its joins)."""

    patient_id: Column
    record_id: Column
    image: ImageColumn | None = None
    text: Column | None = None
    age: AgeColumn | None = None
    sex: SexColumn | None = None
    split: SplitColumn | None = None


class LabColumn(Settings):
    """A laboratory value in the records table and the unit it is written in."""

    column: Column
    unit: str = Field(min_length=1)


class SitePanel(Settings):
    """One of the study's further panels: a column for each value.

    The columns are in `table`, which has one row for each record, or without it in the records
    table. `columns` maps values; one that it leaves out is sought under its own name, in `unit` or
    else the study's. What this hospital does not measure has to be listed in `lacks`.
    """

    table: OwnedTable | None = None
    unit: str | None = Field(default=None, min_length=1)
    columns: dict[str, LabColumn] = Field(default_factory=dict)
    lacks: tuple[str, ...] = ()


class LabelColumn(Settings):
    """What a column says of a label.

    binary: cells are 0, 1 or missing (not annotated). filled: 1 where a cell says anything but no,
    else 0. Cells in `positive`, `negative` and `unknown` (not annotated) mean that under any rule.
    """

    column: Column
    rule: Literal["binary", "filled"] = "binary"
    positive: tuple[str, ...] = ()
    negative: tuple[str, ...] = ()
    unknown: tuple[str, ...] = ()

    @model_validator(mode="after")
    def _cells_differ(self) -> Self:
        meanings = ("positive", "negative", "unknown")
        _refuse_shared_cells({meaning: getattr(self, meaning) for meaning in meanings})
        return self


def split_cells(column: SplitColumn) -> dict[str, Split]:
    """Cell -> split."""
    return {cell: split for split in SPLITS for cell in getattr(column, split)}


def _refuse_shared_cells(meanings: Mapping[str, tuple[str, ...]]) -> None:
    cells = [(cell.strip(), meaning) for meaning, cells in meanings.items() for cell in set(cells)]
    known: dict[str, str] = {}
    for cell, meaning in cells:
        if known.setdefault(cell, meaning) != meaning:
            raise ValueError(f"'{cell}' is listed both as {known[cell]} and as {meaning}")
