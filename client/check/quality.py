"""What a hospital should know about its files before it joins a study: counts and doubts.

The report is for the hospital's eyes. It holds counts and never an id or a single value, but it
is not noised: it stays at the site.
"""

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np

from client.check.panel_quality import PanelCounts, count_panel, doubt_panel
from client.check.radiographs import look_through
from client.check.unit_doubts import doubt_unit
from client.check.value_doubts import doubt_absent, doubt_columns, doubt_values
from client.images import BadImages, Progress
from client.records import own_unit, read_wanted_records
from client.site import Site
from client.units import rivals
from irene_model.study import SPLITS, LabTest, Record, Study


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


@dataclass(frozen=True, kw_only=True)
class QualityReport:
    """The whole report; `modalities` says how many records have each.

    left_out: how many records `images` in site.yaml leaves out, by reason. unreadable_images: by
    cause; with any, the site can't take part.
    """

    site: str
    study: str
    study_fingerprint: str
    records: int
    patients: int
    most_records_of_a_patient: int
    splits: Mapping[str, SplitCounts]
    modalities: Mapping[str, int]
    labs: Mapping[str, LabCounts]
    panels: Mapping[str, PanelCounts]
    labels: Mapping[str, LabelCounts]
    warnings: tuple[str, ...]
    left_out: Mapping[str, int] = field(default_factory=dict)
    unreadable_images: tuple[BadImages, ...] = ()

    @property
    def absent_modalities(self) -> tuple[str, ...]:
        """Modalities that no record has."""
        return tuple(name for name, count in self.modalities.items() if count == 0)

    def as_json(self) -> dict[str, Any]:
        """The report as plain mappings, lists, numbers and text."""
        return {**asdict(self), "warnings": list(self.warnings)}


def inspect(site: Site, study: Study, progress: Progress | None = None) -> QualityReport:
    """Read all tables and decode all images of the site.

    Raises:
        ConfigError, DataError: as `read_records` does. Images that can't be read are reported.
    """
    site.text_reader(study)  # an encoder that is not there is better known before joining
    placed, left_out = read_wanted_records(site, study)
    radiographs = look_through(placed, study.image.size, progress)
    records = [each.record for each in placed]
    of_patient = Counter(record.patient_id for record in records)
    labs = {test.name: _count_lab(test, site, records) for test in study.labs}
    report = QualityReport(
        site=site.site,
        study=study.name,
        study_fingerprint=study.fingerprint,
        records=len(records),
        patients=len(of_patient),
        most_records_of_a_patient=max(of_patient.values()),
        splits={split: _count_split(split, records) for split in SPLITS},
        modalities=_count_modalities(records, study),
        labs=labs,
        panels={panel.name: count_panel(panel, site, records) for panel in study.panels},
        labels={label: _count_label(label, site, records) for label in study.labels},
        warnings=(),
        left_out=left_out,
        unreadable_images=radiographs.bad,
    )
    doubts = [
        *_doubt_splits(report, study),
        *_doubt_labels(site, records),
        *(doubt for test in study.labs for doubt in _doubt_lab(test, site, records)),
        *(doubt for panel in study.panels for doubt in doubt_panel(panel, site, records)),
        *doubt_absent([name for name, lab in labs.items() if lab.mapped and not lab.measured]),
        *doubt_columns(site),
        *doubt_values(study, records),
        *radiographs.doubts(site.images),
    ]
    return QualityReport(**{**vars(report), "warnings": tuple(doubts)})


def _count_split(split: str, records: Sequence[Record]) -> SplitCounts:
    members = [record.patient_id for record in records if record.split == split]
    return SplitCounts(patients=len(set(members)), records=len(members))


def _count_modalities(records: Sequence[Record], study: Study) -> dict[str, int]:
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


def _values(test: LabTest, records: Sequence[Record]) -> list[float]:
    return [record.labs[test.name] for record in records if test.name in record.labs]


def _count_lab(test: LabTest, site: Site, records: Sequence[Record]) -> LabCounts:
    values = _values(test, records)
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


def _count_label(label: str, site: Site, records: Sequence[Record]) -> LabelCounts:
    values = [record.labels[label] for record in records if label in record.labels]
    return LabelCounts(
        mapped=label in site.labels,
        positives=sum(values),
        negatives=len(values) - sum(values),
        not_annotated=len(records) - len(values),
    )


def _doubt_splits(report: QualityReport, study: Study) -> list[str]:
    doubts = []
    training, batch = report.splits["train"].patients, study.training.expected_batch
    if training < batch:
        doubts.append(
            f"{training} training patients are fewer than the study's expected batch of {batch}: "
            "each step would use all of them, which costs the most privacy"
        )
    doubts += [
        f"no patient is in the {split} split: this site can't be part of that evaluation"
        for split in ("validation", "test")
        if report.splits[split].patients == 0
    ]
    return doubts


def _doubt_labels(site: Site, records: Sequence[Record]) -> list[str]:
    training = [record for record in records if record.split == "train"]
    doubts = []
    for label in site.labels:
        values = {record.labels[label] for record in training if label in record.labels}
        if not values:
            doubts.append(f"label {label}: no training record is annotated")
        elif values == {0}:
            doubts.append(f"label {label}: no training record is positive")
        elif values == {1}:
            doubts.append(f"label {label}: no training record is negative")
    return doubts


def _doubt_lab(test: LabTest, site: Site, records: Sequence[Record]) -> list[str]:
    taken = own_unit(site, site.labs[test.name].unit) if test.name in site.labs else test.unit
    values = _values(test, records)
    doubt = doubt_unit(values, low=test.low, high=test.high, rivals=rivals(taken, test))
    if doubt is None:
        return []
    interval = f" {test.low:g} to {test.high:g} {test.unit}"
    return [f"{test.name}: {doubt.sentence(taken, interval)}"]
