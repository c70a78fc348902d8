"""Doubts about units: honest hospitals, however ill, raise none; wrong units are named."""

import math

import numpy as np
import numpy.typing as npt
import pytest

from client.check.unit_doubts import doubt_unit
from client.units import converter, rivals, substance_of
from irene_model.study.shapes import LabTest

Numbers = npt.NDArray[np.float64]


def lab(
    unit: str, low: float, high: float, mass: float | None = None, charge: int | None = None
) -> LabTest:
    return LabTest(
        name="it", loinc="1-8", unit=unit, low=low, high=high, molar_mass=mass, charge=charge
    )


TESTS = {
    "CRP": lab("mg/L", 0, 5),
    "procalcitonin": lab("ng/mL", 0, 0.1),
    "D-dimer": lab("mg/L", 0, 0.5),
    "troponin": lab("ng/L", 0, 14),
    "NT-proBNP": lab("pg/mL", 0, 125),
    "calcium": lab("mg/dL", 8.5, 10.5, 40.078, 2),
    "glucose": lab("mg/dL", 70, 110, 180.156),
    "haemoglobin": lab("g/dL", 12, 17, 16114),
    "creatinine": lab("mg/dL", 0.6, 1.2, 113.12),
    "bilirubin": lab("mg/dL", 0.2, 1.2, 584.66),
    "urea": lab("mmol/L", 2.5, 7.1, 60.06),
    "lactate": lab("mmol/L", 0.5, 2.2, 90.08),
    "sodium": lab("mmol/L", 135, 145, 22.99, 1),
    "potassium": lab("mmol/L", 3.5, 5.1, 39.1, 1),
    "magnesium": lab("mmol/L", 0.7, 1.05, 24.305, 2),
    "albumin": lab("g/L", 35, 50),
    "leukocytes": lab("10^9/L", 4, 10),
    "neutrophils": lab("10^9/L", 1.5, 7.7),
    "lymphocytes": lab("10^9/L", 1.1, 4),
    "eosinophils": lab("10^9/L", 0, 0.5),
    "platelets": lab("10^9/L", 150, 400),
    "LDH": lab("U/L", 120, 250),
    "ALT": lab("U/L", 10, 45),
    "CK": lab("U/L", 30, 200),
    "TSH": lab("mIU/L", 0.4, 4),
    "pO2": lab("mmHg", 75, 100),
    "pCO2": lab("mmHg", 35, 45),
    "pH": lab("1", 7.35, 7.45),
    "temperature": lab("degC", 36, 37.5),
    "haematocrit": lab("%", 36, 50),
    "PSA": lab("ng/mL", 0, 4),
    "base excess": lab("mmol/L", -2, 2, None, 1),
}
# (median, spread): a log-normal population; the spread is a standard deviation of logarithms.
HONEST = {
    "CRP": [(2, 1.0), (8, 1.5), (40, 1.3), (100, 0.9), (180, 0.6)],
    "procalcitonin": [(0.05, 0.5), (0.4, 2.0), (3.0, 1.8)],
    "D-dimer": [(0.3, 0.6), (1.5, 1.2), (5, 1.0)],
    "troponin": [(8, 1.0), (60, 1.8), (700, 1.5)],
    "NT-proBNP": [(90, 1.0), (1500, 1.6), (6000, 1.2)],
    "calcium": [(9.3, 0.05), (8.4, 0.08), (7.8, 0.1), (11.5, 0.12)],
    "glucose": [(95, 0.12), (150, 0.4), (330, 0.35)],
    "haemoglobin": [(14, 0.1), (12, 0.17), (9.8, 0.19), (9.2, 0.16)],
    "creatinine": [(0.9, 0.25), (1.6, 0.6), (7, 0.4)],
    "bilirubin": [(0.6, 0.5), (1.5, 0.9), (6, 1.0)],
    "urea": [(5, 0.3), (12, 0.6), (25, 0.4)],
    "lactate": [(1.1, 0.35), (2.6, 0.6), (6, 0.5)],
    "sodium": [(140, 0.02), (134, 0.04), (150, 0.04)],
    "potassium": [(4.1, 0.1), (5.2, 0.2), (3.2, 0.15)],
    "magnesium": [(0.85, 0.12), (0.7, 0.2)],
    "albumin": [(42, 0.08), (30, 0.2), (22, 0.2)],
    "leukocytes": [(7, 0.3), (15, 0.5), (0.6, 1.2), (40, 0.9)],
    "neutrophils": [(4, 0.35), (11, 0.5), (0.3, 1.3)],
    "lymphocytes": [(2, 0.3), (0.7, 0.6), (20, 1.0)],
    "eosinophils": [(0.15, 0.7), (0.02, 1.0)],
    "platelets": [(240, 0.3), (70, 0.8), (20, 0.7)],
    "LDH": [(180, 0.2), (420, 0.5), (1500, 0.8)],
    "ALT": [(22, 0.5), (60, 1.1), (1300, 0.9)],
    "CK": [(100, 0.6), (600, 1.6), (9000, 1.0)],
    "TSH": [(1.6, 0.6), (0.05, 1.5), (30, 1.0)],
    "pO2": [(85, 0.12), (65, 0.35), (160, 0.6)],
    "pCO2": [(40, 0.12), (58, 0.3), (28, 0.2)],
    "pH": [(7.4, 0.004), (7.2, 0.02)],
    "temperature": [(36.8, 0.008), (38.6, 0.015), (34, 0.02)],
    "haematocrit": [(42, 0.1), (28, 0.18)],
    "PSA": [(1.0, 1.0), (9, 1.2), (60, 1.5)],
}


