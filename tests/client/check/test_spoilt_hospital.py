"""A hospital spoilt in one random place: the right value, a counted rejection, an error or a doubt.

Never wrong in silence, whichever place it is: a unit, a join, a cell, a header, a container.
"""

import math
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from client.check.quality import QualityReport, inspect
from client.images.files import load_image
from client.records.tables import read_records
from irene_model.errors import ConfigError, DataError
from irene_model.study.records import Record
from tests.client.films.test_shades import FLAT
from tests.client.images.test_containers import CONTAINERS
from tests.client.records.test_joins import SPOILERS
from tests.client.records.test_owners import lab_table
from tests.helpers.hospital_folder import HospitalFolder, write_hospital
from tests.helpers.phantom import write_dicom

ROW = 6  # a record of the training split, with an image and a measured CRP
PLACE = (
    "encounters.csv line 13"  # as an editor shows it: five of the records before it have two lines
)
SECRET = "Q7Z"
UNITS = {
    **{"mg/dL": 10, "MG/DL": 10, "mg/100 mL": 10, "mgs/dL": 10, "mg%": 10, "mg/dl ": 10},
    **{"mg/L": 1, "µg/mL": 1, "μg/ml": 1, "mg L-1": 1, "g/L": 1000, "gm/dL": 10_000, "ng/mL": 1e-3},
    **dict.fromkeys(
        ("mg", "mmol/L", "10^9/L", "U/L", "mq/dL", "Mg/dL", SECRET, "1", "mg/kg"), None
    ),
}
NOTHING, UNKNOWN = ("NA", "NULL", " ", "-", "n/a"), ("unknown", "n.d.", "k. A.")
REFUSED = object()


def cells() -> Iterator[tuple[str, str, Any]]:
    """Column, what stands there, and what is read of it."""
    for word in NOTHING + UNKNOWN:
        for column in ("crp", "pneumonia", "file", "complaint"):
            yield column, word, None
        for column in ("record_id", "patient_id", "split"):
            yield column, word, REFUSED
    for word in NOTHING:
        yield "death_offset", word, 0
    for word in UNKNOWN:
        yield "death_offset", word, REFUSED
    for word, value in {
        "<5": -math.inf,
        "> 500": math.inf,
        "1.5e1": 150,
        "0.5": 5,
        "-2": -20,
    }.items():
        yield "crp", word, value
    for word in ("1,5", "++", "5 H", f"{SECRET}5", "1.200,5"):
        yield "crp", word, REFUSED
    for word, value in {"0": 0, "1": 1, "1.0": 1}.items():
        yield "pneumonia", word, value
    for word in ("2", "yes?", SECRET, "0.5"):
        yield "pneumonia", word, REFUSED
    for word, value in {"no": 0, "2024-01-02": 1, "12": 1}.items():
        yield "death_offset", word, value
    for column in ("record_id", "patient_id"):
        yield column, "1.23457E+11", REFUSED
    yield "split", SECRET, REFUSED
    yield "complaint", "0", "0"


READ: dict[str, Callable[[Record], Any]] = {
    "crp": lambda record: record.labs.get("CRP"),
    "pneumonia": lambda record: record.labels.get("pneumonia"),
    "death_offset": lambda record: record.labels.get("death"),
    "file": lambda record: record.image_path,
    "complaint": lambda record: record.text,
}
HEADERS = {
    "Modality": "CT",
    "ViewPosition": "LL",
    "BurnedInAnnotation": "YES",
    "PresentationIntentType": "FOR PROCESSING",
    "BodyPartExamined": "KNEE",
}
FILTERED = {"Modality": {"modality": ["CR", "DX"]}, "ViewPosition": {"views": ["PA", "AP"]}}


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> HospitalFolder:
    return write_hospital(tmp_path_factory.mktemp("whole") / "north")


@contextmanager
def copied(whole: HospitalFolder) -> Iterator[HospitalFolder]:
    with TemporaryDirectory() as folder:
        shutil.copytree(whole.folder, Path(folder) / "north")
        yield HospitalFolder(folder=Path(folder) / "north")


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """What a hospital gets: its records and their report, or the one sentence of a refusal."""

    records: tuple[Record, ...] = ()
    report: QualityReport | None = None
    refusal: str = ""

    def told(self, other: "Outcome") -> str:
        """Warnings and counts of this one that the other has not."""
        assert self.report is not None and other.report is not None
        mine, theirs = self.report.as_json(), other.report.as_json()
        warnings = set(mine["warnings"]) - set(theirs["warnings"])
        changed = [k for k in ("left_out", "unreadable_images", "coverage") if mine[k] != theirs[k]]
        return "; ".join([*sorted(warnings), *(f"{key}: {mine[key]}" for key in changed)])


def outcome(hospital: HospitalFolder) -> Outcome:
    try:
        site, study = hospital.site, hospital.study
        report = inspect(site, study)
        return Outcome(records=read_records(site, study), report=report)
    except (ConfigError, DataError) as error:
        said = str(error)
        assert "\n" not in said and SECRET not in said
        return Outcome(refusal=said)


@pytest.fixture(scope="module")
def usual(whole: HospitalFolder) -> Outcome:
    return outcome(whole)


