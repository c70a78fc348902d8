"""Spellings put together at random become the right factor or are refused, never a third thing."""

import math
import string

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from client.units import UnitError, converter

# Prefix and unit as a laboratory may write them, and their worth in g, L, mol and U: by hand.
GRAMS = {"kg": 1e3, "g": 1, "gm": 1, "dg": 0.1, "mg": 1e-3, "mgs": 1e-3, "ug": 1e-6, "µg": 1e-6,
         "μg": 1e-6, "mcg": 1e-6, "ng": 1e-9, "pg": 1e-12, "fg": 1e-15, "MG": 1e-3,
         "UG": 1e-6}  # fmt: skip
LITRES = {"L": 1, "l": 1, "dL": 0.1, "dl": 0.1, "DL": 0.1, "cL": 0.01, "mL": 1e-3, "ml": 1e-3,
          "uL": 1e-6, "µl": 1e-6, "mcL": 1e-6, "nL": 1e-9, "fL": 1e-15, "100 mL": 0.1, "cc": 1e-3,
          "mm3": 1e-6, "mm^3": 1e-6, "mm³": 1e-6, "cumm": 1e-6, "cu mm": 1e-6, "m3": 1e3,
          "dm3": 1}  # fmt: skip
MOLES = {"mol": 1, "mmol": 1e-3, "umol": 1e-6, "µmol": 1e-6, "nmol": 1e-9, "pmol": 1e-12,
         "mEq": 1e-3, "meq": 1e-3, "MMOL": 1e-3, "mval": 1e-3}  # fmt: skip
UNITS = {"U": 1, "u": 1, "IU": 1, "mU": 1e-3, "mIU": 1e-3, "uIU": 1e-6, "µU": 1e-6, "kU": 1e3,
         "IE": 1, "Units": 1, "[IU]": 1, "ukat": 60, "nkat": 0.06}  # fmt: skip
TENS = {0: ("", "1", "10^0"), 3: ("10^3", "10*3", "10E3", "10e3", "x10^3", "10³", "1000", "K", "k",
        "Thousand", "Tsd.", "1e3"), 6: ("10^6", "10*6", "x10E6", "10⁶", "M", "Mio.", "million"),
        9: ("10^9", "10*9", "10E9", "×10⁹", "G", "Gpt"), 12: ("10^12", "T", "Tpt",
        "10e12")}  # fmt: skip
NOTES = ("", "{cells}", " cells", "{#}", " {WBC}")
STROKES = ("/", " / ", " per ", "/ ")
KINDS = {"g/L": GRAMS, "mol/L": MOLES, "U/L": UNITS}


@st.composite
def concentrations(draw: st.DrawFn) -> tuple[str, str, float]:
    """A spelling, the study's unit of its kind, and the factor."""
    litre = draw(st.sampled_from(sorted(LITRES)))
    stroke = draw(st.sampled_from(STROKES))
    kind = draw(st.sampled_from([*KINDS, "10^9/L"]))
    if kind == "10^9/L":
        power = draw(st.sampled_from(sorted(TENS)))
        above = draw(st.sampled_from(TENS[power])) + draw(st.sampled_from(NOTES))
        worth = 10.0**power / 1e9
    else:
        above, worth = draw(st.sampled_from(sorted(KINDS[kind].items())))
    return above + stroke + litre, kind, worth / LITRES[litre]


@given(concentrations())
@settings(max_examples=200, deadline=None)
def test_what_laboratories_write_has_its_factor(case: tuple[str, str, float]) -> None:
    spelling, study_unit, factor = case
    assert converter(spelling, study_unit)(1.0) == pytest.approx(factor, rel=1e-9)


PIECES = (
    *GRAMS, *LITRES, *MOLES, *UNITS, *(each for tens in TENS.values() for each in tens), *NOTES,
    *STROKES, "Mg", "MU", "m", "%", "*", ".", "-1", "^2", "(", ")", "min", "h", "24", "{x}",
    "[", "é",
)  # fmt: skip
STUDY_UNITS = ("g/L", "mg/dL", "10^9/L", "mmol/L", "U/L", "%", "1", "1/min", "mmHg", "degC", "s")


@given(
    st.lists(st.sampled_from(PIECES), max_size=6).map("".join)
    | st.text(string.printable + "µμ°³⁹×", max_size=12),
    st.sampled_from(STUDY_UNITS),
)
@settings(max_examples=250, deadline=None)
def test_anything_else_is_a_finite_factor_or_refused(spelling: str, study_unit: str) -> None:
    try:
        convert = converter(spelling, study_unit)
    except UnitError as error:
        assert str(error)
        return
    assert math.isfinite(convert(1.0)) and convert(2.0) > convert(1.0)
    if study_unit not in ("degC",):
        assert convert(0.0) == 0.0
    # The same words mean the same whichever unit of the kind the study has.
    if study_unit == "g/L":
        assert converter(spelling, "ng/mL")(1.0) == pytest.approx(convert(1.0) * 1e6, rel=1e-9)


@given(concentrations(), concentrations())
@settings(max_examples=80, deadline=None)
def test_kinds_are_never_taken_for_each_other(
    one: tuple[str, str, float], other: tuple[str, str, float]
) -> None:
    spelling, kind, _ = one
    _, study_unit, _ = other
    if kind == study_unit or "G" in spelling:  # giga and gram: the study decides
        return
    with pytest.raises(UnitError):
        converter(spelling, study_unit)
