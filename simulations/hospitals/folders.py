"""One synthetic hospital's tables and its site.yaml, as a real hospital's data team has them."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import yaml

from irene_model.study import Panel, Study
from simulations.hospitals.characters import Character
from simulations.hospitals.cohort import Hospital
from simulations.hospitals.files import SUFFIX, write_table
from simulations.hospitals.recordings import JOIN
from simulations.hospitals.secure_sums import HELD_OUT_SHARES, alone
from simulations.patients import LAB_PANEL, Encounter, LabTest, draw_panel, note

Row = dict[str, Any]
_PANEL = {test.loinc: test for test in LAB_PANEL}


def write_folder(
    out: Path,
    study: Study,
    hospital: Hospital,
    rng: np.random.Generator,
    *,
    encoders: Mapping[str, Path],
    sounds: Mapping[str, Any],
) -> Path:
    """Tables and site.yaml of one hospital; returns the path of site.yaml.

    sounds: what site.yaml says of the recordings that are there already.
    """
    folder, character = out / hospital.site.name, hospital.character
    (folder / "images").mkdir(parents=True)
    tests, labels = tests_of(study), labels_of(study, hospital)
    people, encounters, lab_rows = rows_of(study, hospital, rng)
    suffix = ".parquet" if character.tables == "parquet" else ".csv"
    columns = ["encounter_id", "patient_id", "image", "complaint", "age", *labels]
    if character.labs_in == "columns":
        columns += [f"lab_{test.name}" for test in tests]
    elif lab_rows:  # a study without laboratory values, or nothing measured: no empty table
        lab_columns = ["encounter_id", "loinc", "result", "unit"]
        write_table(folder / f"labs{suffix}", lab_rows, lab_columns)
    write_table(folder / f"encounters{suffix}", encounters, columns)
    write_table(folder / f"patients{suffix}", people, ["patient_id", "sex"])
    for panel in _panels(study, hospital):
        rows = _panel_rows(panel, hospital, rng)
        write_table(folder / f"{panel.name}{suffix}", rows, ["encounter_id", *panel.names])
    path = folder / "site.yaml"
    document = _site_yaml(study, hospital, suffix, labels, measured=bool(lab_rows))
    if sounds:
        document["sounds"] = dict(sounds)
        document["records"]["joins"].append(JOIN)
    if encoders:
        document["encoders"] = {name: str(folder) for name, folder in encoders.items()}
    path.write_text(yaml.safe_dump(document, sort_keys=False), encoding="utf-8")
    return path


def tests_of(study: Study) -> list[LabTest]:
    """The study's laboratory tests that synthetic hospitals do."""
    return [_PANEL[lab.loinc] for lab in study.labs if lab.loinc in _PANEL]


def labels_of(study: Study, hospital: Hospital) -> list[str]:
    """The study's labels that the hospital records."""
    known, lacking = hospital.patients[0].encounters[0].truth, hospital.site.lacks_labels
    return [label for label in study.labels if label in known and label not in lacking]


def rows_of(
    study: Study, hospital: Hospital, rng: np.random.Generator
) -> tuple[list[Row], list[Row], list[Row]]:
    """The rows of patients, encounters and laboratory values."""
    character, tests, labels = hospital.character, tests_of(study), labels_of(study, hospital)
    people: list[Row] = []
    encounters: list[Row] = []
    lab_rows: list[Row] = []
    for patient in hospital.patients:
        people.append({"patient_id": patient.patient_id, "sex": patient.encounters[0].sex})
        for encounter in patient.encounters:
            row = _encounter_row(patient.patient_id, encounter, hospital, labels, rng)
            measured = _measured(encounter, tests, character, rng)
            if character.labs_in == "columns":
                row |= {f"lab_{t.name}": value for t, value in measured}
            lab_rows += [
                {
                    "encounter_id": encounter.encounter_id,
                    "loinc": test.loinc,
                    "result": value,
                    "unit": character.unit_of(test)[0],
                }
                for test, value in measured
            ]
            encounters.append(row)
    return people, encounters, lab_rows


