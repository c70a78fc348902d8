"""Columns of a records table as hospitals export them, in CSV and Parquet: values, and counts."""

from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from client.check.quality import QualityReport, inspect
from irene_model.errors import ConfigError
from tests.helpers.hospital_folder import HospitalFolder
from tests.helpers.sites.read_tables import records_of, refusal


def add(hospital: HospitalFolder, **columns: list[Any]) -> None:
    """Further columns of the records table; shorter ones are repeated."""
    rows = hospital.rows()
    for number, row in enumerate(rows):
        for name, cells in columns.items():
            row[name] = cells[number % len(cells)]
    hospital.write_rows(rows)


def as_parquet(hospital: HospitalFolder, types: dict[str, pa.DataType]) -> None:
    rows = hospital.rows()
    columns: dict[str, pa.Array] = {}
    for name in rows[0]:
        cells = [row[name] or None for row in rows]
        kind = types.get(name, pa.string())
        if pa.types.is_floating(kind):
            columns[name] = pa.array([None if c is None else float(c) for c in cells], kind)
        else:
            columns[name] = pa.array(cells, pa.string()).cast(kind)
    pq.write_table(pa.table(columns), hospital.folder / "encounters.parquet")
    hospital.configure("records.path", "encounters.parquet")


def report_of(hospital: HospitalFolder) -> QualityReport:
    return inspect(hospital.site, hospital.study)


def test_numbers_with_a_comma_are_those_with_a_point(hospital: HospitalFolder) -> None:
    expected = [record.labs for record in records_of(hospital)]
    rows = hospital.rows()
    for row in rows:
        row["crp"], row["lympho"] = (row[name].replace(".", ",") for name in ("crp", "lympho"))
    hospital.write_rows(rows)
    assert "column 'crp': is a number with a comma" in refusal(hospital)
    hospital.configure("records.decimal", ",")
    assert [record.labs for record in records_of(hospital)] == expected


def test_one_point_among_commas_is_refused(hospital: HospitalFolder) -> None:
    add(hospital, lympho=["1,5", "2,25"], crp=["<0,5"])
    hospital.configure("records.decimal", ",")
    hospital.set_cell(7, "lympho", "1.750")
    said = refusal(hospital)
    assert "column 'lympho': is a number in another form" in said and "1.750" not in said
    hospital.configure("records.thousands", ".")
    assert records_of(hospital)[7].labs["lymphocytes"] == 1750


def test_numbers_that_parquet_stores_as_such_have_a_point(hospital: HospitalFolder) -> None:
    add(hospital, lympho=["1.5", "2.25"], crp=["0,5", "1.000,25"])
    as_parquet(hospital, {"lympho": pa.float64()})
    hospital.configure("records.decimal", ",")
    hospital.configure("records.thousands", ".")
    labs = records_of(hospital)[1].labs
    assert labs == {"CRP": 10002.5, "lymphocytes": 2.25}


def test_texts_of_several_columns_are_joined_and_missing_ones_passed_over(
    hospital: HospitalFolder,
) -> None:
    add(hospital, complaint=["cough", "", "NULL"], history=["asthma", "smoker", "k. A."])
    hospital.configure("columns.text", {"columns": ["complaint", "history"]})
    assert [r.text for r in records_of(hospital)[:3]] == ["cough. asthma", "smoker", None]
    hospital.configure("columns.text", {"columns": ["history", "complaint"], "separator": " | "})
    assert records_of(hospital)[0].text == "asthma | cough"
    hospital.configure("columns.text", {"columns": ["complaint", "histroy"]})
    assert "no column 'histroy', named by columns.text; did you mean 'history'" in refusal(hospital)


def test_a_sex_that_is_neither_is_unknown(hospital: HospitalFolder) -> None:
    hospital.set_cell(1, "sex", "D", "patients.csv")
    assert "columns.sex.female, .male or .unknown lists" in refusal(hospital)
    hospital.configure("columns.sex", {"column": "sex", "unknown": ["d"]})
    assert [r.sex for r in records_of(hospital)[:6]] == [
        *("female", "female", None, None, "female", "female")
    ]
    with pytest.raises(ConfigError, match="'f' is listed both as female and as unknown"):
        hospital.configure("columns.sex", {"column": "sex", "unknown": ["f"]})
        _ = hospital.site


def test_capped_ages_are_read_and_counted(hospital: HospitalFolder) -> None:
    rows = hospital.rows("patients.csv")
    for row, cell in zip(rows, (">89", "90+", "065Y"), strict=False):
        row["age"] = cell
    hospital.write_rows(rows, "patients.csv")
    assert [r.age_years for r in records_of(hospital)[:6]] == [90, 90, 90, 90, 65, 65]
    counted = report_of(hospital).coverage.cells
    assert counted == {"ages given as a bound, as >89 or 90+, read as the youngest": 4}


