"""Every row, image and code is accounted for."""

import json
from pathlib import Path

import pytest
from rich.console import Console

from client.check.coverage import Coverage
from client.check.quality import QualityReport, inspect
from client.pages.coverage_view import coverage_tables
from irene_model.errors import DataError
from tests.helpers.hospital_folder import HospitalFolder


def report_of(hospital: HospitalFolder) -> QualityReport:
    return inspect(hospital.site, hospital.study)


def assert_adds_up(coverage: Coverage) -> None:
    for table in coverage.tables:
        assert table.rows == table.used + table.excluded + sum(table.rejected.values()), table


def test_rows_add_up(hospital: HospitalFolder) -> None:
    rows = hospital.rows("patients.csv")
    rows.append({**rows[0], "patient_id": "P999"})
    hospital.write_rows(rows, "patients.csv")
    hospital.configure("exclude", ["R003", "R004", "R005"])  # P002 goes with R004 and R005
    report = report_of(hospital)
    records, patients = report.coverage.tables
    assert (records.table, records.rows, records.used, records.excluded) == (
        "encounters.csv",
        20,
        17,
        3,
    )
    assert records.rejected == {} and records.used == report.records
    assert (patients.rows, patients.used, patients.excluded) == (11, 9, 1)
    assert patients.rejected == {"no record has its key": 1}
    assert_adds_up(report.coverage)
    (join,) = report.coverage.joins
    assert (join.keys, join.table_keys, join.partners) == (10, 11, 10)
    document = json.loads(json.dumps(report.as_json()))["coverage"]
    assert document["tables"][0]["excluded"] == 3
    assert document["joins"][0]["partners"] == 10


def test_images_that_no_record_names_are_counted(hospital: HospitalFolder) -> None:
    images = hospital.folder / "images"
    assert report_of(hospital).coverage.unnamed_images == 3  # of the records without a cell
    (images / "deep").mkdir()
    for name in ("IM1.dcm", "deep/2.PNG", "notes.txt"):
        (images / name).touch()
    (images / "again.png").symlink_to(images / "5.png")
    hospital.configure("exclude", ["R006"])  # its image is known, though it is not used
    assert report_of(hospital).coverage.unnamed_images == 5


def test_no_image_is_unnamed_where_none_is_mapped(hospital: HospitalFolder) -> None:
    hospital.configure("columns.image", None)
    assert report_of(hospital).coverage.unnamed_images is None


def test_records_without_any_input_are_told(hospital: HospitalFolder) -> None:
    for column in ("text", "age", "sex", "image"):
        hospital.configure(f"columns.{column}", None)
    rows = hospital.rows()
    for row in rows[:2]:
        row["crp"] = row["lympho"] = ""
    hospital.write_rows(rows)
    report = report_of(hospital)
    assert report.coverage.without_input == 2
    assert any(warning.startswith("2 records have no input at all") for warning in report.warnings)


@pytest.mark.parametrize(
    ("patient", "said"),
    [
        ("NULL", "is a word for missing, expected an id"),
        ("9007199254740994.0", "more digits than a program keeps, expected an id"),
        ("1.23457E+11", "is a number in scientific notation, expected an id"),
    ],
)
def test_ids_that_stand_for_several_patients_are_refused(
    hospital: HospitalFolder, patient: str, said: str
) -> None:
    rows = hospital.rows()
    for row in rows[:4]:
        row["patient_id"] = patient
    hospital.write_rows(rows)
    with pytest.raises(DataError) as caught:
        report_of(hospital)
    assert said in str(caught.value) and patient not in str(caught.value)


@pytest.mark.parametrize("patient", ["00000", "xxx", "TEST", "anonymous"])
def test_a_placeholder_under_which_many_stand_is_doubted(
    hospital: HospitalFolder, patient: str
) -> None:
    rows = hospital.rows()
    for row in rows[:4]:
        row["patient_id"] = patient
    hospital.write_rows(rows)
    told = "\n".join(report_of(hospital).warnings)
    assert "4 records have an id that looks like a placeholder" in told and patient not in told


def test_the_tables_say_it_in_words(hospital: HospitalFolder, tmp_path: Path) -> None:
    hospital.configure("labs", None)
    lines = ["id,code,value,unit", "R001,1988-5,4,mg/L", "R002,30522-7,4,mg/L", "R002,CRP,4,mg/L"]
    (hospital.folder / "labs.csv").write_text("\n".join(lines), encoding="utf-8")
    hospital.configure(
        "lab_table",
        {"path": "labs.csv", "on": "id", "test": "code", "value": "value", "unit": "unit"},
    )
    with (tmp_path / "shown").open("w", encoding="utf-8") as file:
        Console(file=file, width=140).print(*coverage_tables(report_of(hospital).coverage))
    shown = (tmp_path / "shown").read_text(encoding="utf-8")
    assert "2: a test that the study does not ask for" in shown
    assert "passed over: 30522-7 (1 rows); 1 rows without a LOINC code" in shown
    assert "Images in the folder that no record names: 3" in shown
