"""Which record an image, a value, a text or a diagnosis belongs to."""

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from client.imports.choices import Choices
from client.sources import History, Moment, Picture, Scanned, Tally

_PAIRS = 4_000_000  # of values and records, held at a time
_DAY = 86_400.0
Rows = npt.NDArray[np.int64]


@dataclass(frozen=True, kw_only=True)
class Record:
    """What becomes a row: an image, or a visit with or without one."""

    id: str
    patient: str
    visit: str
    at: Moment | None
    picture: Picture | None = None
    image: str = field(default="", repr=False)
    reason: str = field(default="", repr=False)

    @property
    def seconds(self) -> float:
        """Since 1970; NaN if unknown."""
        return math.nan if self.at is None else self.at.seconds


def one_id_each(history: History) -> Mapping[str, str]:
    """Any id of a patient -> the one that stands for the person, the least of those linked.

    Links may go round in circles: they are sets of equals, and are not followed one by one.
    """
    parent = {patient: patient for patient in history.persons}

    def root(patient: str) -> str:
        while (above := parent.setdefault(patient, patient)) != patient:
            parent[patient] = parent[above]
            patient = above
        return patient

    for one, other in history.same:
        ends = sorted((root(one), root(other)), key=lambda p: (p not in history.persons, p))
        parent[ends[1]] = ends[0]
    return {patient: root(patient) for patient in [*parent] if root(patient) in history.persons}


def records_of(
    history: History,
    ids: Mapping[str, str],
    choices: Choices,
    files: Mapping[str, Sequence[Scanned]],
) -> list[Record]:
    """All records, those of one patient after each other, by time."""
    tally = history.tally
    wanted: dict[str, Picture] = {}
    for name, picture in history.pictures.items():
        if picture.patient not in ids:
            tally.pass_over("images", "of a patient who is not there")
        elif why := choices.wants(picture.modality, picture.body_part):
            tally.pass_over("images", why)
        else:
            wanted[name] = picture
    make = _of_visits if choices.records == "visits" else _of_images
    records = list(make(history, ids, wanted, files))
    return sorted(records, key=lambda r: (r.patient, math.isnan(r.seconds), _time(r), r.id))


def _time(record: Record) -> float:
    return 0.0 if math.isnan(record.seconds) else record.seconds


def _of_images(
    history: History,
    ids: Mapping[str, str],
    wanted: Mapping[str, Picture],
    files: Mapping[str, Sequence[Scanned]],
) -> Iterator[Record]:
    for name, picture in wanted.items():
        visit = history.visits.get(picture.visit)
        at = picture.at if picture.at is not None or visit is None else visit.at
        yield Record(
            id=name,
            patient=ids[picture.patient],
            visit=picture.visit,
            at=at,
            picture=picture,
            image=_file_of([picture], files, history.tally),
            reason="" if visit is None else visit.reason,
        )


def _of_visits(
    history: History,
    ids: Mapping[str, str],
    wanted: Mapping[str, Picture],
    files: Mapping[str, Sequence[Scanned]],
) -> Iterator[Record]:
    of_visit: dict[str, list[Picture]] = {}
    for picture in wanted.values():
        if picture.visit in history.visits:
            of_visit.setdefault(picture.visit, []).append(picture)
        else:
            history.tally.pass_over("images", "of no visit that is there")
    for name, visit in history.visits.items():
        if visit.patient not in ids:
            history.tally.pass_over("visits", "of a patient who is not there")
            continue
        pictures = of_visit.get(name, [])
        yield Record(
            id=name,
            patient=ids[visit.patient],
            visit=name,
            at=visit.at,
            picture=pictures[0] if len(pictures) == 1 else None,
            image=_file_of(pictures, files, history.tally)
            if history.pictures
            else _file_called(name, files),
            reason=visit.reason,
        )


def _file_of(
    pictures: Sequence[Picture], files: Mapping[str, Sequence[Scanned]], tally: Tally
) -> str:
    """The path of the one file that stands for a record's images; empty if none is there."""
    if len(pictures) == 1 and pictures[0].path:
        return pictures[0].path
    found = {
        file.path: file for picture in pictures for name in picture.names
        for file in files.get(name, ())
    }  # fmt: skip
    if not found:
        if pictures and files:
            tally.pass_over("image files", "named, and not in the folder of images")
        return ""
    tally.pass_over("image files", "another one of the record is taken", len(found) - 1)
    return min(found.values(), key=lambda file: file.rank).path


def _file_called(visit: str, files: Mapping[str, Sequence[Scanned]]) -> str:
    """A file that bears the visit's id as name or accession number, where no table names images."""
    found = files.get(visit, ())
    return min(found, key=lambda file: file.rank).path if found else ""


class Owners:
    """Which of `records` (those of one patient after each other) things belong to.

    What is of a record's visit is the record's, and what is of its patient within `days` of it.
    """

    def __init__(self, records: Sequence[Record], ids: Mapping[str, str], days: float) -> None:
        import pyarrow as pa

        numbers: dict[str, int] = {}
        owners = [numbers.setdefault(r.patient, len(numbers)) for r in records]
        aliases = [alias for alias in ids if ids[alias] in numbers]
        self._aliases = pa.array(aliases, pa.string())
        self._number_of = np.array([numbers[ids[a]] for a in aliases] + [-1], np.int64)
        starts = np.searchsorted(np.array(owners, np.int64), np.arange(len(numbers) + 1))
        self._starts = np.append(starts, 0).astype(np.int64)
        visits = dict.fromkeys(record.visit for record in records if record.visit)
        number_of_visit = {visit: number for number, visit in enumerate(visits)}
        self._visits = pa.array(visits, pa.string())
        self._visit = np.array([number_of_visit.get(r.visit, -1) for r in records], np.int64)
        self._seconds = np.array([r.seconds for r in records], np.float64)
        self._most = days * _DAY

    def pairs(
        self, patients: Any, visits: Any, seconds: npt.NDArray[np.float64]
    ) -> tuple[Rows, Rows]:
        """(row, record) for each thing and each record that it belongs to, in order.

        patients, visits: Arrow arrays of text. seconds: since 1970; NaN if unknown.
        """
        import pyarrow.compute as pc

        alias = pc.fill_null(pc.index_in(patients, value_set=self._aliases), -1)
        owner = self._number_of[np.asarray(alias)]
        visit = np.asarray(pc.fill_null(pc.index_in(visits, value_set=self._visits), -1))
        counts = np.where(owner < 0, 0, self._starts[owner + 1] - self._starts[owner])
        # Sliced, so that a patient of many records and many values does not take all memory.
        cuts = np.searchsorted(np.cumsum(counts), np.arange(_PAIRS, counts.sum(), _PAIRS)) + 1
        found = [
            self._within(rows, owner[rows], counts[rows], visit, seconds)
            for rows in np.split(np.arange(len(owner), dtype=np.int64), np.unique(cuts))
        ]
        return (
            np.concatenate([rows for rows, _ in found]),
            np.concatenate([records for _, records in found]),
        )

    def _within(
        self,
        rows: Rows,
        owner: Rows,
        counts: Rows,
        visit: npt.NDArray[Any],
        seconds: npt.NDArray[np.float64],
    ) -> tuple[Rows, Rows]:
        row = np.repeat(rows, counts)
        place = np.arange(len(row)) - np.repeat(np.cumsum(counts) - counts, counts)
        record = np.repeat(self._starts[owner], counts) + place
        same_visit = (visit[row] >= 0) & (visit[row] == self._visit[record])
        near = np.abs(seconds[row] - self._seconds[record]) <= self._most
        kept = same_visit | near
        return row[kept], record[kept]
