"""Which patient is in which split: by a hash of the id, by a column, or by the first record's day.

A patient is in one split only. What can't be in it, as a training patient's record from after the
day on which held-out time begins, is left out and counted.
"""

import hashlib
from collections import Counter
from collections.abc import Mapping, Sequence
from datetime import datetime, time

from client.cells import CellError, read_moment, split_reader
from client.records.frames import Frame
from client.site import Site, Splits
from irene_model.study import HeldOut, Split

_LATER = "from splits.train_before on, of a patient who trains"
_TRAINS = "in the training split of a site that only evaluates"


def read_splits(
    site: Site, frame: Frame, patient_ids: Sequence[str]
) -> tuple[list[Split], Mapping[int, str]]:
    """The split of each row, and row -> why it is left out of it."""
    if site.columns.split is not None:
        splits = _of_column(site, frame, patient_ids)
        trains = (row for row, split in enumerate(splits) if split == "train")
        return splits, {} if site.trains else dict.fromkeys(trains, _TRAINS)
    if site.splits.train_before is not None:
        return _by_date(site, frame, patient_ids)
    if not site.trains:
        return [held_out_split_of(patient, site.splits) for patient in patient_ids], {}
    return [split_of(patient, site.splits) for patient in patient_ids], {}


def split_of(patient_id: str, splits: Splits) -> Split:
    """Where a hash of the id puts a patient: the same in every run and on every machine."""
    position = _position(patient_id)
    if position < splits.validation:
        return "validation"
    return "test" if position < splits.validation + splits.test else "train"


def held_out_split_of(patient_id: str, splits: Splits) -> HeldOut:
    """The same of a patient who is held out, in the proportion of the held-out splits."""
    share = splits.validation / (splits.validation + splits.test)
    return "validation" if _position(patient_id) < share else "test"


def _position(patient_id: str) -> float:
    digest = hashlib.sha256(patient_id.encode()).digest()
    return int.from_bytes(digest[:8], "big") / 2**64


def _by_date(
    site: Site, frame: Frame, patient_ids: Sequence[str]
) -> tuple[list[Split], Mapping[int, str]]:
    """Patients seen before the day train, and their later records are left out."""
    assert site.splits.train_before is not None and site.splits.date is not None
    border = datetime.combine(site.splits.train_before, time())

    def read(cell: str) -> datetime:
        moment = read_moment(cell, site.dates)
        if moment is None:
            raise CellError("is empty, expected the date that decides the split")
        return moment

    dates = frame.column(site.splits.date, "splits.date").parse(read)
    first: dict[str, datetime] = {}
    for patient, moment in zip(patient_ids, dates, strict=True):
        first[patient] = min(moment, first.get(patient, moment))
    homes: dict[str, Split] = {
        patient: "train" if moment < border else held_out_split_of(patient, site.splits)
        for patient, moment in first.items()
    }
    splits = [homes[patient] for patient in patient_ids]
    later = (row for row, split in enumerate(splits) if split == "train" and dates[row] >= border)
    return splits, dict.fromkeys(later, _LATER)


def _of_column(site: Site, frame: Frame, patient_ids: Sequence[str]) -> list[Split]:
    assert site.columns.split is not None
    column = frame.column(site.columns.split.column, "columns.split.column")
    splits = column.parse_written(split_reader(site.columns.split))
    homes: dict[str, Split] = {}
    torn = [
        row
        for row, (patient_id, split) in enumerate(zip(patient_ids, splits, strict=True))
        if homes.setdefault(patient_id, split) != split
    ]
    if torn:
        column.refuse(
            torn,
            "puts a patient into another split than an earlier row; all records of a patient "
            "belong to one split",
        )
    return splits


def stratified(
    labels_of: Mapping[str, frozenset[str]], splits: Splits, kept: Mapping[str, Split]
) -> dict[str, Split]:
    """Splits in which each label is as frequent as in all, as far as whole patients allow.

    labels_of: patient -> the labels that some record of hers has. kept: patients whose split stays.
    Iterative stratification (Sechidis, Tsoumakas and Vlahavas 2011, algorithm 1): the label with
    the fewest patients left goes first, each to the split that lacks it most. Of patients who are
    alike a hash of the id decides, so that the same patients are shared out in the same way.
    """
    shares: dict[Split, float] = {
        "train": 1 - splits.validation - splits.test,
        "validation": splits.validation,
        "test": splits.test,
    }
    total = Counter(label for labels in labels_of.values() for label in labels)
    lacking = {
        split: {"": share * len(labels_of), **{each: share * n for each, n in total.items()}}
        for split, share in shares.items()
    }
    homes: dict[str, Split] = {}

    def place(patient: str, split: Split) -> None:
        homes[patient] = split
        for label in ("", *labels_of[patient]):
            lacking[split][label] -= 1

    for patient in labels_of.keys() & kept.keys():
        place(patient, kept[patient])
    waiting = sorted(labels_of.keys() - homes.keys(), key=_position)
    left = Counter(label for patient in waiting for label in labels_of[patient])
    while waiting:
        rarest = min(filter(left.get, left), key=lambda label: (left[label], label), default="")
        chosen = [p for p in waiting if not rarest or rarest in labels_of[p]]
        for patient in chosen:
            split = max(shares, key=lambda s: (lacking[s][rarest], lacking[s][""]))
            place(patient, split)
            left.subtract(labels_of[patient])
        waiting = [patient for patient in waiting if patient not in homes]
    return homes
