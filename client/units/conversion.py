"""A value in one unit to the same value in another: pint's arithmetic on what the grammar read.

A spelling with several meanings is read as the study's unit asks: `G/L` is 10^9/L for a count and
g/L for a mass. The study's unit is read in proper case alone. Where two meanings of the same kind
are left (`Mg/dL`), the unit is refused.
"""

import math
from collections.abc import Callable, Iterator, Mapping
from functools import cache
from typing import Any

from client.units.grammar import NotUnderstoodError, Reading, read_unit
from client.units.substances import USUAL, Substance

Line = tuple[float, float]  # slope and offset

_DEFINITIONS = """
gram = [mass]
metre = [length]
second = [time]
kelvin = [temperature]
mole = [substance]
equivalent = [charges]
international_unit = [international_unit]
arbitrary_unit = [arbitrary_unit]
d_dimer_unit = [d_dimer_unit]
ratio_of_times = [ratio_of_times]
acidity = [acidity]
field = [field]
litre = 0.001 * metre ** 3
minute = 60 * second
hour = 60 * minute
day = 24 * hour
per_minute = 1 / minute
molar = mole / litre
katal = mole / second
enzyme_unit = 0.000001 * mole / minute
pascal = 1000 * gram / metre / second ** 2
bar = 100000 * pascal
millimetre_of_mercury = 133.322387415 * pascal
torr = 101325 / 760 * pascal
centimetre_of_water = 98.0665 * pascal
degree_Celsius = kelvin; offset: 273.15
degree_Fahrenheit = 5 / 9 * kelvin; offset: 233.15 + 200 / 9
pound = 453.59237 * gram
inch = 0.0254 * metre
body_surface = 1.73 * metre ** 2
"""
_NAMED_NUMBERS = ("ratio_of_times", "acidity")  # what is written as 1 too, and as nothing else


class UnitError(ValueError):
    """Why a unit can't become the study's unit, without naming either.

    understood: whether it is a unit at all.
    """

    def __init__(self, said: str, *, understood: bool = True) -> None:
        super().__init__(said)
        self.understood = understood


def converter(unit: str, study_unit: str, substance: Substance = USUAL) -> Callable[[float], float]:
    """A function from a value in `unit` to the same value in `study_unit`.

    An infinite value (censored) stays infinite. The function raises `OverflowError` for a finite
    value that becomes infinite: it would otherwise pass for a censored one.

    Raises:
        UnitError: a unit is not understood, or no factor leads from one to the other.
    """
    slope, offset = line(unit.strip(), study_unit.strip(), substance)

    def convert(value: float) -> float:
        converted = value * slope + offset
        if math.isinf(converted) and not math.isinf(value):
            raise OverflowError("a finite value leaves the range of numbers when converted")
        return converted

    return convert


@cache
def line(unit: str, study_unit: str, substance: Substance) -> Line:
    """Slope and offset from `unit` to `study_unit`, as `converter` has them."""
    if unit == study_unit:
        return 1.0, 0.0  # equal words need no understanding
    try:
        sources = read_unit(unit)
    except NotUnderstoodError as error:
        raise UnitError(str(error), understood=False) from None
    try:
        targets = read_unit(study_unit)
    except NotUnderstoodError:
        raise UnitError("the study's own unit is not understood; write the same words") from None
    targets = tuple(each for each in targets if each.folded == targets[0].folded)
    fitting = [
        (source, found)
        for source in sources
        for target in targets
        if (found := _between(source, target, substance)) is not None
    ]
    if all(source.mixed for source, _ in fitting):
        raise UnitError(_reason(sources[0], targets[0], substance))
    return _the_one(fitting)


def _the_one(fitting: list[tuple[Reading, Line]]) -> Line:
    """The line of all readings; of all capitals, that of the reading whose case was ignored."""
    if any(not reading.proper for reading, _ in fitting):
        most = max(reading.folded for reading, _ in fitting)
        fitting = [(reading, found) for reading, found in fitting if reading.folded == most]
    (slope, offset), *others = [found for _, found in fitting]
    if any(not math.isclose(each, slope, rel_tol=1e-9) for each, _ in others):
        raise UnitError("it may be read in two ways, since capitals and small letters differ")
    return slope, offset


