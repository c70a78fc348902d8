"""A hospital's unit to the study's: by the site's own words, else by the laboratories' grammar."""

from collections.abc import Callable

from client.cells.cell_error import CellError
from client.site import Site
from client.units import UnitError, converter, nearest, substance_of
from irene_model.errors import ConfigError
from irene_model.study import Measurement

__all__ = [
    "UnitError",
    "check_own_units",
    "converted",
    "converter",
    "own_unit",
    "unit_reader",
]


def own_unit(site: Site, unit: str) -> str:
    """What `unit` means by the site's own words, or `unit` itself."""
    return site.units.get(unit.strip(), unit)


def unit_reader(site: Site, test: Measurement, unit: str) -> Callable[[float], float]:
    """A function from a value in `unit`, as this site writes it, to the study's unit of `test`.

    Raises:
        UnitError: the unit is not understood, or does not lead to the study's; the sentence names
            the nearest spelling that does, and never `unit` itself.
    """
    meant = own_unit(site, unit)
    try:
        return converter(meant, test.unit, substance_of(test))
    except UnitError as error:
        if error.understood:
            raise
        known = nearest(meant, test)
        raise UnitError(
            f"{error}; the nearest known one is '{known}'; or say what it means under `units` in "
            "site.yaml",
            understood=False,
        ) from None


def check_own_units(site: Site) -> None:
    """Refuse an own spelling of site.yaml that is said to mean what nobody knows."""
    for spelling, meant in site.units.items():
        try:
            converter(meant, "1")
        except UnitError as error:
            if not error.understood:
                raise ConfigError(
                    f"site {site.site}: units.{spelling}: '{meant}' is not understood; write it as "
                    "mg/L, U/L, 10^9/L, mmHg or %"
                ) from None


def converted(value: float | None, convert: Callable[[float], float]) -> float | None:
    """`value` in the study's unit; a CellError where it is too large for it."""
    if value is None:
        return None
    try:
        return convert(value)
    except OverflowError:
        raise CellError("is a number too large to convert; is the unit right?") from None
