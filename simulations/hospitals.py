"""Synthetic hospitals on disk, in the format of real ones: `site.yaml`, tables and radiographs.

A natural split gives each site a character of its own. The other splits give all sites the first
character, so that nothing but the split differs.
"""

import contextlib
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, replace
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import numpy as np
import yaml

from irene_model.errors import ConfigError
from irene_model.settings import dump
from irene_model.study import Study
from simulations import splits
from simulations.characters import CHARACTERS, Character
from simulations.complaints import write
from simulations.diseases import DEFAULT_PREVALENCE, DISEASES, LAB_PANEL
from simulations.files import SUFFIX, ImageFormat, write_image, write_table
from simulations.patients import Encounter, Patient, draw_patients
from simulations.radiographs import Findings, Scanner, draw
from simulations.scenario import Cohort, Modality, Scenario, SimulatedSite

Row = dict[str, Any]
Progress = Callable[[int, int], None]
_CHUNK = 64
_PANEL = {test.name: test for test in LAB_PANEL}


@dataclass(frozen=True, kw_only=True)
class _Image:
    """One radiograph to draw, with its own seed."""

    path: Path
    findings: Findings
    scanner: Scanner
    pixels: int
    format: ImageFormat
    entropy: tuple[int, ...]


@dataclass(frozen=True, kw_only=True)
class _Hospital:
    """One site of the scenario with its character, its patients and what it lacks."""

    site: SimulatedSite
    character: Character
    patients: tuple[Patient, ...]
    lacks: frozenset[Modality]


def write_hospitals(
    scenario: Scenario, out: Path, *, seed: int, progress: Progress | None = None
) -> list[Path]:
    """Write `study.yaml` and one folder for each site into `out`; returns the site.yaml files.

    Everything follows from `seed`. A folder that already holds something is refused.
    """
    if out.exists() and any(out.iterdir()):
        raise ConfigError(f"{out}: is not empty; give a new folder")
    study = scenario.study
    check_scenario(scenario)
    hospitals = tuple(_cohort(scenario.cohort, seed))  # all, before anything is written
    out.mkdir(parents=True, exist_ok=True)
    (out / "study.yaml").write_text(dump(study), encoding="utf-8")
    images: list[_Image] = []
    written = []
    for index, hospital in enumerate(hospitals):
        rng = np.random.default_rng([seed, 2, index])
        written.append(_write_site(out, study, hospital, rng))
        images += _images(out, hospital, scenario.cohort.image_pixels, [seed, 3, index])
    _draw_all(images, progress)
    return written


def check_scenario(scenario: Scenario) -> None:
    """Refuse names that study and synthetic hospitals do not share, as a ConfigError."""
    study = scenario.study
    lacking = {label for site in scenario.cohort.sites for label in site.lacks_labels}
    if unknown := sorted(lacking - set(study.labels)):
        raise ConfigError(f"cohort.sites.lacks_labels: the study has no label '{unknown[0]}'")
    if not set(study.labels) & set(DISEASES):
        raise ConfigError(
            f"study.labels: synthetic hospitals know none of them; they know {', '.join(DISEASES)}"
        )
    for lab in study.labs:
        if lab.name in _PANEL and _PANEL[lab.name].loinc != lab.loinc:
            raise ConfigError(
                f"study.labs.{lab.name}: LOINC {lab.loinc} differs from the synthetic panel's "
                f"{_PANEL[lab.name].loinc}"
            )


