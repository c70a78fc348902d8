"""How laboratories write units, and what each spelling is worth in the study's unit.

Factors are by hand, from the definitions: none is computed by the grammar.
"""

import pytest

from client.units import UnitError, converter

COUNT = {
    1.0: (
        "10^9/L", "x10^9/L", "X10^9/L", "x 10^9/L", "×10^9/L", "10⁹/L", "×10⁹/l", "10*9/L",
        "10*9/l",
        "10**9/L", "10(9)/L", "10^(9)/L", "10e9/L", "10E9/L", "x10E9/L", "10E+09/L", "10 E9/L",
        "1e9/L", "E9/L", "e3/uL", "xE+09/L",
        "10EXP9/L", "10^9 / L", "10^9 L-1", "10^9 L^-1", "10⁹ L⁻¹", "10*9.L-1",
        "10^9.L^-1",
        "10E3/uL", "x10E3/uL", "X10E3/UL", "10e3/ul", "10^3/uL", "10*3/uL", "10³/µL", "10^3/μl",
        "10^3/mcL", "10^3/mm3", "10^3/mm^3", "10³/mm³", "10^3/cumm", "1000/uL", "x1000/µL",
        "1000/µl",
        "1000/mm3", "1000 / µl", "K/uL", "k/ul", "K/UL", "K/mcL", "K/mm3", "k/cumm", "K/CUMM",
        "k/cu mm", "K/cu.mm", "K/c.mm", "Thousand/uL", "THOUSAND/UL", "thousands/uL", "Thous/uL",
        "thou/uL", "Tsd./µl", "Tsd/µl", "TSD./UL", "tys/µl", "Thousand per uL", "G/L", "G/l",
        "Giga/L", "Gpt/L", "GPT/L", "Gpt/l", "Mrd/L", "/nL", "1/nl", "cells/nL", "10^3 cells/uL",
        "10*3{cells}/uL", "10x3/uL", "10'3/µL",
        "10^3/mmc", "mila/mmc", "10^6/mL", "mil/mL", "Mill/mL", "million/mL", "10^6 / ml",
        "10**6/mL",
    ),
    0.001: (
        "/uL", "1/uL", "/µL", "/mm3", "/cumm", "per uL", "per mm3", "cells/uL", "{cells}/uL",
        "#/uL",
        "{#}/uL", "cells/mm3", "Zellen/µl", "cells per uL", "10^6/L", "10*6/L", "10E6/L",
        "cells/mcL",
    ),
    1000.0: (
        "10^6/uL", "10E6/uL", "x10E6/uL", "10^12/L", "10E12/L", "10*12/L", "M/uL", "M/UL", "M/mcL",
        "Million/uL", "mill/mm3", "mill/cumm", "Mio./µl", "Mio/µl", "mln/µl", "T/L", "T/l", "Tpt/L",
    ),
    10.0: ("10^4/uL", "万/μL"),
    100.0: ("lakh/cumm", "Lakhs/cumm", "lakhs/cu.mm"),
}  # fmt: skip
MASS = {
    1.0: (
        "mg/L", "mg/l", "MG/L", "mg L-1", "mg L^-1", "mg·L⁻¹", "mg.L-1", "mg*L-1", "µg/mL", "μg/mL",
        "ug/ml", "mcg/mL", "MCG/ML", "UG/ML", "mg/L FEU", "mg/L (FEU)", "mg/L{FEU}", "ug{FEU}/mL",
        "mg per L", "mg/Liter", "milligram/liter", "mgs/L", "mgm/L", "㎎/L", " mg / L ", "g/m3",
    ),
    10.0: (
        "mg/dL", "mg/dl", "MG/DL", "mgs/dL", "mgm/dl", "mg/100 mL", "mg/100mL", "mg%", "mg %",
        "MG%",
        "mg/(dL)",
    ),
    1e3: ("g/L", "gm/L", "gms/L", "G/L", "mg/mL", "MG/ML"),
    1e4: ("g/dL", "g/dl", "G/DL", "gm/dL", "gms/dl", "gr/dL", "g%", "gm%", "g/100 mL"),
    0.001: ("ng/mL", "NG/ML", "ug/L", "µg/l", "mcg/L", "ng/mL FEU"),
    1e-6: ("ng/L", "pg/mL", "PG/ML"),
}  # fmt: skip
OTHERS = {
    "U/L": {
        1.0: ("U/l", "u/L", "IU/L", "iu/l", "[IU]/L", "[iU]/L", "I.U./L", "IE/L", "I.E./l", "UI/L",
              "E/L", "Units/L", "units/l", "Unit/L", "mU/mL", "mIU/mL", "MIU/ML", "umol/min/L"),
        60.0: ("ukat/L", "µkat/l", "UKAT/L", "mcat/L".replace("mcat", "mckat")),
        0.06: ("nkat/L",),
        1000.0: ("kU/L", "U/mL", "IU/ML"),
    },
    "mIU/L": {1.0: ("uIU/mL", "µIU/mL", "uU/mL", "mcIU/mL", "mU/L", "UIU/ML", "µE/mL")},
    "mmol/L": {
        1.0: ("mM", "mmol/l", "MMOL/L", "mmoles/L", "mol/m3", "mmol L-1", "mEq/L", "meq/l", "MEQ/L",
              "mval/L", "umol/mL"),
        0.001: ("umol/L", "µmol/l", "mcmol/L", "uM", "UMOL/L"),
        10.0: ("mmol/dL", "mEq%"),
    },
    "mmHg": {
        1.0: ("mm Hg", "mm[Hg]", "MM HG", "mmhg", "MMHG", "mm hg", "Torr", "torr"),
        7.50062: ("kPa", "KPA", "kpa"),
        0.750062: ("hPa", "mbar"),
        0.735559: ("cmH2O", "cm H2O", "cm[H2O]"),
    },
    "%": {
        1.0: ("Percent", "percent", "PERCENT", "%", "pct", "Vol%", "/100 WBC", "/100{WBCs}", "％"),
        100.0: ("ratio", "L/L", "l/l", "1", ""),
        0.1: ("mmol/mol", "‰"),
    },
    "1": {
        1.0: ("", "INR", "{INR}", "[INR]", "ratio", "pH", "[pH]", "10^0"),
        0.01: ("%",),
    },
    "INR": {1.0: ("1", "", "{INR}", "inr")},
    "1/min": {
        1.0: ("/min", "bpm", "BPM", "insp/min", "min-1", "min^-1", "min⁻¹", "beats/min",
              "{beats}/min",
              "breaths/min", "{breaths}/min", "beats per minute", "/MIN", "/min.", "1/Minute"),
        60.0: ("/s", "1/sec"),
    },
    "degC": {1.0: ("°C", "Cel", "℃", "deg C", "C", "ºC", "Grad C")},
    "mm/h": {1.0: ("mm/1h", "mm/hr", "MM/HR", "mm/1 hr", "mm/Std.", "mm/hour")},
    "mL/min/1.73m2": {1.0: ("mL/min/{1.73_m2}", "ml/min/1.73 m²", "mL/min per 1.73 sq m",
                            "mL/min/1,73m2")},
    "s": {1.0: ("sec", "secs", "seconds", "Sek.", "SEC"), 60.0: ("min",)},
    "fL": {1.0: ("fl", "FL", "um3", "µm^3")},
    "pg": {1.0: ("PG", "pg/cell", "pg{cell}")},
    "g/d": {1.0: ("g/24h", "g/24 h", "g/24 hr", "g/day"), 0.001: ("mg/24h",)},
    "ug/kg/min": {1.0: ("mcg/kg/min", "ug/(kg.min)", "ug/kg min-1", "ug.kg-1.min-1")},
    "mmol/kg": {1.0: ("mOsm/kg", "mosmol/kg H2O")},
    "kg/m2": {1.0: ("kg/m^2", "kg/m²", "kg/sq m")},
}  # fmt: skip
EXPECTED = [
    *[(unit, "10^9/L", factor) for factor, units in COUNT.items() for unit in units],
    *[(unit, "mg/L", factor) for factor, units in MASS.items() for unit in units],
    *[
        (unit, study, factor)
        for study, factors in OTHERS.items()
        for factor, units in factors.items()
        for unit in units
    ],
]


