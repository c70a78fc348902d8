"""A PACS' export: nested folders, names without suffixes, and what is no radiograph."""

from pathlib import Path
from typing import Any

import numpy as np
import pydicom
import pytest
import yaml
from typer.testing import CliRunner

from client.cli import app
from client.records.tables import read_records
from client.site.site import Site
from irene_model.study.study import Study
from simulations.hospitals.files import write_image
from tests.helpers.hospital_folder import STUDY


def write_dicom(path: Path, **fields: Any) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    pixels = np.arange(64, dtype=np.uint8).reshape(8, 8)
    write_image(path, pixels, inverted=False, format="dicom")
    dataset = pydicom.dcmread(path)
    given = {
        "PatientID": "MRN 7",
        "StudyDate": "20240131",
        "StudyTime": "101500.5",
        "Modality": "DX",
    }
    for name, value in {**given, "Modality": "DX", **fields}.items():
        setattr(dataset, name, value)
    dataset.save_as(path)


@pytest.fixture
def pacs(tmp_path: Path) -> Path:
    folder = tmp_path / "pacs"
    write_dicom(
        folder / "DICOM" / "ST000001" / "SE000002" / "IM000003",
        SOPInstanceUID="1.2.1", ViewPosition="PA", PatientAge="065Y", PatientSex="F",
        AccessionNumber="A1", BodyPartExamined="CHEST",
    )  # fmt: skip
    write_dicom(folder / "b.dcm", SOPInstanceUID="1.2.2", PatientBirthDate="19500131")
    write_dicom(folder / "knee", SOPInstanceUID="1.2.3", BodyPartExamined="KNEE")
    write_dicom(folder / "ct", SOPInstanceUID="1.2.4", Modality="CT")
    write_dicom(folder / "nobody", SOPInstanceUID="1.2.5", PatientID="")
    write_dicom(folder / "z-again", SOPInstanceUID="1.2.2")
    (folder / "cut").write_bytes((folder / "b.dcm").read_bytes()[:140])
    (folder / "readme.txt").write_text("a PACS wrote this")
    (folder / "link").symlink_to(folder / "b.dcm")
    return folder


def run(*arguments: object) -> tuple[int, str]:
    done = CliRunner().invoke(app, [str(each) for each in arguments])
    return done.exit_code, done.output if done.exception is None else str(done.exception)


def test_a_row_an_image_and_labels_joined_by_the_hospital(pacs: Path, tmp_path: Path) -> None:
    out = tmp_path / "site"
    code, told = run("import", "dicom", pacs, out, "--body-part", "chest")
    assert code == 0, told
    whys = ("of another part of the body", "of another modality", "no PatientID", "there twice")
    assert all(why in told for why in whys)
    assert "MRN" not in told
    header, *_, last = (out / "records.csv").read_text().splitlines()
    names = "record_id,patient_id,taken_at,image,modality,view,body_part,accession,age,sex"
    assert header == names
    assert (
        "1.2.1,MRN 7,2024-01-31T10:15:00,DICOM/ST000001/SE000002/IM000003,DX,PA,CHEST,A1"
        in (out / "records.csv").read_text()
    )
    assert last.startswith("1.2.2,")
    study_file = tmp_path / "study.yaml"
    study_file.write_text(yaml.safe_dump(STUDY))
    (out / "labels.csv").write_text("record_id,pneumonia\n1.2.1,1\n1.2.2,0\n")
    document = yaml.safe_load((out / "site.yaml").read_text())
    document["records"]["joins"] = [{"path": "labels.csv", "on": "record_id"}]
    document["labels"] = {"pneumonia": {"column": "pneumonia"}}
    document["splits"] = {"validation": 0, "test": 0}
    (out / "site.yaml").write_text(yaml.safe_dump(document))
    records = read_records(Site.read(out / "site.yaml"), Study.read(study_file))
    assert {record.record_id for record in records} == {"1.2.1", "1.2.2"}
    assert all(record.image_path is not None and record.image_path.is_file() for record in records)
    assert {round(record.age_years or 0) for record in records} == {65, 74}


def test_a_folder_that_holds_something_is_left_alone(pacs: Path, tmp_path: Path) -> None:
    out = tmp_path / "site"
    out.mkdir()
    (out / "mine.txt").write_text("x")
    code, told = run("import", "dicom", pacs, out)
    assert code != 0
    assert "is not empty" in told
    assert [path.name for path in out.iterdir()] == ["mine.txt"]


def test_what_fails_leaves_nothing_behind(pacs: Path, tmp_path: Path) -> None:
    code, told = run("import", "dicom", pacs, tmp_path / "site", "--modality", "US")
    assert code != 0
    assert "no image is left" in told
    assert [path.name for path in tmp_path.iterdir()] == ["pacs"]
