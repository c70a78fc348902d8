"""What the study says of a substance: moles, grams, charges and international units."""

import pytest

from client.units import UnitError, converter, nearest, rivals, substance_of
from client.units.substances import Substance
from irene_model.study.shapes import LabTest


def lab(unit: str, loinc: str = "1-8", **more: float | bool) -> LabTest:
    return LabTest.model_validate(
        {"name": "it", "loinc": loinc, "unit": unit, "low": 0.5, "high": 1, **more}
    )


@pytest.mark.parametrize(
    ("unit", "test", "value", "expected"),
    [
        ("umol/L", lab("mg/dL", molar_mass=113.12), 88.4, 1.0),  # creatinine
        ("mg/dL", lab("umol/L", molar_mass=113.12), 1.0, 88.4),
        ("mmol/L", lab("mg/dL", molar_mass=180.156), 5.0, 90.08),  # glucose
        ("mmol/L", lab("g/dL", molar_mass=16114), 8.7, 14.02),  # haemoglobin, as one chain
        ("mg/dL", lab("mmol/L", molar_mass=40.078), 10.0, 2.495),  # calcium
        ("mEq/L", lab("mmol/L", charge=2), 5.0, 2.5),
        ("mmol/L", lab("mEq/L", charge=2), 2.5, 5.0),
        ("mEq/L", lab("mg/dL", molar_mass=40.078, charge=2), 5.0, 10.02),
        ("mg/dL", lab("mEq/L", molar_mass=40.078, charge=2), 10.02, 5.0),
        ("mEq/L", lab("mmol/L", "2823-3"), 4.0, 4.0),  # potassium, by its LOINC code
        ("mEq/L", lab("mmol/L", "2000-8"), 5.0, 2.5),  # calcium
        ("IU/L", lab("U/L", "2532-0"), 200.0, 200.0),  # an enzyme
        ("IU/L", lab("U/L", international_units=True), 200.0, 200.0),
        ("U/mL", lab("kIU/L", international_units=True), 2.0, 2.0),
        ("mmol/mol", lab("%", "4548-4"), 53.0, 7.0),  # haemoglobin A1c has two calibrations
        ("%", lab("mmol/mol", "59261-8"), 6.5, 47.5),
        ("mmol/mol", lab("1", "4548-4"), 53.0, 0.07),
        ("mmol/mol", lab("%", "1-8"), 53.0, 5.3),  # of another test it is a share
        ("nmol/24h", lab("mg/d", molar_mass=362.46), 100.0, 0.036246),
    ],
)
def test_conversions_by_hand(unit: str, test: LabTest, value: float, expected: float) -> None:
    convert = converter(unit, test.unit, substance_of(test))
    assert convert(value) == pytest.approx(expected, rel=1e-3)


@pytest.mark.parametrize(
    ("unit", "test", "said"),
    [
        ("umol/L", lab("mg/dL"), "molar_mass"),
        ("mEq/L", lab("mmol/L"), "charge"),
        ("mEq/L", lab("mg/dL", charge=2), "molar_mass"),
        ("IU/L", lab("U/L"), "international_units: true"),
        ("IU/L", lab("U/L", "2532-0", international_units=False), "international_units: true"),
        ("mg/g", lab("mmol/g", molar_mass=100), "different quantities"),
        ("mg/g", lab("mg/mmol", molar_mass=113), "different quantities"),
        ("mg/kg", lab("mmol/L", molar_mass=113), "different quantities"),
    ],
)
def test_what_the_study_does_not_say_is_asked_for(unit: str, test: LabTest, said: str) -> None:
    with pytest.raises(UnitError, match=said):
        converter(unit, test.unit, substance_of(test))


def test_what_the_study_says_goes_before_the_code() -> None:
    assert substance_of(lab("mmol/L", "2823-3", charge=3)).charge == 3
    assert substance_of(lab("mmol/L", "2823-3")) == Substance(charge=1)


@pytest.mark.parametrize(
    ("unit", "study_unit", "expected"),
    [
        ("mgl", "mg/L", "mg/L"),
        ("mg/dk", "mg/L", "mg/dL"),
        ("m/uL", "10^9/L", "M/uL"),
        ("Einh./L", "U/L", "U/L"),
        ("mmHgg", "mmHg", "mmHg"),
        ("zzzzzz", "10^9/L", "10^9/L"),
        ("10-9/L", "10^9/L", "10^9/L"),
    ],
)
def test_the_nearest_known_spelling(unit: str, study_unit: str, expected: str) -> None:
    assert nearest(unit, lab(study_unit)) == expected


def test_rivals_are_other_units_of_the_kind() -> None:
    creatinine = lab("mg/dL", molar_mass=113.12)
    found = rivals("mg/dL", creatinine)
    assert found["umol/L"] == (pytest.approx(0.011312), pytest.approx(0.0, abs=1e-12))
    assert found["mg/L"][0] == pytest.approx(0.1)
    assert "mg/dL" not in found and "mmHg" not in found
    assert "umol/L" not in rivals("mg/dL", lab("mg/dL"))
    assert rivals("degC", lab("degC"))["degF"][0] == pytest.approx(5 / 9)
    assert rivals("no unit", creatinine) == {}
