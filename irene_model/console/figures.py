"""Numbers as people read them, whatever a float may hold."""

import math
from typing import Any

_LONG = 1e9  # from here on a number has an exponent, and not hundreds of digits


def known(value: Any) -> float | None:
    """`value` as a finite float; None for NaN, an infinity and all that is no number."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    try:
        number = float(value)
    except OverflowError:
        return None
    return number if math.isfinite(number) else None


def figure(value: Any, digits: int = 3, *, unknown: str = "\N{EN DASH}") -> str:
    """To `digits` behind the point: 0.733; `unknown` for what is not `known`."""
    number = known(value)
    if number is None:
        return unknown
    return f"{number:.{digits}f}" if abs(number) < _LONG else f"{number:.3g}"