def _between(source: Reading, target: Reading, substance: Substance) -> Line | None:
    """The line from one reading to another; None where there is none."""
    ours, theirs = _quantity(source), _quantity(target)
    if substance.glycated and (source.share == "mole") != (target.share == "mole"):
        return _glycated(ours, theirs, source.share == "mole")
    if source.share and target.share and source.share != target.share:
        return None
    if ours.dimensionality != theirs.dimensionality:
        if _is_named_number(source, target) or _is_named_number(target, source):
            return 1.0, 0.0
        bridged = [
            quantity
            for quantity in _bridges(ours, source, substance)
            if quantity.dimensionality == theirs.dimensionality
        ]
        if not bridged:
            return None
        ours = bridged[0]
    # Temperatures have an offset: two points give the line for them as for all others.
    at_zero, at_one = (float(_at(ours, point).to(theirs.units).magnitude) for point in (0, 1))
    return (at_one - at_zero) / float(theirs.magnitude), at_zero / float(theirs.magnitude)


def _glycated(ours: Any, theirs: Any, from_moles: bool) -> Line | None:
    """NGSP's % = 0.09148 x IFCC's mmol/mol + 2.152: the master equation (ngsp.org/ifcc.asp)."""
    if ours.dimensionality or theirs.dimensionality:
        return None
    slope, offset = (
        (0.09148e-2 / 1e-3, 2.152e-2) if from_moles else (1e-1 / 0.09148, -2.152e-3 / 0.09148)
    )
    one, other = float(ours.magnitude), float(theirs.magnitude)
    return slope * one / other, offset / other


def _is_named_number(named: Reading, plain: Reading) -> bool:
    """Whether they are one of the numbers that have a name, as INR, and the bare 1."""
    return (
        named.units in {((name, 1),) for name in _NAMED_NUMBERS}
        and not (plain.units or plain.share)
        and (named.power, plain.power) == (0, 0)
    )


def _bridges(ours: Any, source: Reading, substance: Substance) -> Iterator[Any]:
    """The same quantity by what is known of the substance: of moles, grams, charges, units."""
    held = dict(ours.dimensionality)
    for kind, unit in (("[mass]", "gram"), ("[substance]", "mole"), ("[charges]", "equivalent")):
        if held.get(kind) != 1:
            continue
        for other, per in _amounts_of_a_mole(substance).items():
            mine = _amounts_of_a_mole(substance).get(unit)
            if mine is not None and other != unit:
                yield ours * _times(per / mine, {other: 1, unit: -1})
    if substance.international:
        for unit, other in (
            ("enzyme_unit", "international_unit"),
            ("international_unit", "enzyme_unit"),
        ):
            if dict(source.units).get(unit) == 1:
                yield ours * _times(1.0, {other: 1, unit: -1})


def _amounts_of_a_mole(substance: Substance) -> dict[str, float]:
    known = {"mole": 1.0, "gram": substance.molar_mass, "equivalent": substance.charge}
    return {unit: float(amount) for unit, amount in known.items() if amount is not None}


def _reason(source: Reading, target: Reading, substance: Substance) -> str:
    kinds = [dict(_quantity(each).dimensionality) for each in (source, target)]
    differing = {
        kind for kind in {*kinds[0], *kinds[1]} if kinds[0].get(kind) != kinds[1].get(kind)
    }
    if differing == {"[d_dimer_unit]"}:
        return "D-dimer units (DDU) are about half of FEU; export the value in the study's unit"
    no_mass, no_charge = substance.molar_mass is None, substance.charge is None
    if differing == {"[mass]", "[substance]"} and no_mass:
        return "the conversion needs the molar mass, which the study may give as `molar_mass`"
    if differing == {"[charges]", "[substance]"} and no_charge:
        return "the conversion needs the ion's charge, which the study may give as `charge`"
    if differing == {"[charges]", "[mass]"} and (no_mass or no_charge):
        return "the conversion needs `molar_mass` and `charge`, which the study may give"
    if differing == {"[international_unit]", "[substance]", "[time]"}:
        return "the study has to say that they are the same, by `international_units: true`"
    return "they measure different quantities; export the value in the study's unit"


def _at(quantity: Any, value: float) -> Any:
    """`value` counted in `quantity`, as 3 of 10^3/uL."""
    return _registry().Quantity(value * quantity.magnitude, quantity.units)


@cache
def _quantity(reading: Reading) -> Any:
    """The reading as pint's quantity; its magnitude is the unit's own number."""
    power = 10.0**reading.power if abs(reading.power) <= 300 else math.nan
    return _times(reading.number * power, dict(reading.units))


def _times(magnitude: float, units: Mapping[str, int]) -> Any:
    return _registry().Quantity(magnitude, _registry().UnitsContainer(units))


@cache
def _registry() -> Any:
    """Pint with the laboratory's units alone: its own know `mil` as a length."""
    import pint

    registry: Any = pint.UnitRegistry(None)
    registry.load_definitions([each for each in _DEFINITIONS.splitlines() if each])
    return registry