def population(median: float, spread: float, n: int = 400, seed: int = 0) -> Numbers:
    return np.exp(np.random.default_rng(seed).normal(math.log(median), spread, n))


def said(values: npt.ArrayLike, test: LabTest, taken: str | None = None) -> str:
    """The doubt of values that were written in the study's unit, or in `taken`."""
    taken = taken or test.unit
    doubt = doubt_unit(values, low=test.low, high=test.high, rivals=rivals(taken, test))
    return "" if doubt is None else doubt.sentence(taken, "")


def labelled(values: Numbers, test: LabTest, truly: str, taken: str) -> str:
    """What is said of values that are in `truly` while site.yaml says `taken`."""
    written = map(converter(test.unit, truly, substance_of(test)), values.tolist())
    read = [converter(taken, test.unit, substance_of(test))(value) for value in written]
    return said(read, test, taken)


@pytest.mark.parametrize(
    ("name", "median", "spread"),
    [(name, *each) for name, populations in HONEST.items() for each in populations],
)
def test_an_honest_hospital_is_not_doubted(name: str, median: float, spread: float) -> None:
    for n, seed in ((12, 0), (12, 1), (60, 2), (60, 3), (400, 4), (3000, 5)):
        assert said(population(median, spread, n, seed), TESTS[name]) == ""


@pytest.mark.parametrize("name", list(HONEST))
def test_nor_is_one_of_the_healthy_and_the_ill(name: str) -> None:
    mixed = np.concatenate([population(*each, 150, seed) for seed, each in enumerate(HONEST[name])])
    assert said(mixed, TESTS[name]) == ""


WRONG = [
    ("calcium", "mmol/L", "mg/dL"),
    ("calcium", "mg/dL", "mmol/L"),
    ("calcium", "mEq/L", "mmol/L"),
    ("glucose", "mmol/L", "mg/dL"),
    ("glucose", "mg/dL", "mmol/L"),
    ("haemoglobin", "g/L", "g/dL"),
    ("haemoglobin", "g/dL", "g/L"),
    ("creatinine", "umol/L", "mg/dL"),
    ("creatinine", "mg/dL", "umol/L"),
    ("magnesium", "mg/dL", "mmol/L"),
    ("albumin", "g/dL", "g/L"),
    ("albumin", "g/L", "g/dL"),
    ("leukocytes", "10^6/L", "10^9/L"),
    ("platelets", "10^9/L", "10^6/L"),
    ("LDH", "ukat/L", "U/L"),
    ("LDH", "U/L", "ukat/L"),
    ("ALT", "ukat/L", "U/L"),
    ("pO2", "kPa", "mmHg"),
    ("pCO2", "kPa", "mmHg"),
    ("pCO2", "mmHg", "kPa"),
    ("temperature", "degF", "degC"),
    ("temperature", "degC", "degF"),
    ("haematocrit", "1", "%"),
    ("haematocrit", "%", "1"),
    ("D-dimer", "ug/L", "mg/L"),
    ("D-dimer", "mg/L", "ug/L"),
]


