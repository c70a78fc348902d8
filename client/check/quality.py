"""What a hospital should know about its files before it joins a study: counts and doubts.

The report is for the hospital's eyes. It holds counts and never an id or a single value, but it
is not noised: it stays at the site.
"""

import math
import os
import statistics
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from client.check.coverage import Coverage, count_coverage, doubt_coverage
from client.check.panel_quality import UNIT_FACTOR, PanelCounts, count_panel, doubt_panel
from client.joins import Account
from client.records import PlacedRecord, load_image, read_placed_records
from client.site import Site
from irene_model.study import SPLITS, LabTest, Record, Study

Progress = Callable[[int, int], None]  # images decoded, images in all


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
    """The whole report; `modalities` says how many records have each."""

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
    coverage: Coverage
    warnings: tuple[str, ...]

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
        ConfigError, DataError: as `read_records` and `load_image` do.
    """
    site.text_reader(study)  # an encoder that is not there is better known before joining
    account = Account()
    placed = read_placed_records(site, study, account)
    blank_images = _decode_all(placed, study.image.size, progress)
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
        coverage=count_coverage(site, records, account),
        warnings=(),
    )
    doubts = [
        *doubt_coverage(report.coverage, records),
        *_doubt_splits(report, study),
        *_doubt_labels(site, records),
        *(doubt for test in study.labs for doubt in _doubt_lab(test, labs[test.name], records)),
        *(doubt for panel in study.panels for doubt in doubt_panel(panel, site, records)),
    ]
    if blank_images:
        doubts.append(f"{blank_images} images hold at most two grey levels: are they blank?")
    return QualityReport(**{**vars(report), "warnings": tuple(doubts)})


def _decode_all(placed: Sequence[PlacedRecord], size: int, progress: Progress | None) -> int:
    """Decode each image once and return how many are blank."""
    images = [
        (each.record.image_path, f"the image of {each.place}")
        for each in placed
        if each.record.image_path is not None
    ]

    def is_blank(image: tuple[Path, str]) -> bool:
        path, shown = image
        # A blank image has one level of its own and the border's black.
        return len(np.unique(load_image(path, size, shown=shown))) <= 2

    blank = 0
    with ThreadPoolExecutor(max_workers=os.cpu_count()) as pool:
        for done, found in enumerate(pool.map(is_blank, images), start=1):
            blank += found
            if progress is not None:
                progress(done, len(images))
    return blank


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


def _doubt_lab(test: LabTest, counts: LabCounts, records: Sequence[Record]) -> list[str]:
    if counts.mapped and counts.measured == 0:
        return [f"{test.name}: is mapped, but no record has a value"]
    finite = [value for value in _values(test, records) if math.isfinite(value)]
    if not finite or test.low < 0:
        return []  # a value that may be negative, as a base excess, has no scale to judge by
    median, middle = statistics.median(finite), (test.low + test.high) / 2
    if median > UNIT_FACTOR * test.high or median < middle / UNIT_FACTOR:
        side = "above" if median > test.high else "below"
        return [
            f"{test.name}: half of the values lie far {side} the reference interval "
            f"{test.low:g} to {test.high:g} {test.unit}: is the unit right?"
        ]
    return []
