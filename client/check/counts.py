"""What a hospital has, counted: patients, modalities, laboratory values, labels. Pure."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from client.site import Site
from irene_model.inputs import LAB_CAP, scale_values
from irene_model.modalities import DEMOGRAPHICS
from irene_model.study import SPLITS, LabTest, Record, Split, Study

BINS = 24
"""Of a laboratory value's histogram: over the scale that the model reads, from cap to cap."""


@dataclass(frozen=True, kw_only=True)
class SplitCounts:
    """Patients and records of one split."""

    patients: int
    records: int


@dataclass(frozen=True, kw_only=True)
class LabCounts:
    """One laboratory value over all records; `measured` includes the censored ones.

    outside_reference: fraction of the measured values outside the study's reference interval, a
        censored value counting as its end of the scale; None where nothing was measured.
    histogram: how many of the uncensored ones lie in each of `BINS` parts of the model's scale.
    """

    mapped: bool
    unit: str
    measured: int
    missing: int
    censored_low: int
    censored_high: int
    outside_reference: float | None
    histogram: tuple[int, ...]


@dataclass(frozen=True, kw_only=True)
class LabelOfSplit:
    """One label over the records of one split, and the patients who have it, and have it not, in
    some record."""

    positives: int
    negatives: int
    patients_with: int
    patients_without: int


@dataclass(frozen=True, kw_only=True)
class LabelCounts:
    """One label over all records, and split by split."""

    mapped: bool
    positives: int
    negatives: int
    not_annotated: int
    splits: Mapping[Split, LabelOfSplit]


def count_split(split: str, records: Sequence[Record]) -> SplitCounts:
    """Patients and records of `split`."""
    members = [record.patient_id for record in records if record.split == split]
    return SplitCounts(patients=len(set(members)), records=len(members))


def count_modalities(records: Sequence[Record], study: Study) -> dict[str, int]:
    """How many records have each modality and further panel."""
    people_last = sorted(study.reads, key=lambda each: each is DEMOGRAPHICS)
    return {
        part.key or part.name: sum(record.has(part) for record in records)
        for each in people_last
        for part in each.parts
    }


def lab_values(test: LabTest, records: Sequence[Record]) -> list[float]:
    """The measured values of one test, the censored ones among them as -inf and inf."""
    return [record.labs[test.name] for record in records if test.name in record.labs]


def count_lab(test: LabTest, site: Site, records: Sequence[Record]) -> LabCounts:
    """The counts of one test over `records`."""
    values = lab_values(test, records)
    outside = sum(not test.low <= value <= test.high for value in values if math.isfinite(value))
    # "Below detection" is abnormal only where the interval has a lower bound above zero.
    low, high = values.count(-math.inf), values.count(math.inf)
    outside += high + (low if test.low > 0 else 0)
    return LabCounts(
        mapped=site.lab_table is not None or test.name in site.labs,
        unit=test.unit,
        measured=len(values),
        missing=len(records) - len(values),
        censored_low=low,
        censored_high=high,
        outside_reference=outside / len(values) if values else None,
        histogram=_histogram(test, values),
    )


def count_label(label: str, site: Site, records: Sequence[Record]) -> LabelCounts:
    """The counts of one label over `records`."""
    values = [record.labels[label] for record in records if label in record.labels]
    return LabelCounts(
        mapped=label in site.labels,
        positives=sum(values),
        negatives=len(values) - sum(values),
        not_annotated=len(records) - len(values),
        splits={split: _label_of_split(label, split, records) for split in SPLITS},
    )


def _label_of_split(label: str, split: Split, records: Sequence[Record]) -> LabelOfSplit:
    known = [r for r in records if r.split == split and label in r.labels]
    positive = [record.patient_id for record in known if record.labels[label] == 1]
    negative = [record.patient_id for record in known if record.labels[label] == 0]
    return LabelOfSplit(
        positives=len(positive),
        negatives=len(negative),
        patients_with=len(set(positive)),
        patients_without=len(set(negative)),
    )


def _histogram(test: LabTest, values: Sequence[float]) -> tuple[int, ...]:
    finite = [value for value in values if math.isfinite(value)]
    scaled = scale_values(finite, test.low, test.high)
    return tuple(np.histogram(scaled, BINS, range=(-LAB_CAP, LAB_CAP))[0].tolist())
