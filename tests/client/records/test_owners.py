"""Whose a row of another table is: one that names another patient than its record is refused."""

from collections.abc import Callable, Sequence

import pytest

from client.check.quality import QualityReport, inspect
from irene_model.errors import DataError
from tests.helpers.hospital_folder import HospitalFolder


def lab_table(
    hospital: HospitalFolder,
    patient: Callable[[int, str], str],
    *,
    name: str = "patient_id",
    rows: Sequence[int] = range(20),
    **more: object,
) -> None:
    """A value for each record; `patient` makes the cell of the row's number and its patient."""
    hospital.configure("labs", None)
    records = hospital.rows()
    lines = [f"record,{name},loinc,value,unit"]
    lines += [
        f"R{row:03d},{patient(row, records[row]['patient_id'])},1988-5,{4 + row},mg/L"
        for row in rows
    ]
    (hospital.folder / "labs.csv").write_text("\n".join(lines), encoding="utf-8")
    table = {"path": "labs.csv", "on": "record", "test": "loinc", "value": "value", "unit": "unit"}
    hospital.configure("lab_table", {**table, **more})


def report_of(hospital: HospitalFolder) -> QualityReport:
    return inspect(hospital.site, hospital.study)


def test_one_that_names_another_patient_is_refused(hospital: HospitalFolder) -> None:
    lab_table(hospital, lambda row, patient: "P009" if row in (2, 7) else patient)
    with pytest.raises(DataError) as caught:
        report_of(hospital)
    said = str(caught.value)
    assert said.startswith("labs.csv line 4, column 'patient_id': names another patient than the")
    assert "(and 1 more like it: line 9)" in said and "P009" not in said
    hospital.configure("exclude", ["R002", "R007"])
    assert report_of(hospital).labs["CRP"].measured == 18


@pytest.mark.parametrize(
    "patient",
    [
        lambda row, patient: patient,
        lambda row, patient: f"0{patient.lower()} ",
        lambda row, patient: f"PSEUDO-{patient[::-1]}",  # one to one
        lambda row, patient: "" if row % 2 else patient,
        lambda row, patient: "NA",
    ],
)
def test_the_same_patients_in_other_words_are_none(
    hospital: HospitalFolder, patient: Callable[[int, str], str]
) -> None:
    lab_table(hospital, patient)
    assert report_of(hospital).labs["CRP"].measured == 20


def test_pseudonyms_that_are_mixed_up_are_refused(hospital: HospitalFolder) -> None:
    lab_table(hospital, lambda row, patient: f"X{row // 3}")
    with pytest.raises(DataError, match=r"and 19 more like it.*|lab_table\.patient"):
        report_of(hospital)


def test_the_column_may_have_another_name(hospital: HospitalFolder) -> None:
    lab_table(hospital, lambda row, patient: "P009", name="mrn")
    assert report_of(hospital).labs["CRP"].measured == 20  # nobody has said that it is a patient's
    hospital.configure("lab_table.patient", "mrn")
    with pytest.raises(DataError, match="column 'mrn': names another patient"):
        report_of(hospital)
    hospital.configure("lab_table.patient", "nrm")
    with pytest.raises(DataError, match=r"no column 'nrm', named by lab_table\.patient"):
        report_of(hospital)


def test_a_panels_table_is_looked_at_too(hospital: HospitalFolder) -> None:
    value = {"name": "pulse", "unit": "1/min", "low": 60, "high": 100}
    hospital.configure("panels", [{"name": "vitals", "values": [value]}], "study.yaml")
    patients = [row["patient_id"] for row in hospital.rows()]
    rows = [{"rid": f"R{n:03d}", "patient_id": patients[n], "pulse": 60 + 2 * n} for n in range(20)]
    hospital.write_rows(rows, "vitals.csv")
    hospital.configure("panels", {"vitals": {"table": {"path": "vitals.csv", "on": "rid"}}})
    assert report_of(hospital).panels["vitals"].records == 20
    hospital.set_cell(5, "patient_id", "P009", "vitals.csv")
    with pytest.raises(DataError, match=r"vitals\.csv line 7, column 'patient_id': names another"):
        report_of(hospital)


def test_keys_that_are_patients_are_told(hospital: HospitalFolder) -> None:
    lab_table(hospital, lambda row, patient: patient, name="who", rows=range(0, 20, 2))
    hospital.configure("lab_table.on", "who")
    with pytest.raises(DataError, match="stand in column 'patient_id' of the records"):
        report_of(hospital)
