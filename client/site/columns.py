"""Which columns hold what, and what the words in their cells mean."""

import re
from collections.abc import Mapping
from typing import Any, Literal, Self

from pydantic import Field, field_validator, model_validator

from client.site.table_files import Column, OwnedTable
from irene_model.study import SPLITS, Settings, Split


class ImageColumn(Settings):
    """Where a record's radiograph lies, or a recording: the cell put into `pattern`."""

    column: Column
    pattern: str = "{}"

    @field_validator("pattern")
    @classmethod
    def _has_one_place(cls, pattern: str) -> str:
        if pattern.count("{}") != 1:
            raise ValueError("must hold {} once: the place of the cell, as in png/{}.png")
        return pattern


_ICD10 = re.compile(
    r"[A-Z](\d([0-9A-Z](\.?[0-9A-Z]{1,4})?)?)?|[A-Z]\d[0-9A-Z]-[A-Z]\d[0-9A-Z]",
    re.ASCII | re.IGNORECASE,
)
AgeUnit = Literal["years", "months", "days"]


class AgeColumn(Settings):
    """Where a record's age stands, and in which unit; a bare name says no unit, so years are read.

    The check says that nobody has said so: a number does not tell. Or two columns of dates, `born`
    and `at`, the day of the image or encounter.
    """

    column: Column | None = None
    unit: AgeUnit | None = None
    born: Column | None = None
    at: Column | None = None

    @model_validator(mode="before")
    @classmethod
    def _a_name_is_a_column(cls, document: Any) -> Any:
        return {"column": document} if isinstance(document, str) else document

    @model_validator(mode="after")
    def _an_age_or_two_dates(self) -> Self:
        dates = self.born is not None, self.at is not None
        if any(dates) == (self.column is not None) or any(dates) != all(dates):
            raise ValueError("give column (and unit), or both born and at, columns of dates")
        if any(dates) and self.unit is not None:
            raise ValueError("unit: two dates need none")
        return self


class TextColumns(Settings):
    """A record's text: one column, or several whose filled cells are joined."""

    columns: tuple[Column, ...] = Field(min_length=1)
    separator: str = Field(default=". ", max_length=20)

    @model_validator(mode="before")
    @classmethod
    def _a_name_is_a_column(cls, document: Any) -> Any:
        return {"columns": [document]} if isinstance(document, str) else document


class SexColumn(Settings):
    """Which cells mean female and which male; any other filled cell is refused.

    unknown: cells of which the model is told nothing, as another or an undetermined sex.
    """

    column: Column
    female: tuple[str, ...] = ("f", "female")
    male: tuple[str, ...] = ("m", "male")
    unknown: tuple[str, ...] = ()

    @model_validator(mode="after")
    def _cells_differ(self) -> Self:
        meanings = ("female", "male", "unknown")
        _refuse_shared_cells({meaning: getattr(self, meaning) for meaning in meanings})
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
    text: TextColumns | None = None
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
    else 0. Cells in `positive`, `negative`, `uncertain` (counted, and left out of the loss) and
    `unknown` (not annotated) mean that under any rule.

    Or cells that name diseases, in `column` or several `columns`: `icd10` lists codes, beginnings
    or ranges of them, `names` whole findings. A record is positive where one is named, negative
    where only others are, and not annotated where nothing is.
    """

    column: Column | None = None
    columns: tuple[Column, ...] = ()
    rule: Literal["binary", "filled"] = "binary"
    positive: tuple[str, ...] = ()
    negative: tuple[str, ...] = ()
    uncertain: tuple[str, ...] = ()
    unknown: tuple[str, ...] = ()
    icd10: tuple[str, ...] = ()
    names: tuple[str, ...] = ()

    @field_validator("icd10")
    @classmethod
    def _codes(cls, codes: tuple[str, ...]) -> tuple[str, ...]:
        return _checked_codes(codes)

    @model_validator(mode="after")
    def _cells_differ(self) -> Self:
        meanings = ("positive", "negative", "uncertain", "unknown", "icd10", "names")
        _refuse_shared_cells({meaning: getattr(self, meaning) for meaning in meanings})
        return self

    @model_validator(mode="after")
    def _one_way_to_read(self) -> Self:
        if (self.column is None) == (not self.columns):
            raise ValueError("give column, or columns of which each is looked at")
        if self.icd10 and self.names:
            raise ValueError("give icd10 or names, not both")
        if not self.names_diseases:
            if self.columns:
                raise ValueError("columns: only icd10 and names look at several; give column")
            return self
        if self.positive or self.rule != "binary" or (self.icd10 and self.negative):
            given = "icd10" if self.icd10 else "names"
            raise ValueError(
                f"{given} lists what is positive; leave rule, positive"
                f"{' and negative' if self.icd10 else ''} out"
            )
        if self.icd10:
            _checked_codes(self.uncertain)
        return self

    @property
    def names_diseases(self) -> bool:
        """Whether its cells are codes or findings, of which others are of other labels."""
        return bool(self.icd10 or self.names)

    @property
    def all_columns(self) -> tuple[str, ...]:
        """Every column that is looked at."""
        return self.columns if self.column is None else (self.column,)


def _checked_codes(codes: tuple[str, ...]) -> tuple[str, ...]:
    for code in codes:
        if not _ICD10.fullmatch(code):
            raise ValueError(
                f"'{code}' is no ICD-10 code, beginning of one, or range of categories, as J18.9, "
                "J18 and J12-J18"
            )
    return codes


def split_cells(column: SplitColumn) -> dict[str, Split]:
    """Cell -> split."""
    return {cell: split for split in SPLITS for cell in getattr(column, split)}


def _refuse_shared_cells(meanings: Mapping[str, tuple[str, ...]]) -> None:
    cells = [(cell.strip(), meaning) for meaning, cells in meanings.items() for cell in set(cells)]
    known: dict[str, str] = {}
    for cell, meaning in cells:
        if known.setdefault(cell, meaning) != meaning:
            raise ValueError(f"'{cell}' is listed both as {known[cell]} and as {meaning}")
