"""A patient's or record's id: not empty, no word for missing, and as it was once issued."""

import re
from collections.abc import Callable

from client.cells.cell_error import CellError
from client.site import MissingWords, plain

# As spreadsheets (1.23457E+11) and floats (1.5e10) write it; 12E4 may be the name of a ward.
_SCIENTIFIC = re.compile(r"[+-]?(\d+[.,]\d*e[+-]?\d+|\d+e\+\d+)", re.ASCII | re.IGNORECASE)
_INEXACT = re.compile(r"\d{16,}[.,]0+", re.ASCII)  # a floating-point number beyond 2**53
_TOTALS = {
    *("total", "totals", "grand total", "subtotal", "sum", "summe", "gesamt", "gesamtsumme"),
    *("insgesamt", "somme", "totale", "totaal", "suma", "mean", "average", "mittelwert", "count"),
}


def identifier_reader(missing: MissingWords) -> Callable[[str], str]:
    """A reader of ids; what is none, or no longer the one that was issued, is refused."""

    def read(cell: str) -> str:
        if not cell:
            raise CellError("is empty, expected an id; fill it in or drop the row")
        if cell in missing:
            raise CellError(
                "is a word for missing, expected an id: all rows with it would be taken for one; "
                "fill it in or drop the row"
            )
        if _SCIENTIFIC.fullmatch(cell):
            raise CellError(
                "is a number in scientific notation, expected an id: a spreadsheet has cut off "
                "its last digits, so that different ids became one; export the column as text"
            )
        if _INEXACT.fullmatch(cell):
            raise CellError(
                "is a number with a point and more digits than a program keeps, expected an id: "
                "different ids may have become one; export the column as text"
            )
        if plain(cell) in _TOTALS:
            raise CellError("is a word for a total, expected an id; delete the line")
        return cell

    return read