def _encounter_row(
    patient_id: str,
    encounter: Encounter,
    hospital: Hospital,
    labels: Sequence[str],
    rng: np.random.Generator,
) -> Row:
    character = hospital.character
    has_text, has_image = rng.random(2) >= (character.missing_text, character.missing_image)
    complaint = note(encounter.symptoms, encounter.remarks, rng=rng, phrasing=character.phrasing)
    return {
        "encounter_id": encounter.encounter_id,
        "patient_id": patient_id,
        "image": encounter.encounter_id + SUFFIX[character.images] if has_image else None,
        "complaint": complaint if has_text else None,
        "age": encounter.age_years,
        **{label: encounter.truth[label] for label in labels},
    }


def _measured(
    encounter: Encounter, tests: Sequence[LabTest], character: Character, rng: np.random.Generator
) -> list[tuple[LabTest, str]]:
    """The laboratory values that were measured here, as the hospital writes them."""
    done = rng.random(len(tests)) >= character.missing_lab
    if character.missing_labs and rng.random() < character.missing_labs:
        return []
    return [
        (test, f"{encounter.labs[test.name] * character.unit_of(test)[1]:.4g}")
        for test, kept in zip(tests, done, strict=True)
        if kept
    ]


def _panels(study: Study, hospital: Hospital) -> list[Panel]:
    return [panel for panel in study.panels if panel.name not in hospital.lacks]


def _panel_rows(panel: Panel, hospital: Hospital, rng: np.random.Generator) -> list[Row]:
    """A row for each encounter, with the hospital's gaps."""
    encounters = [e for patient in hospital.patients for e in patient.encounters]
    values = draw_panel(panel, encounters, rng)
    done = rng.random(values.shape) >= hospital.character.missing_lab
    return [
        {
            "encounter_id": encounter.encounter_id,
            **{
                name: f"{value:.4g}" if kept else None
                for name, value, kept in zip(panel.names, row, measured, strict=True)
            },
        }
        for encounter, row, measured in zip(encounters, values.tolist(), done, strict=True)
    ]


def _site_yaml(
    study: Study, hospital: Hospital, suffix: str, labels: Sequence[str], *, measured: bool
) -> Row:
    character, lacks = hospital.character, hospital.lacks
    columns: Row = {"patient_id": "patient_id", "record_id": "encounter_id"}
    if "image" not in lacks:
        columns["image"] = {"column": "image", "pattern": "images/{}"}
    if "text" not in lacks:
        columns["text"] = "complaint"
    if "demographics" not in lacks:
        columns["age"] = {"column": "age", "unit": "years"}
        columns["sex"] = {"column": "sex", "female": ["f"], "male": ["m"]}
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
            lab.name: {
                "column": f"lab_{_PANEL[lab.loinc].name}",
                "unit": character.unit_of(_PANEL[lab.loinc])[0],
            }
            for lab in study.labs
            if lab.loinc in _PANEL
        }
    elif "labs" not in lacks and measured:
        document["lab_table"] = {
            "path": f"labs{suffix}",
            "on": "encounter_id",
            "test": "loinc",
            "value": "result",
            "unit": "unit",
        }
    if panels := _panels(study, hospital):
        document["panels"] = {
            panel.name: {"table": {"path": f"{panel.name}{suffix}", "on": "encounter_id"}}
            for panel in panels
        }
    document["labels"] = {label: {"column": label} for label in labels}
    document["splits"] = dict(HELD_OUT_SHARES)
    privacy, evaluation = study.privacy, study.evaluation_noise
    if hospital.site.archive:
        document["budget"] = "none"  # public: there is nobody to protect
    elif privacy.enabled and privacy.epsilon is not None:
        most = max(privacy.epsilon, evaluation.epsilon or 0)
        document["budget"] = {"epsilon": most, "delta": privacy.delta}
        if (if_all_collude := alone(study)) is not None:
            document["budget"]["alone"] = max(most, if_all_collude)
    else:
        document["budget"] = "none"
    if evaluation.noise_multiplier == 0:
        document["metrics"] = "exact"
    return document