def _cohort(cohort: Cohort, seed: int) -> Iterator[_Hospital]:
    """The sites with their patients."""
    shares = [site.share for site in cohort.sites]
    rng = np.random.default_rng([seed, 1])
    if cohort.split == "natural":
        for index, count in enumerate(splits.sizes(cohort.patients, shares)):
            character = CHARACTERS[index % len(CHARACTERS)]
            prevalence = {
                name: DEFAULT_PREVALENCE[name] * factor
                for name, factor in character.prevalence.items()
            }
            own = np.random.default_rng([seed, 1, index])
            patients = draw_patients(own, num_patients=count, prevalence=prevalence)
            yield _hospital(cohort, index, character, patients)
        return
    patients = draw_patients(rng, num_patients=cohort.patients)
    match cohort.split:
        case "iid":
            assigned = splits.iid(len(patients), shares, rng)
        case "quantity_skew":
            assigned = splits.quantity_skew(len(patients), len(shares), cohort.alpha, rng)
        case "label_skew":
            classes = [_first_disease(patient) for patient in patients]
            assigned = splits.label_skew(classes, shares, cohort.alpha, rng)
    for index in range(len(shares)):
        members = [patients[number] for number in np.flatnonzero(assigned == index)]
        if not members:
            raise ConfigError(
                f"cohort.split: alpha {cohort.alpha:g} left the site "
                f"'{cohort.sites[index].name}' without patients; take a larger alpha or seed"
            )
        yield _hospital(cohort, index, CHARACTERS[0], members)


def _hospital(
    cohort: Cohort, index: int, character: Character, patients: Sequence[Patient]
) -> _Hospital:
    site = cohort.sites[index]
    changes = {
        "missing_lab": site.missing,
        "tables": site.tables,
        "images": site.images,
    }
    given = {name: value for name, value in changes.items() if value is not None}
    return _Hospital(
        site=site,
        character=replace(character, **given),  # type: ignore[arg-type]
        patients=tuple(patients),
        lacks=frozenset((*cohort.lacks, *site.lacks)),
    )


def _first_disease(patient: Patient) -> int:
    labels = patient.encounters[0].labels
    return labels.index(1) if 1 in labels else len(labels)


def _write_site(out: Path, study: Study, hospital: _Hospital, rng: np.random.Generator) -> Path:
    """Tables and site.yaml of one hospital; returns the path of site.yaml."""
    folder, character = out / hospital.site.name, hospital.character
    (folder / "images").mkdir(parents=True)
    tests = [lab.name for lab in study.labs if lab.name in _PANEL]
    labels = [
        label
        for label in study.labels
        if label in DISEASES and label not in hospital.site.lacks_labels
    ]
    people: list[Row] = []
    encounters: list[Row] = []
    lab_rows: list[Row] = []
    for patient in hospital.patients:
        people.append({"patient_id": patient.patient_id, "sex": patient.encounters[0].sex})
        for encounter in patient.encounters:
            row = _encounter_row(patient.patient_id, encounter, hospital, labels, rng)
            measured = _measured(encounter, tests, character, rng)
            if character.labs_in == "columns":
                row |= {f"lab_{name}": value for name, (value, _) in measured.items()}
            lab_rows += [
                {
                    "encounter_id": encounter.encounter_id,
                    "loinc": _PANEL[name].loinc,
                    "result": value,
                    "unit": unit,
                }
                for name, (value, unit) in measured.items()
            ]
            encounters.append(row)
    suffix = ".parquet" if character.tables == "parquet" else ".csv"
    columns = ["encounter_id", "patient_id", "image", "complaint", "age", *labels]
    if character.labs_in == "columns":
        columns += [f"lab_{name}" for name in tests]
    else:
        lab_columns = ["encounter_id", "loinc", "result", "unit"]
        write_table(folder / f"labs{suffix}", lab_rows, lab_columns)
    write_table(folder / f"encounters{suffix}", encounters, columns)
    write_table(folder / f"patients{suffix}", people, ["patient_id", "sex"])
    path = folder / "site.yaml"
    document = _site_yaml(study, hospital, suffix, tests, labels)
    path.write_text(yaml.safe_dump(document, sort_keys=False), encoding="utf-8")
    return path


def _encounter_row(
    patient_id: str,
    encounter: Encounter,
    hospital: _Hospital,
    labels: Sequence[str],
    rng: np.random.Generator,
) -> Row:
    character = hospital.character
    has_text, has_image = rng.random(2) >= (character.missing_text, character.missing_image)
    complaint = write(encounter.symptoms, rng=rng, phrasing=character.phrasing)
    truth = dict(zip(DISEASES, encounter.labels, strict=True))
    return {
        "encounter_id": encounter.encounter_id,
        "patient_id": patient_id,
        "image": encounter.encounter_id + SUFFIX[character.images] if has_image else None,
        "complaint": complaint if has_text else None,
        "age": encounter.age_years,
        **{label: truth[label] for label in labels},
    }


