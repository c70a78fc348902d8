"""Keys as they are compared: what nobody can see, and how a program wrote a number, is left out.

Only what can't make two ids one is done here. Leading zeros, case and prefixes stay: `007` and `7`
may be two patients.
"""

import re
import unicodedata
from collections.abc import Sequence

_WHOLE_FLOAT = re.compile(r"(-?\d+)\.0+", re.ASCII)


def compared(cells: Sequence[str]) -> list[str]:
    """The keys of one column.

    Invisible characters go, all spaces are alike and none stands at an end, letters have one
    encoding (Unicode NFC). A column whose filled cells are all whole numbers with a point (12345.0)
    was written by a program that knows no gaps in integers: there the point goes.
    """
    plain = {cell: visible(cell) for cell in set(cells)}
    filled = {key for key in plain.values() if key}
    if filled and all(_WHOLE_FLOAT.fullmatch(key) for key in filled):
        plain = {cell: key.partition(".")[0] for cell, key in plain.items()}
    return [plain[cell] for cell in cells]


def visible(cell: str) -> str:
    """A key without what nobody can see in it."""
    if cell.isascii() and cell.isprintable():
        return cell.strip()
    seen = "".join(sign for sign in cell if unicodedata.category(sign) != "Cf")
    return " ".join(unicodedata.normalize("NFC", seen).split())
