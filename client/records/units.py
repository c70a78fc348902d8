"""From the unit that a hospital writes to the unit of the study.

Hospitals write units as their laboratory system does: `U/l`, `1000/µl`, `10*9/L` (UCUM) and
`10^9/L` are all understood. What can't be converted without further knowledge, as µmol/L to mg/L
without the molar mass, is refused.
"""

import math
import re
from collections.abc import Callable
from functools import cache
from typing import Any

# UCUM writes a power of ten as 10*9, and pressure as mm[Hg]; a count may start with a slash.
_SPELLINGS = (
    (re.compile(r"10\s*\*\s*(\d+)"), r"10^\1"),
    (re.compile(r"[x\u00d7]\s*10\^"), "10^"),
    (re.compile(r"mm\s?\[?Hg\]?"), "mmHg"),
    (re.compile(r"^/"), "1/"),
    (re.compile(r"\bmm3\b"), "mm^3"),
)
_EXPECTED = "write it as mg/L, U/L, 10^3/uL, 1000/µl, 10*9/L, mmHg or %"


class UnitError(ValueError):
    """Why a unit can't become the study's unit, without naming either."""


def converter(unit: str, study_unit: str) -> Callable[[float], float]:
    """A function from a value in `unit` to the same value in `study_unit`.

    An infinite value (censored) stays infinite. The function raises `OverflowError` for a finite
    value that becomes infinite: it would otherwise pass for a censored one.

    Raises:
        UnitError: a unit is not understood, or no factor leads from one to the other.
    """
    slope, offset = _line(unit.strip(), study_unit.strip())

    def convert(value: float) -> float:
        converted = value * slope + offset
        if math.isinf(converted) and not math.isinf(value):
            raise OverflowError("a finite value leaves the range of numbers when converted")
        return converted

    return convert


@cache
def _line(unit: str, study_unit: str) -> tuple[float, float]:
    """Slope and offset from `unit` to `study_unit`."""
    if unit == study_unit:
        return 1.0, 0.0  # equal words need no understanding
    source, target = _quantity(unit), _quantity(study_unit)
    if source.dimensionality != target.dimensionality:
        raise UnitError(_reason(source, target))
    # Temperatures have an offset: two points give the line for them as for all others.
    at_zero, at_one = (float(_at(source, point).to(target.units).magnitude) for point in (0, 1))
    return (at_one - at_zero) / float(target.magnitude), at_zero / float(target.magnitude)


def _at(quantity: Any, value: float) -> Any:
    """`value` counted in `quantity`, as 3 of 10^3/uL."""
    return _registry().Quantity(value * quantity.magnitude, quantity.units)


def _quantity(unit: str) -> Any:
    """The unit as pint's quantity; its magnitude is the unit's own power of ten."""
    text = unit
    for spelling, replacement in _SPELLINGS:
        text = spelling.sub(replacement, text)
    try:
        parsed = _registry().parse_expression(text)
        quantity = parsed if hasattr(parsed, "units") else _registry().Quantity(parsed)
    except Exception:  # pint's parser raises errors of a dozen unrelated types
        raise UnitError(f"the unit is not understood; {_EXPECTED}") from None
    power = math.log10(quantity.magnitude) if quantity.magnitude > 0 else math.nan
    if not text or abs(power - round(power) if math.isfinite(power) else 1.0) > 1e-9:
        raise UnitError(f"a number is not a unit; {_EXPECTED}")
    return quantity


def _reason(source: Any, target: Any) -> str:
    ours, theirs = dict(source.dimensionality), dict(target.dimensionality)
    amounts = [(kind.pop("[mass]", 0), kind.pop("[substance]", 0)) for kind in (ours, theirs)]
    if ours == theirs and sorted(amounts) == [(0, 1), (1, 0)]:
        return "the conversion needs the molar mass; export the value in the study's unit"
    return "they measure different quantities; export the value in the study's unit"


@cache
def _registry() -> Any:
    """Pint's units and the laboratory's own. Built once: it takes most of a second."""
    import pint

    registry: Any = pint.UnitRegistry()
    registry.define("international_unit = [international_unit] = IU")
    registry.define("cell = count = cells")
    return registry
