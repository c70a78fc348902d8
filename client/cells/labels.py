"""One cell of a label's column to 0, 1 or "not annotated".

`binary` takes 0, 1 and words for missing. `filled` is for columns that say something only where an
event took place, as the date of death: a cell is then an event unless it says that nothing is
there, or no. What may be either is refused, since a wrong label is seen by nobody; the label's
`positive`, `negative`, `uncertain` and `unknown` in site.yaml list cells whose meaning the hospital
knows.
"""

import re
from collections.abc import Callable, Iterable

from client.cells.cell_error import CellError
from client.cells.kinds import kind_of
from client.site import LabelColumn, MissingWords, plain

_NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)", re.ASCII)
_NO = frozenset({
    *("no", "n", "false", "nein", "non", "nee", "nej", "nei", "não", "nie", "ne", "ei", "нет"),
    *("none", "kein", "keine", "keiner", "aucun", "aucune", "ninguno", "ninguna", "nessuno"),
    *("geen", "ingen", "neg", "neg.", "negative", "negativ", "négatif", "negativo", "negatief"),
    *("absent", "not present", "nicht vorhanden", "alive", "living", "lebt", "lebend", "vivant"),
    *("vivo", "excluded", "ausgeschlossen", "exclu", "(-)", "hayır"),
})  # fmt: skip
_YES = frozenset({
    *("yes", "y", "true", "t", "ja", "j", "oui", "o", "si", "sí", "sim", "s", "tak", "да", "x"),
    *("✓", "✔", "+", "(+)", "pos", "pos.", "positive", "positiv", "positif", "positivo", "evet"),
})  # fmt: skip
# How a sentence begins that denies or doubts. What follows does not matter.
_DOUBTS = re.compile(
    r"(no|not|non|nicht|kein\w*|ohne|without|sans|sin|senza|geen|never|nie|denie[sd]|nega|neg\w*"
    r"|exclu\w*|ausgeschl\w*|ruled?|r/o|free|suspected|suspicion|susp\w*|verdacht\w*|v\.?\s?a\.?"
    r"|possibl[ey]|probabl[ey]|maybe|perhaps|unlikely|unclear|unsure|uncertain|fraglich\w*|unklar\w*"
    r"|evtl\.?|eventuell|z\.?\s?n\.?|history|alive|lebt|lebend\w*|living|planned|geplant|pending)\b",
    re.IGNORECASE,
)
_DATE = re.compile(
    r"((?P<year>\d{4})[-./](?P<rest>\d{1,2}[-./]\d{1,2})"
    r"|(?P<rest_>\d{1,2}[-./]\d{1,2})[-./](?P<year_>\d{4}))(?!\d).*",
    re.ASCII,
)
# What programs write for no date. Years up to 2299 are those of de-identified tables.
_FIRST_YEAR, _LAST_YEAR = 1901, 2299
_FIRST_OR_LAST = {(1970, (1, 1)), (2099, (12, 31)), (2099, (31, 12))}
# Codes of a list: 2 for no, 9 and the like for unknown. A count of days may be one of them too.
_CODES = frozenset({2.0, *(s * (10.0**n - 1) for s in (-1, 1) for n in range(1, 7)), -1.0})


def label_reader(
    label: str, column: LabelColumn, missing: MissingWords, cells: Iterable[str]
) -> Callable[[str], int | None]:
    """A reader by the label's rule; `cells` are all of the column, which tell what a 0 is."""
    listed = {
        **dict.fromkeys(map(_form, column.negative), 0),
        **dict.fromkeys(map(_form, column.positive), 1),
        **dict.fromkeys(map(_form, (*column.unknown, *column.uncertain)), None),
    }
    key = f"labels.{label}"
    numbers = {float(c) for c in set(cells) if _NUMBER.fullmatch(c) and _form(c) not in listed}

    def read(cell: str) -> int | None:
        if (form := _form(cell)) in listed:
            return listed[form]
        if column.rule == "filled":
            return _read_filled(cell, missing, numbers, key)
        return _read_binary(cell, missing, key)

    return read


def uncertain_cells(column: LabelColumn) -> Callable[[str], bool]:
    """Whether a cell is one that the site lists as uncertain."""
    listed = set(map(_form, column.uncertain))
    return lambda cell: _form(cell) in listed


def _form(cell: str) -> str | float:
    """A cell as it is compared: 0, 0.0 and 00 are one number."""
    return float(cell) if _NUMBER.fullmatch(cell) else plain(cell)


def _read_binary(cell: str, missing: MissingWords, key: str) -> int | None:
    if cell in missing:
        return None
    if _NUMBER.fullmatch(cell) and float(cell) in (0.0, 1.0):
        return int(float(cell))
    raise CellError(
        f"is {kind_of(cell)}, expected 0, 1 or empty (not annotated), or a cell that "
        f"{key}.positive, .negative, .uncertain or .unknown lists"
    )


def _read_filled(cell: str, missing: MissingWords, numbers: set[float], key: str) -> int:
    if missing.nothing(cell) or plain(cell) in _NO:
        return 0
    if _NUMBER.fullmatch(cell):
        return _read_number(float(cell), numbers, key)
    if plain(cell) in _YES:
        return 1
    if missing.unknown(cell):
        raise _doubt("a word for unknown, and rule `filled` knows only yes and no", key)
    if _is_never(cell):
        raise _doubt("a date that stands for none or for never", key)
    if len(cell) == 1 or "?" in cell or _DOUBTS.match(cell):
        raise _doubt("text that may mean no, or maybe", key)
    return 1


def _is_never(cell: str) -> bool:
    date = _DATE.fullmatch(cell)
    if date is None:
        return False
    year, rest = int(date["year"] or date["year_"]), date["rest"] or date["rest_"]
    first, second = map(int, re.split("[-./]", rest))
    return not _FIRST_YEAR <= year <= _LAST_YEAR or (year, (first, second)) in _FIRST_OR_LAST


def _read_number(number: float, numbers: set[float], key: str) -> int:
    days = numbers - _CODES - {0.0, 1.0}
    if number in _CODES and not any(day * number >= number * number / 2 for day in days):
        raise _doubt("a number that often codes no or unknown", key)
    if number != 0.0 or any(day < 0 for day in days):
        return 1  # a 0 beside days before the record is the record's own day
    if days:
        raise _doubt("0 beside other numbers, so no, or an event on day 0", key)
    return 0


def _doubt(kind: str, key: str) -> CellError:
    return CellError(
        f"is {kind}; say which cells mean what in {key}.positive, .negative or .unknown"
    )