@pytest.mark.parametrize("parquet", [False, True])
def test_ages_between_two_dates(hospital: HospitalFolder, parquet: bool) -> None:
    add(
        hospital,
        birth=["1950-03-01", "2000-01-01", "2030-01-01", "1900-01-01", ""],
        taken=["2020-03-01", "2020-01-01", "2020-01-01", "2024-01-01", "2020-01-01"],
    )
    if parquet:
        as_parquet(hospital, {"birth": pa.date32(), "taken": pa.timestamp("ms")})
    hospital.configure("columns.age", {"born": "birth", "at": "taken"})
    ages = [record.age_years for record in records_of(hospital)[:5]]
    assert ages == [pytest.approx(70, abs=0.01), pytest.approx(20, abs=0.01), None, None, None]
    report = report_of(hospital)
    assert report.coverage.cells == {"ages between two dates that nobody has, left out": 8}
    (doubt,) = [each for each in report.warnings if "the right way round" in each]
    assert doubt.startswith("age: 8 of 16 ages between columns.age.born and columns.age.at")
    assert report.notes == ()


def test_a_date_that_may_be_two_is_refused(hospital: HospitalFolder) -> None:
    add(hospital, birth=["01/02/1950"], taken=["2020-03-01"])
    hospital.configure("columns.age", {"born": "birth", "at": "taken"})
    assert "column 'birth': is a date in which the month may be first" in refusal(hospital)
    hospital.configure("dates", "dmy")
    assert records_of(hospital)[0].age_years == pytest.approx(70.08, abs=0.01)


@pytest.mark.parametrize(
    "mapped",
    [
        {"column": "age", "born": "b", "at": "t"},
        {"born": "b"},
        {"born": "b", "at": "t", "unit": "years"},
        {"unit": "years"},
    ],
)
def test_half_an_age_is_refused(hospital: HospitalFolder, mapped: dict[str, str]) -> None:
    hospital.configure("columns.age", mapped)
    with pytest.raises(ConfigError, match=r"columns\.age: (give column|unit: two dates)"):
        _ = hospital.site


def test_uncertain_labels_are_counted_and_not_annotated(hospital: HospitalFolder) -> None:
    add(hospital, pneumonia=["1", "0", "maybe", "-1", ""])
    hospital.configure("labels.pneumonia", {"column": "pneumonia", "uncertain": ["Maybe", "-1"]})
    labels = [record.labels.get("pneumonia") for record in records_of(hospital)[:5]]
    assert labels == [1, 0, None, None, None]
    said = "records of which the label pneumonia is uncertain, not learnt from"
    report = report_of(hospital)
    assert report.coverage.cells == {said: 8}
    assert report.labels["pneumonia"].not_annotated == 12


def test_codes_of_several_columns(hospital: HospitalFolder) -> None:
    add(
        hospital,
        main=["J18.9", "I10", "I10", "", "J96.0"],
        further=["I10", "E11.9; J15.0", "J18.1 V", "", "NULL"],
    )
    mapped = {"columns": ["main", "further"], "icd10": ["J18", "J15"]}
    hospital.configure("labels.pneumonia", mapped)
    hospital.configure("labels.death", {"columns": ["main"], "icd10": ["J96"]})
    records = records_of(hospital)
    assert [r.labels.get("pneumonia") for r in records[:5]] == [1, 1, None, None, 0]
    assert [r.labels.get("death") for r in records[:5]] == [0, 0, 0, None, 1]
    report = report_of(hospital)
    assert list(report.coverage.cells.values()) == [4]
    assert not any("is mapped to labels" in each for each in report.warnings)
    hospital.set_cell(5, "further", "SECRET")
    said = refusal(hospital)
    assert "column 'further': is text, expected ICD-10 codes" in said and "SECRET" not in said


def test_findings_by_name(hospital: HospitalFolder) -> None:
    add(hospital, findings=["Pneumonia|Effusion", "No Finding", "", "Infiltration"])
    hospital.configure("labels.pneumonia", {"column": "findings", "names": ["pneumonia"]})
    labels = [record.labels.get("pneumonia") for record in records_of(hospital)[:4]]
    assert labels == [1, 0, None, 0]


def test_the_terminal_and_the_page_tell_the_counts(
    hospital: HospitalFolder, tmp_path: Path
) -> None:
    from rich.console import Console

    from client.check.quality import Survey
    from client.pages.check_page import render_check
    from client.pages.check_view import show_check

    hospital.set_cell(0, "age", ">89", "patients.csv")
    report = report_of(hospital)
    with (tmp_path / "shown").open("w", encoding="utf-8") as file:
        show_check(report, Console(file=file, width=120))
    counted = "ages given as a bound, as >89 or 90+, read as the youngest"
    assert f"2 {counted}" in (tmp_path / "shown").read_text(encoding="utf-8")
    assert "Ages given as a bound, as &gt;89" in render_check(Survey(report=report, sheet=[]))
