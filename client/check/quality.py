"""What a hospital should know about its files before it joins a study: counts and doubts.

The report is for the hospital's eyes. It holds counts and never an id or a single value, but it
is not noised: it stays at the site.
"""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from typing import Any

from client.cells import own_unit
from client.check.ages import AGE_MEND, count_ages, doubt_age_column, notes_on_ages
from client.check.cost import Cost, reckon
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
from client.check.coverage import Coverage, count_coverage, doubt_coverage
from client.check.doubts import Doubt, Verdict, doubts_of, unreadable, verdict_of
from client.check.panel_quality import PanelCounts, count_panel, doubt_panel
from client.check.sound_quality import SoundCounts, listen
from client.check.split_doubts import doubt_few, doubt_splits
from client.check.unit_doubts import FEW_MEND, doubt_too_few, doubt_unit
from client.check.value_doubts import doubt_absent, doubt_columns, doubt_values
from client.films import (
    TWINS_MEND,
    Films,
    Twins,
    count_twins,
    doubt_across_patients,
    doubt_across_splits,
    look_at_films,
)
from client.images import BadImages, Progress
from client.joins import Account
from client.records import read_wanted_records
from client.site import Site
from client.texts import (
    Naming,
    TextCounts,
    count_identifiers,
    count_naming,
    count_texts,
    doubt_identifiers,
    doubt_length,
    doubt_naming,
    doubt_words,
    mend_length,
    mend_words,
)
from client.units import rivals
from irene_model.console import known
from irene_model.inputs import Pixels
from irene_model.study import SPLITS, LabTest, Record, Split, Study


@dataclass(frozen=True, kw_only=True)
class QualityReport:
    """The whole report.

    modalities: how many records have each; modalities_of: the same split by split. blank_images:
    how many hold at most two grey levels. ages: records in steps of years. twins: radiographs that
    are nearly the same as another. texts, naming, identifiers: what can be told of the texts
    without showing them; the last says in how many texts there seems to be a name, a date, ...
    left_out: how many records `images` in site.yaml leaves out, by reason. unreadable_images: by
    cause. notes: what site.yaml leaves open, which is no warning. cost: None until `with_cost`.
    """

    site: str
    study: str
    study_fingerprint: str
    records: int
    patients: int
    most_records_of_a_patient: int
    splits: Mapping[Split, SplitCounts]
    modalities: Mapping[str, int]
    modalities_of: Mapping[Split, Mapping[str, int]]
    labs: Mapping[str, LabCounts]
    panels: Mapping[str, PanelCounts]
    sounds: Mapping[str, SoundCounts]
    labels: Mapping[str, LabelCounts]
    ages: Mapping[str, int]
    coverage: Coverage
    blank_images: int
    twins: Twins
    texts: TextCounts
    naming: Mapping[str, Naming]
    identifiers: Mapping[str, int]
    left_out: Mapping[str, int] = field(default_factory=dict)
    unreadable_images: tuple[BadImages, ...] = ()
    notes: tuple[str, ...] = ()
    cost: Cost | None = None
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
        if self.cost is not None:  # an infinite epsilon, which JSON has not, is null
            found["cost"]["epsilon"] = known(self.cost.epsilon)
        return {"verdict": self.verdict, **found, "warnings": list(self.warnings)}


@dataclass(frozen=True, kw_only=True)
class Survey:
    """A report, and the radiographs of its contact sheet: these are patients' data."""

    report: QualityReport
    sheet: Sequence[tuple[Split, Pixels]]

    def __repr__(self) -> str:
        """Never a patient's pixels."""
        return f"Survey({len(self.sheet)} radiographs)"


def inspect(site: Site, study: Study, progress: Progress | None = None) -> QualityReport:
    """The report of `survey`."""
    return survey(site, study, progress).report