@settings(max_examples=25, deadline=None)
@given(unit=st.sampled_from(sorted(UNITS)))
def test_a_unit(whole: HospitalFolder, usual: Outcome, unit: str) -> None:
    with copied(whole) as hospital:
        hospital.configure("labs.CRP.unit", unit)
        factor = UNITS[unit]
        try:
            found = outcome(hospital)
        except AssertionError:  # a unit is the site's own word in site.yaml, and no patient's value
            assert unit == SECRET
            return
        if factor is None:
            assert "labs.CRP" in found.refusal and "mg/L" in found.refusal
            return
        for before, after in zip(usual.records, found.records, strict=True):
            if (value := before.labs.get("CRP")) is not None:
                assert after.labs["CRP"] == pytest.approx(value / 10 * factor)


@settings(max_examples=25, deadline=None)
@given(kind=st.sampled_from(sorted(SPOILERS)), count=st.integers(1, 10))
def test_a_join(whole: HospitalFolder, usual: Outcome, kind: str, count: int) -> None:
    with copied(whole) as hospital:
        rows = hospital.rows("patients.csv")
        for row in rows[:count]:
            row["patient_id"] = row["patient_id"][0] + SPOILERS[kind](row["patient_id"][1:])
        hospital.write_rows(rows, "patients.csv")
        found = outcome(hospital)
        if found.refusal:
            assert "patients.csv" in found.refusal and "'patient_id'" in found.refusal
        elif [r.sex for r in found.records] != [r.sex for r in usual.records]:
            assert "patients.csv" in found.told(usual)


@settings(max_examples=15, deadline=None)
@given(
    row=st.integers(0, 19), patient=st.integers(0, 9), word=st.sampled_from(["", "NA", "p", "P"])
)
def test_an_owner(whole: HospitalFolder, row: int, patient: int, word: str) -> None:
    """A laboratory's row that names a patient of its own."""
    with copied(whole) as hospital:
        other = f"{word}{patient:03d}" if word in ("p", "P") else word
        lab_table(hospital, lambda n, own: other if n == row else own)
        found = outcome(hospital)
        if word in ("p", "P") and patient != row // 2:
            assert found.refusal.startswith(f"labs.csv line {row + 2}, column 'patient_id'")
        else:
            assert found.records[row].labs == {"CRP": 4 + row}


@settings(max_examples=15, deadline=None)
@given(name=st.sampled_from(sorted(FLAT)), count=st.integers(1, 3))
def test_films_without_greys(whole: HospitalFolder, usual: Outcome, name: str, count: int) -> None:
    with copied(whole) as hospital:
        for row in range(ROW, ROW + count):
            FLAT[name](hospital.folder / "images" / f"flat{row}")
            hospital.set_cell(row, "file", f"flat{row}")
        assert f"{count} images hold" in outcome(hospital).told(usual)


@settings(max_examples=80, deadline=None)
@given(cell=st.sampled_from([*cells()]))
def test_a_cell(whole: HospitalFolder, cell: tuple[str, str, Any]) -> None:
    column, word, expected = cell
    with copied(whole) as hospital:
        hospital.set_cell(ROW, column, word)
        found = outcome(hospital)
        if expected is REFUSED:
            assert found.refusal.startswith(f"{PLACE}, column '{column}'")
        else:
            read = READ[column](found.records[ROW])
            assert read == (pytest.approx(expected) if column == "crp" else expected)


@settings(max_examples=15, deadline=None)
@given(field=st.sampled_from(sorted(HEADERS)), filtered=st.booleans())
def test_a_header(whole: HospitalFolder, usual: Outcome, field: str, filtered: bool) -> None:
    with copied(whole) as hospital:
        write_dicom(hospital.folder / "images" / "a.dcm", **{field: HEADERS[field]})
        hospital.set_cell(ROW, "file", "a.dcm")
        if filtered and field in FILTERED:
            hospital.configure("images", FILTERED[field])
        found = outcome(hospital)
        assert found.report is not None
        if filtered and field in FILTERED:
            assert list(found.report.left_out.values()) == [1]
            assert len(found.records) == len(usual.records) - 1
        else:
            assert "1 image" in found.told(usual)


@settings(max_examples=40, deadline=None)
@given(name=st.sampled_from(sorted(CONTAINERS)), kept=st.just(1.0) | st.floats(0, 0.95))
def test_a_container(whole: HospitalFolder, usual: Outcome, name: str, kept: float) -> None:
    with copied(whole) as hospital:
        write_dicom(hospital.folder / "images" / "right.dcm")
        right = load_image(hospital.folder / "images" / "right.dcm", 16).astype(int)
        path = hospital.folder / "images" / "a"
        CONTAINERS[name](path)
        content = path.read_bytes()
        path.write_bytes(content[: math.ceil(kept * len(content))])
        hospital.set_cell(ROW, "file", "a")
        found = outcome(hospital)
        assert found.report is not None
        if found.report.unreadable_images:
            assert kept < 1 and found.report.verdict == "not ready"
            assert PLACE in found.told(usual)
        else:
            assert np.abs(load_image(path, 16).astype(int) - right).max() <= 4
