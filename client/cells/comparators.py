"""The sign before a laboratory value, where it stands in a column of its own."""

from client.cells.cell_error import CellError
from client.cells.kinds import kind_of
from client.site import plain

_SIGNS = {
    **dict.fromkeys(("<", "<=", "≤", "lt", "le", "lte"), "<"),
    **dict.fromkeys((">", ">=", "≥", "gt", "ge", "gte"), ">"),
    **dict.fromkeys(("", "=", "==", "eq"), ""),
}


def with_comparator(value: str, comparator: str) -> str:
    """`value` with its sign before it, as `<5`; one that it has already may stand twice.

    comparator: empty where there is none.

    Raises:
        CellError: it is no sign, or the value itself has another one.
    """
    sign = _SIGNS.get(plain(comparator))
    if sign is None:
        raise CellError(f"is {kind_of(comparator)}, expected <, <=, >, >=, = or empty")
    if not value or not sign:
        return value
    own = _SIGNS.get(value[:1], "")
    if own and own != sign:
        raise CellError("says the contrary of the sign that stands before the value itself")
    return value if own else f"{sign}{value}"
