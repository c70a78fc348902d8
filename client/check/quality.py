"""What a hospital should know about its files before it joins a study: counts and doubts.

The report is for the hospital's eyes. It holds counts and never an id or a single value, but it
is not noised: it stays at the site.
"""

import math
import statistics
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

from client.check.counts import (
    LabCounts,
    LabelCounts,
    SplitCounts,
    count_lab,
    count_label,
    count_modalities,
    count_split,
    lab_values,
)
from client.check.doubts import Doubt, Verdict, doubts_of, verdict_of
from client.check.films import Progress, look_at_films
from client.check.panel_quality import UNIT_FACTOR, PanelCounts, count_panel, doubt_panel
from client.records import read_placed_records
from client.site import Site
from irene_model.study import SPLITS, LabTest, Record, Study


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
    doubts: tuple[Doubt, ...] = ()

    @property
    def warnings(self) -> tuple[str, ...]:
        """The sentences of all doubts."""
        return tuple(doubt.sentence for doubt in self.doubts)

    @property
    def verdict(self) -> Verdict:
        """Whether the site can take part with these files."""
        return verdict_of(self.doubts)

    @property
    def absent_modalities(self) -> tuple[str, ...]:
        """Modalities that no record has."""
        return tuple(name for name, count in self.modalities.items() if count == 0)

    def as_json(self) -> dict[str, Any]:
        """The report as plain mappings, lists, numbers and text."""
        found = asdict(self)
        return {"verdict": self.verdict, **found, "warnings": list(self.warnings)}


def inspect(site: Site, study: Study, progress: Progress | None = None) -> QualityReport:
    """Read all tables and decode all images of the site.

    Raises:
        ConfigError, DataError: as `read_records` and `load_image` do.
    """
    site.text_reader(study)  # an encoder that is not there is better known before joining
    placed = read_placed_records(site, study)
    films = look_at_films(placed, study.image.size, progress)
    records = [each.record for each in placed]
    of_patient = Counter(record.patient_id for record in records)
    labs = {test.name: count_lab(test, site, records) for test in study.labs}
    report = QualityReport(
        site=site.site,
        study=study.name,
        study_fingerprint=study.fingerprint,
        records=len(records),
        patients=len(of_patient),
        most_records_of_a_patient=max(of_patient.values()),
        splits={split: count_split(split, records) for split in SPLITS},
        modalities=count_modalities(records, study),
        labs=labs,
        panels={panel.name: count_panel(panel, site, records) for panel in study.panels},
        labels={label: count_label(label, site, records) for label in study.labels},
    )
    return replace(
        report,
        doubts=(
            *_doubt_splits(report, study),
            *doubts_of("labels", _doubt_labels(site, records)),
            *doubts_of(
                "units",
                (d for test in study.labs for d in _doubt_lab(test, labs[test.name], records)),
            ),
            *doubts_of(
                "units",
                (d for panel in study.panels for d in doubt_panel(panel, site, records)),
            ),
            *doubts_of("images", films.doubts()),
        ),
    )


def _doubt_splits(report: QualityReport, study: Study) -> list[Doubt]:
    doubts: list[Doubt] = []
    training, batch = report.splits["train"].patients, study.training.expected_batch
    if training < batch:
        said = (
            f"{training} training patients are fewer than the study's expected batch of {batch}: "
            "each step would use all of them, which costs the most privacy"
        )
        mend = (
            "Ask the coordinator for a smaller training.expected_batch: a site's patients are "
            "hidden among those that a step leaves out."
        )
        doubts += doubts_of("splits", [said], mend)
    return doubts + [
        each
        for split in ("validation", "test")
        if report.splits[split].patients == 0
        for each in doubts_of(
            "splits",
            [f"no patient is in the {split} split: this site can't be part of that evaluation"],
        )
    ]


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
    finite = [value for value in lab_values(test, records) if math.isfinite(value)]
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
