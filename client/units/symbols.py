"""The words of which units are made: a table, and how one word is looked up in it.

A symbol may carry a prefix and means most in its proper case: `M/uL` is a million, `mg` a
thousandth of a gram. Much software prints capitals alone, so a symbol is also read with its case
folded, which is remembered: whoever reads a whole unit decides whether both readings agree.
"""

from dataclasses import dataclass, replace
from functools import cache

POWERS = {
    **{"": 0, "f": -15, "p": -12, "n": -9, "u": -6, "mc": -6, "m": -3, "c": -2, "d": -1},
    **{"h": 2, "k": 3, "M": 6},
}
_WRITTEN_OUT = {"kilo": 3, "deci": -1, "milli": -3, "micro": -6, "nano": -9, "pico": -12}


@dataclass(frozen=True, kw_only=True)
class Atom:
    """One reading of a word: 10^`power` of `unit`; None is the number one.

    folded: its case had to be ignored. mixed: though the word, of capitals and small letters, has
    a meaning of its own. multiplier: a bare letter or word that means a power of ten, which only a
    count per volume may start with.
    """

    power: int = 0
    unit: str | None = None
    folded: bool = False
    mixed: bool = False
    multiplier: bool = False


@dataclass(frozen=True, kw_only=True)
class _Symbol:
    """`symbols` carry the `prefixes`; `words` stand alone, in any case. cased: never folded."""

    unit: str | None
    symbols: tuple[str, ...] = ()
    prefixes: tuple[str, ...] = ("",)
    words: tuple[str, ...] = ()
    cased: bool = False


def _symbol(
    unit: str | None, symbols: str = "", prefixes: str = "", words: str = "", cased: bool = False
) -> _Symbol:
    return _Symbol(
        unit=unit,
        symbols=tuple(symbols.split()),
        prefixes=("", *prefixes.split()),
        words=tuple(words.split()),
        cased=cased,
    )


_SMALL = "m u mc n p f"
_SYMBOLS = (
    # The mega of grams, moles and units is known so that `Mg/dL` is seen to be ambiguous.
    _symbol("gram", "g gm gms gs gr", f"k d c {_SMALL} M", "gram grams"),
    _symbol("litre", "L l", f"d c {_SMALL}", "liter liters litre litres ltr lit"),
    _symbol("metre", "m", "k d c m u n", "meter metre micron"),
    _symbol("mole", "mol mole moles mols osm osmol", f"k {_SMALL} M", "mole moles mol mols"),
    _symbol("molar", "M", "m u mc n p f", cased=True),
    _symbol("equivalent", "Eq eq val", "m u mc n"),
    _symbol("enzyme_unit", "U", f"k M {_SMALL}", "unit units einheiten"),
    _symbol("enzyme_unit", "E", "k m u", cased=True),
    _symbol("international_unit", "IU [IU] [iU] IE UI", f"k M {_SMALL}"),
    _symbol("arbitrary_unit", "AU [arb'U]", "k m u", "arb"),
    _symbol("katal", "kat", "m u mc n p"),
    _symbol("second", "s", "m u n", "sec secs second seconds sek sekunde sekunden"),
    _symbol("minute", "min", "", "mins minute minutes minuten"),
    _symbol("hour", "h", "", "hr hrs hour hours std stunde stunden"),
    _symbol("day", "d", "", "day days tag tage"),
    _symbol("per_minute", "", "", "bpm brpm rpm"),
    _symbol("pascal", "Pa", "k h m M"),
    _symbol("bar", "bar", "m"),
    _symbol("millimetre_of_mercury", "", "", "mmhg"),
    _symbol("centimetre_of_water", "", "", "cmwater"),
    _symbol("torr", "", "", "torr"),
    _symbol("kelvin", "K", cased=True, words="kelvin degk"),
    _symbol("degree_Celsius", "C", cased=True, words="cel degc celsius [degc]"),
    _symbol("degree_Fahrenheit", "F", cased=True, words="degf fahrenheit [degf]"),
    _symbol("pound", "", "", "lb lbs pound pounds [lb_av]"),
    _symbol("inch", "", "", "inch inches in [in_i]"),
    _symbol("field", "", "", "hpf [hpf]"),
    _symbol("d_dimer_unit", "", "", "ddu"),  # half as much as FEU, so never the same
    _symbol("ratio_of_times", "", "", "inr [inr]"),
    _symbol("acidity", "", "", "ph [ph]"),
    _symbol("body_surface", "", "", "bodysurface"),
    # What is counted, and of what: no factor comes from it.
    _symbol(
        None,
        words="# n no nr nb count counts cell cells zellen zell zelle cellule cellules celulas wbc "
        "wbcs rbc rbcs leukocytes leukozyten erythrocytes platelet platelets plt copies copy "
        "kopien cfu [cfu] beats beat breaths breath insp resp respirations feu crea creat "
        "creatinine kreatinin krea hb hgb ratio fraction",
    ),
)  # fmt: skip
_MULTIPLIERS = {
    **dict.fromkeys(
        (
            "thousand",
            "thousands",
            "thous",
            "thou",
            "thsd",
            "th",
            "tsd",
            "tausend",
            "tys",
            "mila",
            "mille",
        ),
        3,
    ),
    **dict.fromkeys(("万",), 4),
    **dict.fromkeys(("lakh", "lakhs", "lac", "lacs"), 5),
    **dict.fromkeys(("million", "millions", "mill", "mio", "mln", "milioni", "millones", "mpt"), 6),
    **dict.fromkeys(("mrd", "milliarden", "giga", "gpt"), 9),
    **dict.fromkeys(("tera", "tpt"), 12),
}
_LETTERS = {"K": 3, "k": 3, "M": 6, "G": 9, "T": 12}
_SHARES = {
    "%": -2,
    "percent": -2,
    "percentage": -2,
    "prozent": -2,
    "pct": -2,
    "‰": -3,
    "promille": -3,
    "ppm": -6,
}


