"""Units: clinical spellings, conversions, and what is refused."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from client.cells.units import UnitError, converter

SAME_KIND = (
    ("mg/L", "mg/dL", "g/L", "µg/mL", "ug/L", "ng/mL"),
    ("10^9/L", "10*9/L", "10^3/uL", "1000/µl", "/nL", "cells/uL", "x10^9/L"),
    ("mmHg", "kPa", "mm[Hg]"),
    ("U/L", "U/l", "kU/L"),
)
PAIRS = st.sampled_from([(a, b) for kind in SAME_KIND for a in kind for b in kind])


@pytest.mark.parametrize(
    ("value", "unit", "study_unit", "expected"),
    [
        (4.0, "mg/dL", "mg/L", 40.0),
        (0.5, "g/L", "mg/dL", 50.0),
        (1.2, "1000/µl", "10^9/L", 1.2),
        (1.2, "1000/μl", "10*9/L", 1.2),
        (1200.0, "/uL", "10^9/L", 1.2),
        (248.0, "U/l", "U/L", 248.0),
        (5.3329, "kPa", "mmHg", 40.0),
        (0.42, "1", "%", 42.0),
        (500.0, "ng/mL", "mg/L", 0.5),
        (37.0, "degC", "degF", 98.6),
    ],
)
def test_conversions_by_hand(value: float, unit: str, study_unit: str, expected: float) -> None:
    assert converter(unit, study_unit)(value) == pytest.approx(expected, rel=1e-4)


def test_the_molar_mass_is_asked_for() -> None:
    with pytest.raises(UnitError, match="molar mass"):
        converter("umol/L", "mg/L")


@pytest.mark.parametrize("unit", ["mg/", "", "37.2", "5 mg/L", "ug{of}/mL", "blood", "(("])
def test_what_is_no_unit_is_refused(unit: str) -> None:
    with pytest.raises(UnitError):
        converter(unit, "mg/L")


@pytest.mark.parametrize(("unit", "study_unit"), [("K/uL", "mg/L"), ("U/L", "mg/L"), ("%", "s")])
def test_different_quantities_are_refused(unit: str, study_unit: str) -> None:
    with pytest.raises(UnitError, match="different quantities"):
        converter(unit, study_unit)


@given(PAIRS, st.floats(1e-6, 1e6))
def test_there_and_back_is_the_same(pair: tuple[str, str], value: float) -> None:
    there, back = converter(*pair), converter(*reversed(pair))
    assert back(there(value)) == pytest.approx(value, rel=1e-9)


@given(PAIRS, st.floats(1e-6, 1e6), st.floats(1e-6, 1e6))
def test_order_is_kept(pair: tuple[str, str], first: float, second: float) -> None:
    convert = converter(*pair)
    if first < second:
        assert convert(first) <= convert(second)


@given(PAIRS)
def test_a_censored_value_stays_censored(pair: tuple[str, str]) -> None:
    convert = converter(*pair)
    assert (convert(math.inf), convert(-math.inf)) == (math.inf, -math.inf)


def test_a_finite_value_never_becomes_a_censored_one() -> None:
    with pytest.raises(OverflowError):
        converter("g/L", "ng/L")(1e305)