def survey(site: Site, study: Study, progress: Progress | None = None) -> Survey:
    """Read all tables and decode all images of the site.

    Raises:
        ConfigError, DataError: as `read_records` and `load_image` do.
    """
    reader = site.text_reader(study)  # one that is not there is better known before joining
    site.image_encoder(study)
    account = Account()
    placed, left_out = read_wanted_records(site, study, account)
    films = look_at_films(placed, study.image.size, progress, most_pixels=site.images.most_pixels)
    sounds = listen(placed, study.sounds, site.sounds)
    records = [each.record for each in placed]
    of_patient = Counter(record.patient_id for record in records)
    report = QualityReport(
        site=site.site,
        study=study.name,
        study_fingerprint=study.fingerprint,
        records=len(records),
        patients=len(of_patient),
        most_records_of_a_patient=max(of_patient.values()),
        splits={split: count_split(split, records) for split in SPLITS},
        modalities=count_modalities(records, study),
        modalities_of={
            split: count_modalities([r for r in records if r.split == split], study)
            for split in SPLITS
        },
        labs={test.name: count_lab(test, site, records) for test in study.labs},
        panels={panel.name: count_panel(panel, site, records) for panel in study.panels},
        sounds=sounds.positions,
        labels={label: count_label(label, site, records) for label in study.labels},
        ages=count_ages(records),
        coverage=count_coverage(site, records, account),
        blank_images=films.blank,
        twins=count_twins(films.prints, films.records),
        texts=count_texts(records, reader),
        naming=count_naming([*site.labels], records),
        identifiers=count_identifiers(records),
        left_out=left_out,
        unreadable_images=films.bad,
        notes=(*notes_on_ages(site, records), *sounds.notes()),
    )
    doubts = (*_doubts(report, films, site, study, records), *sounds.doubts())
    return Survey(report=replace(report, doubts=doubts), sheet=films.sheet)


def with_cost(report: QualityReport, site: Site, study: Study) -> QualityReport:
    """`report` with what the site's budget buys of the study, which takes a moment to reckon."""
    cost, doubts = reckon(site, study, report.splits["train"].patients)
    return replace(report, cost=cost, doubts=(*report.doubts, *doubts))


def _doubts(
    report: QualityReport, films: Films, site: Site, study: Study, records: Sequence[Record]
) -> Iterator[Doubt]:
    yield from doubts_of("coverage", doubt_coverage(report.coverage))
    yield from doubts_of("values", report.coverage.doubts)
    yield from doubt_splits(report.splits, study, trains=site.trains)
    yield from doubts_of("labels", _doubt_labels(site, records) if site.trains else [])
    for test in study.labs:
        yield from doubts_of("units", _doubt_lab(test, site, records))
    measured = {test.name: lab_values(test, records) for test in study.labs}
    yield from doubts_of("units", doubt_too_few(measured), FEW_MEND)
    for panel in study.panels:
        yield from doubt_panel(panel, site, records)
    absent = [name for name, lab in report.labs.items() if lab.mapped and not lab.measured]
    mapped = ("image", "text", "age", "sex")
    absent += [
        name
        for name in mapped
        if getattr(site.columns, name) is not None and not report.modalities[name]
    ]
    yield from doubts_of("columns", [*doubt_absent(absent), *doubt_columns(site)])
    yield from doubts_of("values", doubt_age_column(site), AGE_MEND)
    yield from doubts_of("values", doubt_values(study, records))
    yield from doubts_of("images", films.doubts(site.images))
    yield from unreadable(films.bad)
    yield from doubts_of("leakage", doubt_across_splits(report.twins), TWINS_MEND)
    yield from doubts_of("patients", doubt_across_patients(report.twins), TWINS_MEND)
    yield from doubts_of("leakage", doubt_naming(report.naming))
    yield from doubts_of("words", doubt_words(report.texts), mend_words(study.text))
    yield from doubts_of("length", doubt_length(report.texts), mend_length(report.texts))
    yield from doubts_of("names", doubt_identifiers(report.identifiers, report.texts.texts))
    yield from doubts_of("few", doubt_few(report.splits, report.labels, site))


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
    values = lab_values(test, records)
    doubt = doubt_unit(values, low=test.low, high=test.high, rivals=rivals(taken, test))
    if doubt is None:
        return []
    interval = f" {test.low:g} to {test.high:g} {test.unit}"
    return [f"{test.name}: {doubt.sentence(taken, interval)}"]
