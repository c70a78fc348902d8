"""A site's own spellings of units, and what the study says of a substance, in real files."""

import csv

import pytest

from client.records.tables import read_placed_records
from irene_model.errors import ConfigError, DataError, UserError
from irene_model.study.study import Study
from tests.helpers.hospital_folder import STUDY, HospitalFolder


def crp_of(hospital: HospitalFolder) -> list[float | None]:
    placed = read_placed_records(hospital.site, hospital.study)
    return [each.record.labs.get("CRP") for each in placed]


def long_table(hospital: HospitalFolder, *rows: tuple[str, str, str, str]) -> None:
    hospital.configure("labs", None)
    with (hospital.folder / "labs.csv").open("w", encoding="utf-8", newline="") as file:
        csv.writer(file).writerows([("record", "loinc", "value", "unit"), *rows])
    hospital.configure(
        "lab_table",
        {"path": "labs.csv", "on": "record", "test": "loinc", "value": "value", "unit": "unit"},
    )


def refused(hospital: HospitalFolder) -> str:
    with pytest.raises(UserError) as caught:
        read_placed_records(hospital.site, hospital.study)
    return str(caught.value)


def test_own_spellings_hold_for_columns(hospital: HospitalFolder) -> None:
    before = crp_of(hospital)
    hospital.configure("units", {"mg pro dl": "mg/dL", "Gramm/l": "g/L"})
    hospital.configure("labs.CRP.unit", " mg pro dl ")
    assert crp_of(hospital) == before


def test_own_spellings_hold_for_a_long_table_and_go_before_the_grammar(
    hospital: HospitalFolder,
) -> None:
    hospital.configure("units", {"Einh.": "mg/dL", "mg/L": "g/L"})
    rows = [("R001", "4", "Einh."), ("R002", "4", "mg/L"), ("R003", "4", "ug/mL")]
    long_table(hospital, *((record, "1988-5", value, unit) for record, value, unit in rows))
    assert crp_of(hospital)[:4] == [None, 40.0, 4000.0, 4.0]


@pytest.mark.parametrize("meant", ["Einheiten pro L?", "mg//L", "37"])
def test_an_own_spelling_has_to_mean_something(hospital: HospitalFolder, meant: str) -> None:
    hospital.configure("units", {"Einh.": meant})
    with pytest.raises(ConfigError, match=r"site north: units\.Einh\.: '.*' is not understood"):
        read_placed_records(hospital.site, hospital.study)


@pytest.mark.parametrize("units", [{"": "mg/L"}, {"Einh.": ""}, {"Einh.": 3}, ["Einh."]])
def test_the_mapping_has_words_on_both_sides(hospital: HospitalFolder, units: object) -> None:
    hospital.configure("units", units)
    with pytest.raises(ConfigError, match="units"):
        _ = hospital.site


def test_a_unit_that_is_not_understood_is_named_with_the_nearest(hospital: HospitalFolder) -> None:
    hospital.configure("labs.CRP.unit", "mgl")
    assert refused(hospital) == (
        "site north: labs.CRP.unit: 'mgl' can't become the study's 'mg/L': the unit is not "
        "understood; the nearest known one is 'mg/L'; or say what it means under `units` in "
        "site.yaml"
    )


def test_a_cell_of_a_unit_is_not_repeated_but_the_nearest_is_told(hospital: HospitalFolder) -> None:
    long_table(hospital, ("R001", "1988-5", "4", "SECRET/dl"))
    message = refused(hospital)
    assert "SECRET" not in message
    assert message.startswith("labs.csv line 2, column 'unit': holds a unit of CRP that can't")
    assert "the nearest known one is 'mg/L'" in message


def test_a_number_without_a_unit_may_have_an_empty_cell(hospital: HospitalFolder) -> None:
    inr = {"name": "CRP", "loinc": "1988-5", "unit": "1", "low": 0.8, "high": 1.2}
    hospital.configure("labs", [inr], "study.yaml")
    long_table(hospital, ("R001", "1988-5", "1.1", ""), ("R002", "1988-5", "2.5", "INR"))
    assert crp_of(hospital)[:3] == [None, 1.1, 2.5]


def test_the_molar_mass_of_the_study_converts(hospital: HospitalFolder) -> None:
    hospital.configure("labs.CRP.unit", "mmol/L")
    with pytest.raises(DataError, match=r"the conversion needs the molar mass, .* `molar_mass`"):
        read_placed_records(hospital.site, hospital.study)
    labs = [{**STUDY["labs"][0], "molar_mass": 113.12}, STUDY["labs"][1]]
    hospital.configure("labs", labs, "study.yaml")
    written = [row["crp"] for row in hospital.rows()]
    expected = [float(cell) * 113.12 if cell else None for cell in written]
    assert crp_of(hospital) == [e if e is None else pytest.approx(e) for e in expected]


def test_a_study_that_says_nothing_of_substances_keeps_its_fingerprint() -> None:
    vitals = {"name": "vitals", "values": [{"name": "a", "unit": "/min", "low": 6, "high": 9}, "b"]}
    document = {**STUDY, "panels": [{**vitals, "unit": "1", "low": -2, "high": 2}]}
    plain = Study.model_validate(document)
    assert Study.model_validate(STUDY).fingerprint == (
        "6272fc0918a32a92d42468f60903b468685bfc637ee0f55ae92c911eea8f390c"
    )
    assert "molar_mass" not in plain.canonical and "charge" not in plain.canonical
    said = {**STUDY, "labs": [{**STUDY["labs"][0], "molar_mass": 113.12}, STUDY["labs"][1]]}
    other = Study.model_validate(said)
    assert other.fingerprint != plain.fingerprint
    assert Study.from_canonical(other.canonical) == other


def test_a_panel_of_one_unit_keeps_what_is_said_of_each_substance() -> None:
    values = [{"name": "Na", "charge": 1}, {"name": "Ca", "charge": 2, "molar_mass": 40.078}]
    shared = {"unit": "mmol/L", "low": 1, "high": 2}
    study = Study.model_validate(
        {**STUDY, "panels": [{"name": "ions", **shared, "values": values}]}
    )
    again = Study.from_canonical(study.canonical)
    assert again == study
    assert [value.charge for value in again.panels[0].values] == [1, 2]


@pytest.mark.parametrize(
    "wrong", [{"molar_mass": 0}, {"molar_mass": -1}, {"charge": 0}, {"charge": 1.5}]
)
def test_a_substance_is_possible(wrong: dict[str, float]) -> None:
    with pytest.raises(ValueError, match=next(iter(wrong))):
        Study.model_validate({**STUDY, "labs": [{**STUDY["labs"][0], **wrong}]})
