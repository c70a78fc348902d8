"""What an export does to whole columns and files: told with a count, in a hospital's real files."""

import json
from collections.abc import Callable

import numpy as np
import pytest
from PIL import Image

from client.check.quality import inspect
from client.check.value_doubts import doubt_values
from irene_model.study.records import Record
from tests.client.check.test_value_doubts import doubts, record, study_of
from tests.helpers.hospital_folder import HospitalFolder

Change = Callable[[int], str]


def filled(hospital: HospitalFolder, column: str, change: Change) -> str:
    """The warnings of the hospital with that column rewritten."""
    table = "patients.csv" if column in ("age", "sex") else "encounters.csv"
    rows = [{**row, column: change(n)} for n, row in enumerate(hospital.rows(table))]
    hospital.write_rows(rows, table)
    return "\n".join(inspect(hospital.site, hospital.study).warnings)


@pytest.mark.parametrize(
    ("column", "name"), [("complaint", "text"), ("age", "age"), ("sex", "sex"), ("file", "image")]
)
def test_a_column_of_words_for_nothing_is_told(
    hospital: HospitalFolder, column: str, name: str
) -> None:
    told = filled(hospital, column, lambda n: ("NULL", "unknown", "")[n % 3])
    assert f"{name}: is mapped, but no record has a value" in told


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda n: "see report", "20 of 20 texts are one and the same"),
        (lambda n: "see report" if n % 8 else f"cough {n}", "17 of 20 texts are one and the same"),
        (lambda n: str(12345 + n), "20 of 20 texts hold numbers or signs and no letter"),
        (lambda n: f"<p>cough {n}</p>", "20 of 20 texts hold marks of a web page"),
        (lambda n: f"cough &amp; fever {n}", "20 of 20 texts hold marks of a web page"),
        (lambda n: r"{\rtf1\ansi cough " + str(n), "20 of 20 texts hold marks of a web page"),
    ],
)
def test_texts_that_an_export_made(hospital: HospitalFolder, change: Change, said: str) -> None:
    assert said in filled(hospital, "complaint", change)


@pytest.mark.parametrize("text", ["SpO2 <90 % & BP < 100", "a <b and b> c: 5", "cough &c.", "<5 y"])
def test_signs_in_a_text_are_no_marks(text: str) -> None:
    records = [record(n, text=f"{text} {n}") for n in range(12)]
    assert doubt_values(study_of("CRP", "mg/L", 0, 5), records) == []


@pytest.mark.parametrize(
    ("ids", "alike"),
    [
        (("00101", "101", "102"), 1),
        (("p1", "P1", "P 1", "P2"), 1),  # a space inside parts what it may part
        (("P-1", "P 1", "p_1"), 2),
        (("7", "7.0", "８"), 1),
        (("1-12", "11-2", "112"), 0),
        (("P1", "P10", "P01"), 1),
    ],
)
def test_a_patient_in_two_spellings(ids: tuple[str, ...], alike: int) -> None:
    records: list[Record] = [record(n, patient_id=each) for n, each in enumerate(ids)]
    said = "\n".join(doubt_values(study_of("CRP", "mg/L", 0, 5), records))
    assert (f"patient ids: {alike} differ from another one only by zeros, case" in said) == (
        alike > 0
    )


def test_zeros_where_nobody_has_none() -> None:
    values = [0.0] * 4 + [0.6 + n / 40 for n in range(30)]
    (told,) = doubts(values, "creatinine", "mg/dL", 0.6, 1.2)
    assert told.startswith(
        "creatinine: 4 values are one number that looks like a code, as 999 or 0"
    )
    assert doubts(values, "CRP", "mg/L", 0, 5) == []  # a marker may be zero
    assert doubts([111.0] * 3 + [90.0 + n for n in range(40)], "glucose", "mg/dL", 70, 99) == []


def test_thumbnails_are_counted(hospital: HospitalFolder) -> None:
    for name in ("1.png", "5.png"):
        with Image.open(hospital.folder / "images" / name) as image:
            small = image.resize((9, 7))
        small.save(hospital.folder / "images" / name)
    report = inspect(hospital.site, hospital.study)
    assert (
        "2 images are smaller than the square that the model reads: are they thumbnails?"
        in report.warnings
    )


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"GIF89a", "is a GIF"),
        (b"RIFF\x10\0\0\0WEBPVP8 ", "is a WebP"),
        (b"%PDF-1.7", "is a PDF"),
        (b"PK\x03\x04", "is a zip archive"),
        (
            b"\xef\xbb\xbf\r\n<!DOCTYPE html><html>log in",
            "is a web page or XML, perhaps of a login",
        ),
        (b"version https://git-lfs.github.com/spec/v1\n", "is a pointer of Git LFS"),
        (b"\0\x05\x16\x07\0\x02\0\0Mac OS X", "is a companion file of macOS"),
        (b"nothing of the kind", "is no image that can be read"),
    ],
)
def test_what_else_a_file_is_is_said(hospital: HospitalFolder, content: bytes, said: str) -> None:
    (hospital.folder / "images" / "1.png").write_bytes(content + bytes(200))
    report = inspect(hospital.site, hospital.study)
    (bad,) = report.unreadable_images
    assert bad.cause.startswith(said) and "expected PNG" in bad.cause
    assert json.loads(json.dumps(report.as_json()))["verdict"] == "not ready"


def test_a_usual_hospital_has_none_of_them(hospital: HospitalFolder) -> None:
    rng = np.random.default_rng(2)
    for name in ("1.png", "5.png"):
        film = Image.fromarray(rng.integers(0, 256, (24, 20)).astype(np.uint8))
        film.save(hospital.folder / "images" / name)
    told = inspect(hospital.site, hospital.study).warnings
    assert not any("texts" in each or "ids" in each or "images" in each for each in told)


def test_one_sex_is_doubted(hospital: HospitalFolder) -> None:
    assert "sex: all" not in filled(hospital, "sex", lambda n: "f" if n else "m")
    assert "sex: all 20 are female" in filled(hospital, "sex", lambda n: "f")