@pytest.mark.parametrize(("unit", "study_unit", "factor"), EXPECTED)
def test_the_factor_of_a_spelling(unit: str, study_unit: str, factor: float) -> None:
    convert = converter(unit, study_unit)
    assert convert(2.0) - convert(1.0) == pytest.approx(factor, rel=1e-5)
    assert convert(0.0) == pytest.approx(0.0, abs=1e-12)


def test_there_are_many_spellings() -> None:
    assert len(EXPECTED) == len(set(EXPECTED)) >= 300


@pytest.mark.parametrize(
    ("unit", "study_unit", "value", "expected"),
    [
        ("degF", "degC", 98.6, 37.0),
        ("[degF]", "degC", 32.0, 0.0),
        ("°F", "degC", 212.0, 100.0),
        ("K", "degC", 310.15, 37.0),
        ("Cel", "[degF]", 37.0, 98.6),
    ],
)
def test_temperatures_have_an_offset(
    unit: str, study_unit: str, value: float, expected: float
) -> None:
    assert converter(unit, study_unit)(value) == pytest.approx(expected, abs=1e-9)


@pytest.mark.parametrize(
    ("unit", "study_unit"),
    [
        # Of the same kind, but with another factor to another reader.
        ("Mg/dL", "mg/dL"), ("MU/L", "U/L"), ("MIU/L", "mIU/L"), ("Mmol/L", "mmol/L"),
        ("mil/uL", "10^9/L"), ("mil/mm3", "10^9/L"), ("m/uL", "10^9/L"), ("ug/kg.min", "ug/kg/min"),
        ("10-9/L", "10^9/L"), ("10 9/L", "10^9/L"), ("1,000/uL", "10^9/L"), ("1.000/µl", "10^9/L"),
        ("2e9/L", "10^9/L"), ("10^9", "10^9/L"), ("5/uL", "10^9/L"), ("Bill./L", "10^9/L"),
        ("10^3 K/uL", "10^9/L"), ("mg/L DDU", "mg/L"), ("mg/L{DDU}", "mg/L FEU"),
        ("mg/g", "mmol/mol"), ("L/L", "g/g"), ("10^9/L 1000", "10^9/L"),
        # Of another kind.
        ("g/L", "10^9/L"), ("g/l", "G/L"), ("K/uL", "mg/L"), ("K", "10^9/L"), ("K", "1"),
        ("M", "1"), ("mM", "mm"), ("mm", "mmol/L"), ("h", "g"), ("U/L", "mg/L"), ("INR", "%"),
        ("{INR}", "s"), ("%", "INR"), ("pH", "%"), ("mL/min/1.73m2", "mL/min"), ("mg/dL", "mg"),
        ("mL/min/{1.73_m2}", "mL/min"), ("umol/L", "mg/dL"), ("nmol/L", "mg/L"), ("mEq/L", "mg/L"),
        ("AU/mL", "IU/mL"), ("/[HPF]", "/uL"), ("mg%", "%"), ("C", "1"), ("min", "1/min"),
        ("mmol/L", "mmol/kg"), ("", "mg/L"), ("1", "mg/L"), ("L-1", "10^9/L/L"), ("mg/L-1", "mg/L"),
        # No unit.
        ("mg/", "mg/L"), ("/", "1/min"), ("mg//L", "mg/L"), ("mg/L/", "mg/L"), ("(mg/L", "mg/L"),
        ("mg/L)", "mg/L"), ("()", "1"), ("37.2", "1"), ("100", "%"), ("5 mg/L", "mg/L"),
        ("blood", "mg/L"), ("mgl", "mg/L"), ("mg\\L", "mg/L"), ("{mg/L}", "mg/L"),
        ("mg{Smith}/L", "mg/L"), ("{Ehrlich_U}/dL", "/dL"), ("[gr]/dL", "g/dL"), ("Einh.", "U/L"),
        ("�g/L", "ug/L"), ("?g/L", "ug/L"), ("mg/L" * 30, "mg/L"), ("10^99/L", "kg"),
        ("nan", "1"), ("*/L", "/L"), ("10^^9/L", "10^9/L"), ("a" * 5000, "1"), ("(" * 40, "1"),
    ],
)  # fmt: skip
def test_what_is_not_that_unit_is_refused(unit: str, study_unit: str) -> None:
    with pytest.raises(UnitError):
        converter(unit, study_unit)