@cache
def readings_of(word: str) -> tuple[Atom, ...]:
    """All that a word may mean, proper case first; empty where it is not known."""
    exact = _exact().get(word, ())
    own = {(atom.power, atom.unit) for atom in exact}
    ignoring_case = [a for a in _folded().get(word.lower(), ()) if (a.power, a.unit) not in own]
    if exact and not (word.isupper() or word.islower()):
        ignoring_case = [replace(atom, mixed=atom.folded) for atom in ignoring_case]
    return (*exact, *ignoring_case)


@cache
def _exact() -> dict[str, list[Atom]]:
    table: dict[str, list[Atom]] = {}
    for symbol in _SYMBOLS:
        for name in symbol.symbols:
            for prefix in symbol.prefixes:
                atom = Atom(power=POWERS[prefix], unit=symbol.unit)
                table.setdefault(prefix + name, []).append(atom)
    for letter, power in _LETTERS.items():
        table.setdefault(letter, []).append(Atom(power=power, multiplier=True))
    return table


@cache
def _folded() -> dict[str, list[Atom]]:
    """By the word in small letters: words as they are, symbols as a case that was ignored."""
    table: dict[str, list[Atom]] = {}
    for symbol in _SYMBOLS:
        for word in symbol.words:
            table.setdefault(word, []).append(Atom(unit=symbol.unit))
        for word in symbol.words if symbol.symbols else ():
            for prefix, power in _WRITTEN_OUT.items():
                atom = Atom(power=power, unit=symbol.unit)
                table.setdefault(prefix + word, []).append(atom)
        for name in () if symbol.cased else symbol.symbols:
            for prefix in symbol.prefixes:
                if prefix != "M":  # a small m is a thousandth
                    atom = Atom(power=POWERS[prefix], unit=symbol.unit, folded=True)
                    table.setdefault((prefix + name).lower(), []).append(atom)
    for word, power in _MULTIPLIERS.items():
        table.setdefault(word, []).append(Atom(power=power, multiplier=True))
    for word, power in _SHARES.items():
        table.setdefault(word, []).append(Atom(power=power))
    return table
