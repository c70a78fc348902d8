"""What a hospital has, counted: patients, modalities, laboratory values, labels. Pure."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from client.site import Site
from irene_model.study import LabTest, Record, Study


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
    """

    mapped: bool
    unit: str
    measured: int
    missing: int
    censored_low: int
    censored_high: int
    outside_reference: float | None


@dataclass(frozen=True, kw_only=True)
class LabelCounts:
    """One label over all records."""

    mapped: bool
    positives: int
    negatives: int
    not_annotated: int


def count_split(split: str, records: Sequence[Record]) -> SplitCounts:
    """Patients and records of `split`."""
    members = [record.patient_id for record in records if record.split == split]
    return SplitCounts(patients=len(set(members)), records=len(members))


def count_modalities(records: Sequence[Record], study: Study) -> dict[str, int]:
    """How many records have each modality and further panel."""
    return {
        "image": sum(record.image_path is not None for record in records),
        "text": sum(record.text is not None for record in records),
        "labs": sum(bool(record.labs) for record in records),
        **{
            panel.name: sum(_has(record, panel.name) for record in records)
            for panel in study.panels
        },
        "age": sum(record.age_years is not None for record in records),
        "sex": sum(record.sex is not None for record in records),
    }


def _has(record: Record, panel: str) -> bool:
    return panel in record.panels and not np.isnan(record.panels[panel]).all()


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
    )


def count_label(label: str, site: Site, records: Sequence[Record]) -> LabelCounts:
    """The counts of one label over `records`."""
    values = [record.labels[label] for record in records if label in record.labels]
    return LabelCounts(
        mapped=label in site.labels,
        positives=sum(values),
        negatives=len(values) - sum(values),
        not_annotated=len(records) - len(values),
    )