def _measured(
    encounter: Encounter, tests: Sequence[str], character: Character, rng: np.random.Generator
) -> dict[str, tuple[str, str]]:
    """The laboratory values that were measured here, as written, with their units."""
    done = rng.random(len(tests)) >= character.missing_lab
    measured = {}
    for name, kept in zip(tests, done, strict=True):
        if kept:
            unit, factor = character.units.get(name, (_PANEL[name].unit, 1.0))
            measured[name] = (f"{encounter.labs[name] * factor:.4g}", unit)
    return measured


def _site_yaml(
    study: Study, hospital: _Hospital, suffix: str, tests: Sequence[str], labels: Sequence[str]
) -> Row:
    character, lacks = hospital.character, hospital.lacks
    columns: Row = {"patient_id": "patient_id", "record_id": "encounter_id"}
    if "image" not in lacks:
        columns["image"] = {"column": "image", "pattern": "images/{}"}
    if "text" not in lacks:
        columns["text"] = "complaint"
    if "demographics" not in lacks:
        columns |= {"age": "age", "sex": {"column": "sex", "female": ["f"], "male": ["m"]}}
    document: Row = {
        "site": hospital.site.name,
        "records": {
            "path": f"encounters{suffix}",
            "joins": [{"path": f"patients{suffix}", "on": "patient_id"}],
        },
        "columns": columns,
    }
    if "labs" not in lacks and character.labs_in == "columns":
        document["labs"] = {
            name: {
                "column": f"lab_{name}",
                "unit": character.units.get(name, (_PANEL[name].unit, 1.0))[0],
            }
            for name in tests
        }
    elif "labs" not in lacks:
        document["lab_table"] = {
            "path": f"labs{suffix}",
            "on": "encounter_id",
            "test": "loinc",
            "value": "result",
            "unit": "unit",
        }
    document["labels"] = {label: {"column": label} for label in labels}
    document["splits"] = {"validation": 0.1, "test": 0.25}
    privacy = study.privacy
    if privacy.enabled and privacy.epsilon is not None:
        document["budget"] = {"epsilon": privacy.epsilon, "delta": privacy.delta}
    else:
        document["budget"] = "none"
    return document


def _images(
    out: Path, hospital: _Hospital, pixels: int, entropy: Sequence[int]
) -> Iterator[_Image]:
    encounters = [e for patient in hospital.patients for e in patient.encounters]
    for number, encounter in enumerate(encounters):
        name = encounter.encounter_id + SUFFIX[hospital.character.images]
        yield _Image(
            path=out / hospital.site.name / "images" / name,
            findings=encounter.findings,
            scanner=hospital.character.scanner,
            pixels=pixels,
            format=hospital.character.images,
            entropy=(*entropy, number),
        )


def _draw_all(images: Sequence[_Image], progress: Progress | None) -> None:
    """Draw on all cores: radiographs are most of the work. Few are not worth the processes."""
    chunks = [images[start : start + _CHUNK] for start in range(0, len(images), _CHUNK)]
    done = 0
    with contextlib.ExitStack() as stack:
        drawn: Iterator[int] = map(_draw_chunk, chunks)
        if len(chunks) > 4:
            pool = stack.enter_context(ProcessPoolExecutor(mp_context=get_context("spawn")))
            drawn = pool.map(_draw_chunk, chunks)
        for count in drawn:
            done += count
            if progress is not None:
                progress(done, len(images))


def _draw_chunk(images: Sequence[_Image]) -> int:
    for image in images:
        rng = np.random.default_rng(list(image.entropy))
        pixels = draw(image.findings, rng=rng, scanner=image.scanner, size=image.pixels)
        write_image(image.path, pixels, inverted=image.scanner.inverted, format=image.format)
    return len(images)
