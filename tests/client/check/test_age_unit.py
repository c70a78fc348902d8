"""The unit of ages: stated, it is read; not stated, the check says which one was taken."""

from dataclasses import replace
from pathlib import Path

import pytest
from rich.console import Console

from client.check.quality import Survey, inspect
from client.pages.check_page import render_check
from client.pages.check_view import show_check
from client.site.columns import AgeColumn
from irene_model.errors import ConfigError
from tests.helpers.hospital_folder import HospitalFolder
from tests.helpers.sites.read_tables import records_of, refusal

MONTHS = [20 + 7 * n for n in range(10)]  # of small children; as years they would be adults


@pytest.fixture
def of_children(hospital: HospitalFolder) -> HospitalFolder:
    rows = hospital.rows("patients.csv")
    for row, months in zip(rows, MONTHS, strict=True):
        row["age"] = str(months)
    hospital.write_rows(rows, "patients.csv")
    return hospital


def test_months_that_look_like_years_are_never_read_without_a_word(
    of_children: HospitalFolder, tmp_path: Path
) -> None:
    report = inspect(of_children.site, of_children.study)
    (note,) = report.notes
    assert note.startswith("Ages are read as years, since site.yaml does not say")
    assert "{column: age, unit: years}" in note
    assert report.as_json()["notes"] == (note,)
    with (tmp_path / "shown").open("w", encoding="utf-8") as file:
        show_check(report, Console(file=file, width=120))
    assert note in (tmp_path / "shown").read_text(encoding="utf-8")
    assert note in render_check(Survey(report=report, sheet=[]))


def test_a_note_is_no_warning(of_children: HospitalFolder) -> None:
    unstated = inspect(of_children.site, of_children.study)
    of_children.configure("columns.age", {"column": "age", "unit": "years"})
    stated = inspect(of_children.site, of_children.study)
    assert stated == replace(unstated, notes=())


@pytest.mark.parametrize(("unit", "in_a_year"), [("years", 1), ("months", 12), ("days", 365.25)])
def test_a_stated_unit_is_read(of_children: HospitalFolder, unit: str, in_a_year: float) -> None:
    of_children.configure("columns.age", {"column": "age", "unit": unit})
    ages = [record.age_years for record in records_of(of_children)]
    assert ages[::2] == [pytest.approx(months / in_a_year) for months in MONTHS]


@pytest.mark.parametrize(
    ("column", "unit", "named"),
    [
        ("age_months", None, "months"),
        ("AgeMonths", None, "months"),
        ("Alter (Monate)", None, "months"),
        ("age in days", None, "days"),
        ("AGE_DAYS", "months", "days"),
        ("Alter in Wochen", None, "weeks"),
        ("age_months", "years", "months"),
    ],
)
def test_a_column_that_speaks_of_another_unit_is_warned_of(
    hospital: HospitalFolder, column: str, unit: str | None, named: str
) -> None:
    rows = [{**row, column: row["age"]} for row in hospital.rows("patients.csv")]
    hospital.write_rows(rows, "patients.csv")
    hospital.configure("columns.age", {"column": column, "unit": unit} if unit else column)
    said = f"speaks of {named}, and {unit or 'years'} are read"
    report = inspect(hospital.site, hospital.study)
    (doubt,) = [doubt for doubt in report.doubts if said in doubt.sentence]
    assert "columns.age.unit" in doubt.mend and report.verdict == "ready with warnings"


@pytest.mark.parametrize(
    ("column", "unit"),
    [("age_months", "months"), ("Alter", None), ("demographics", None), ("monthly", None)],
)
def test_a_column_that_does_not_is_not(
    hospital: HospitalFolder, column: str, unit: str | None
) -> None:
    rows = [{**row, column: row["age"]} for row in hospital.rows("patients.csv")]
    hospital.write_rows(rows, "patients.csv")
    hospital.configure("columns.age", {"column": column, "unit": unit} if unit else column)
    warnings = inspect(hospital.site, hospital.study).warnings
    assert not [each for each in warnings if "speaks of" in each]


def test_a_bound_of_the_unit(hospital: HospitalFolder) -> None:
    hospital.set_cell(2, "age", "1441", "patients.csv")
    hospital.configure("columns.age", {"column": "age", "unit": "months"})
    assert "is a number outside 0 to 1440, expected the age in months" in refusal(hospital)


def test_an_unknown_unit_is_refused(hospital: HospitalFolder) -> None:
    hospital.configure("columns.age", {"column": "age", "unit": "weeks"})
    with pytest.raises(ConfigError, match=r"columns\.age\.unit: .*years"):
        _ = hospital.site
    assert AgeColumn.model_validate("age") == AgeColumn(column="age")
