"""The units that laboratories usually print: what is nearest to a misspelt one, and its rivals."""

import difflib
import math
from collections.abc import Mapping
from functools import cache

from client.units.conversion import Line, UnitError, line
from client.units.spelling import normal
from client.units.substances import Substance, substance_of
from irene_model.study import Measurement

_USUAL = (
    *("g/L", "g/dL", "mg/dL", "mg/L", "ug/L", "ng/L"),
    *("mmol/L", "umol/L", "nmol/L", "pmol/L", "mEq/L"),
    *("10^9/L", "10^12/L", "10^6/L"),
    *("U/L", "kU/L", "ukat/L", "IU/L", "mIU/L"),
    *("%", "1", "mmHg", "kPa", "degC", "degF", "1/min", "1/s", "s", "min", "mm/h", "fL", "pg"),
    *("mL/min", "mL/min/1.73m2", "kg", "cm", "m", "INR"),
)
_MORE_SPELLINGS = (
    *("ng/mL", "pg/mL", "ug/mL", "ug/dL", "mg/mL", "g/mL", "ng/dL", "mol/L", "mM", "IU/mL", "U/mL"),
    *("uIU/mL", "nkat/L", "10^3/uL", "10^6/uL", "K/uL", "M/uL", "G/L", "T/L", "/uL", "/nL"),
    *("Gpt/L", "Tpt/L", "cells/uL", "1000/uL", "10*9/L", "10*3/uL", "/min", "bpm", "mm[Hg]"),
    *("percent", "ratio", "L/L", "mmol/mol", "mg/g", "hPa", "cmH2O", "K", "h", "mg/24h", "kg/m2"),
    *("mOsm/kg", "Torr", "lb", "in", "pH"),
)


def nearest(unit: str, test: Measurement) -> str:
    """The known spelling that is most like `unit`, of those that become the study's if any is.

    Where none is like it, the study's own.
    """
    known = [*_USUAL, *_MORE_SPELLINGS]
    leading = [each for each in known if _line(each, test.unit, substance_of(test)) is not None]
    spelt = normal(unit).lower()
    for candidates, cutoff in ((leading, 0.6), (known, 0.8)):
        by_words = {each.lower(): each for each in reversed(candidates)}
        if close := difflib.get_close_matches(spelt, list(by_words), n=1, cutoff=cutoff):
            return by_words[close[0]]
    return test.unit


def rivals(unit: str, test: Measurement) -> Mapping[str, Line]:
    """What values taken for `unit` would be, had they been in another usual unit.

    Spelling -> slope and offset from a value as it was read, in the study's unit, to what it would
    be. Units that are the same as `unit` or lead nowhere are left out.
    """
    return _rivals(unit, test.unit, substance_of(test))


@cache
def _rivals(unit: str, study_unit: str, substance: Substance) -> Mapping[str, Line]:
    taken = _line(unit, study_unit, substance)
    if taken is None:
        return {}
    found: dict[str, Line] = {}
    for other in dict.fromkeys((study_unit, *_USUAL)):
        meant = _line(other, study_unit, substance)
        if meant is None:
            continue
        slope = meant[0] / taken[0]
        offset = meant[1] - slope * taken[1]
        if not any(_same((slope, offset), each) for each in ((1.0, 0.0), *found.values())):
            found[other] = (slope, offset)
    return found


def _same(one: Line, other: Line) -> bool:
    return all(
        math.isclose(a, b, rel_tol=1e-6, abs_tol=1e-9) for a, b in zip(one, other, strict=True)
    )


def _line(unit: str, study_unit: str, substance: Substance) -> Line | None:
    try:
        return line(unit, study_unit, substance)
    except UnitError:
        return None
