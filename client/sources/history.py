"""What a hospital's systems know of its patients, whatever they wrote it in."""

import math
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from client.sources.moments import Moment

if TYPE_CHECKING:
    import pyarrow as pa

MOST_TEXT = 100_000
"""Characters of one note; a discharge letter has a tenth."""
CHIEF_COMPLAINTS = ("10154-3", "8661-1", "46239-0", "29299-5")
"""LOINC: chief complaint as reported, chief complaint, with reason for visit, reason for visit."""
Progress = Callable[[int, int | None], None]
"""Told how much is done, and of how much if that is known."""
Sure = Literal["sure", "suspected", "excluded"]


@dataclass(frozen=True, kw_only=True)
class Person:
    """sex: a word for the column; empty if nothing is known. age: as a header says it itself."""

    sex: str = ""
    born: Moment | None = None


@dataclass(frozen=True, kw_only=True)
class Visit:
    """An encounter; `reason` is why the patient came."""

    patient: str
    at: Moment | None
    reason: str = ""


@dataclass(frozen=True, kw_only=True)
class Picture:
    """A radiograph, or a study of some; `names` are those by which its file may be found.

    path: within the folder of images, where it is known. age: as the image itself says it.
    """

    patient: str
    visit: str = ""
    at: Moment | None = None
    modality: str = ""
    view: str = ""
    body_part: str = ""
    accession: str = ""
    names: tuple[str, ...] = field(default=(), repr=False)
    path: str = field(default="", repr=False)
    age: str = ""


@dataclass(frozen=True, kw_only=True)
class Note:
    """A text; `kind` is the code of what it is."""

    patient: str
    visit: str
    at: Moment | None
    kind: str
    text: str = field(repr=False)


@dataclass(frozen=True, kw_only=True)
class Finding:
    """A diagnosis, by its codes; either may be empty."""

    patient: str
    visit: str
    at: Moment | None
    icd10: str = ""
    code: str = ""
    sure: Sure = "sure"


LAB_COLUMNS = ("patient", "visit", "at", "code", "value", "comparator", "unit")
"""Text, all of them; beside them `seconds`, since 1970."""


class Tally:
    """How much was read, and passed over and why: counts alone."""

    def __init__(self) -> None:
        self.read: Counter[str] = Counter()
        self.passed: Counter[tuple[str, str]] = Counter()

    def pass_over(self, kind: str, why: str, count: int = 1) -> None:
        """`count` of `kind` are not used."""
        if count:
            self.passed[kind, why] += count


@dataclass(frozen=True, kw_only=True)
class History:
    """All that was read.

    names: code -> what its vocabulary calls it. code_system: what `Finding.code` is of. tests:
    (code, unit) -> rows of the laboratory. complaints: kinds of notes that say why
    the patient came. same: pairs of ids that are one person's.
    """

    code_system: Literal["snomed", "concepts"]
    persons: dict[str, Person] = field(default_factory=dict)
    visits: dict[str, Visit] = field(default_factory=dict)
    pictures: dict[str, Picture] = field(default_factory=dict)
    notes: list[Note] = field(default_factory=list)
    findings: list[Finding] = field(default_factory=list)
    names: dict[str, str] = field(default_factory=dict)
    tests: Counter[tuple[str, str]] = field(default_factory=Counter)
    complaints: set[str] = field(default_factory=set)
    same: list[tuple[str, str]] = field(default_factory=list)
    tally: Tally = field(default_factory=Tally)


class LabSpool:
    """The laboratory's rows on disk until it is known which records there are."""

    _AT_ONCE = 50_000

    def __init__(self, path: Path) -> None:
        self._path = path
        self._rows: list[tuple[str, ...]] = []
        self._seconds: list[float] = []
        self._writer: pa.RecordBatchFileWriter | None = None

    def add(self, row: tuple[str, ...], at: Moment | None) -> None:
        """A row in the order of LAB_COLUMNS."""
        self._rows.append(row)
        self._seconds.append(math.nan if at is None else at.seconds)
        if len(self._rows) >= self._AT_ONCE:
            self._flush()

    def chunks(self) -> Iterator["pa.Table"]:
        """All rows in order; then the file is gone."""
        import pyarrow as pa

        self._flush()
        if self._writer is None:
            return
        self._writer.close()
        with pa.OSFile(str(self._path), "rb") as file, pa.ipc.open_file(file) as reader:
            for index in range(reader.num_record_batches):
                yield pa.Table.from_batches([reader.get_batch(index)])
        self._path.unlink()

    def _flush(self) -> None:
        import pyarrow as pa

        if not self._rows:
            return
        columns = [pa.array(cells, pa.string()) for cells in zip(*self._rows, strict=True)]
        columns.append(pa.array(self._seconds, pa.float64()))
        batch = pa.RecordBatch.from_arrays(columns, names=[*LAB_COLUMNS, "seconds"])
        if self._writer is None:
            self._writer = pa.ipc.new_file(str(self._path), batch.schema)
        self._writer.write_batch(batch)
        self._rows, self._seconds = [], []