@pytest.mark.parametrize(("name", "truly", "taken"), WRONG)
def test_a_wrong_unit_is_named(name: str, truly: str, taken: str) -> None:
    for seed, each in enumerate(HONEST[name][:2]):
        sentence = labelled(population(*each, 400, seed), TESTS[name], truly, taken)
        assert f" {truly} " in sentence and sentence.endswith(f"rather than {taken}"), each


@pytest.mark.parametrize(
    ("name", "truly", "taken"),
    [
        ("calcium", "mmol/L", "mg/dL"),
        ("glucose", "mg/dL", "mmol/L"),
        ("albumin", "g/dL", "g/L"),
        ("pCO2", "kPa", "mmHg"),
        ("temperature", "degF", "degC"),
        ("leukocytes", "10^6/L", "10^9/L"),
    ],
)
def test_twelve_values_are_enough_for_a_large_factor(name: str, truly: str, taken: str) -> None:
    values = population(*HONEST[name][0], 12)
    assert f" {truly} " in labelled(values, TESTS[name], truly, taken)


@pytest.mark.parametrize("name", ["haemoglobin"])
@pytest.mark.parametrize(("median", "spread"), [(14, 0.1), (12.5, 0.15)])
def test_a_small_factor_is_seen_where_nobody_is_inside(
    name: str, median: float, spread: float
) -> None:
    test = TESTS[name]
    sentence = labelled(population(median, spread), test, "mmol/L", "g/dL")
    assert sentence == (
        "nearly all values lie below the reference interval: they look like mmol/L rather than g/dL"
    )
    without_mass = lab("g/dL", 12, 17)
    values = [value / 1.6114 for value in population(median, spread)]
    assert said(values, without_mass) == ""  # then nobody knows the factor


def test_a_crp_in_mg_per_dl_is_seen_by_its_low_end() -> None:
    general = population(15, 1.5)
    assert labelled(general, TESTS["CRP"], "mg/dL", "mg/L") == (
        "too many values lie far below the reference interval: some or all look like mg/dL rather "
        "than mg/L"
    )
    for median, spread in ((15, 1.5), (40, 1.3), (100, 0.9)):
        sentence = labelled(population(median, spread), TESTS["CRP"], "mg/L", "mg/dL")
        assert sentence.endswith("look like mg/L rather than mg/dL"), median


@pytest.mark.parametrize(
    ("name", "other"),
    [
        ("calcium", "mmol/L"),
        ("glucose", "mmol/L"),
        ("haemoglobin", "g/L"),
        ("creatinine", "umol/L"),
        ("D-dimer", "ug/L"),
        ("platelets", "10^6/L"),
        ("temperature", "degF"),
        ("pCO2", "kPa"),
    ],
)
@pytest.mark.parametrize("share", [0.1, 0.5, 0.9])
def test_mixed_units_in_one_column_are_seen(name: str, other: str, share: float) -> None:
    test = TESTS[name]
    values = population(*HONEST[name][0], 300)
    convert = converter(test.unit, other, substance_of(test))
    rng = np.random.default_rng(1)
    mixed = [convert(value) if rng.random() < share else value for value in values.tolist()]
    sentence = said(mixed, test)
    assert "two heaps" in sentence
    assert sentence.endswith(f"some look like {other} rather than {test.unit}")


@pytest.mark.parametrize(
    "values",
    [[], [1e9] * 7, [math.inf] * 50, [-1.0] * 50, [0.0] * 50, [math.nan] * 50, [0.0] * 49 + [1e9]],
)
def test_what_can_not_be_judged_is_not(values: list[float]) -> None:
    for name in ("CRP", "calcium", "base excess"):
        assert said(values, TESTS[name]) == ""


def test_what_no_unit_explains_is_asked() -> None:
    assert said(population(4e5, 0.1), TESTS["sodium"]) == (
        "half of the values lie far above the reference interval: is the unit right?"
    )
    assert said([1.0] * 50, TESTS["sodium"]) == (
        "half of the values lie far below the reference interval: is the unit right?"
    )
