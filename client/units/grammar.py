"""One grammar of units: from what a laboratory writes to powers of ten and of known units.

    unit    = [number] term { ("/" | "per" | "*" | "." | " ") term }
    term    = [number] word [exponent] [{annotation}] | "(" unit ")"
    number  = a power of ten: 1000, 10^3, 10*3, 10E3, 1e3, x10^3, 10³; 24 before hours
    word    = [prefix] symbol, see `client.units.symbols`

As laboratories mean it, `10E3` is ten to the third, which a number of a programming language is
not. After a stroke one term follows: `ug/kg.min` is two things to two readers and is refused;
`ug/kg/min` and `ug/(kg.min)` are not. A word with several meanings gives several readings, of which
`client.units.conversion` chooses by the study's unit.
"""

import itertools
import re
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cache

from client.units.spelling import normal
from client.units.symbols import Atom, readings_of

LONGEST = 60
_MOST_READINGS = 64


class NotUnderstoodError(ValueError):
    """The spelling is no unit of the grammar, in words that do not repeat it."""


@dataclass(frozen=True, kw_only=True)
class Reading:
    """number x 10^power x the product of `units`, each (name in the registry, exponent).

    share: the unit that stands above and below the stroke, as in `mg/g`: a share of masses is none
    of moles. folded: how many words had their case ignored. proper: whether each word of the
    spelling has a reading in its own case. mixed: a word of capitals and small letters had its
    case ignored though it has a meaning of its own, as `Mg` and `mM` have.
    """

    number: float
    power: int
    units: tuple[tuple[str, int], ...]
    share: str | None
    folded: int
    proper: bool
    mixed: bool


_POWER = (
    r"(?<![\d.,])10\s?(?:(?:\^|\*\*|\*|e|exp|x|')\s?(?P<power>[+-]?\d{1,2}(?!\d)|\([+-]?\d{1,2}\))"
    r"|(?P<bare>\(\d{1,2}\)))"
)
_TOKEN = re.compile(
    rf"(?P<ten>{_POWER})"
    r"|(?P<science>(?<![\d.,])1(?:\.0+)?e(?P<e>\+?\d{1,2})(?!\d))"
    r"|(?P<number>\d+(?![\d.,]))"
    r"|(?P<note>\{[^{}]*\})"
    r"|(?P<word>(?:[^\W\d_]|[°#‰]|\[[^\[\]]*\])+|%)"
    r"(?:(?:\^|\*\*|\*(?=[+-]?\d))?(?P<exponent>\(-\d\)|[+-]?\d)(?!\d|[.,]\d))?"
    r"|(?P<sign>[/*.()])|(?P<space>\s+)",
    re.IGNORECASE,
)
_PER_DECILITRE = ("gram", "equivalent", "mole")
_NO_UNIT = "the unit is not understood"


@cache
def read_unit(text: str) -> tuple[Reading, ...]:
    """All readings of the unit `text`, those in proper case first; there is at least one.

    Raises:
        NotUnderstoodError: a part of it is not known, or it may be read in two ways.
    """
    text = normal(text)
    if len(text) > LONGEST:
        raise NotUnderstoodError(_NO_UNIT)
    terms = _terms(text)
    if re.fullmatch(r"\d+", text) and text != "1":
        raise NotUnderstoodError("a number is not a unit")
    choices = [term.atoms for term in terms]
    proper = all(any(not atom.folded for atom in atoms) for atoms in choices)
    combined = itertools.islice(itertools.product(*choices), _MOST_READINGS)
    readings = [_reading(terms, atoms, proper) for atoms in combined if _sound(terms, atoms)]
    if not readings:
        raise NotUnderstoodError(_NO_UNIT)
    return tuple(sorted(dict.fromkeys(readings), key=lambda reading: reading.folded))


@dataclass(frozen=True, kw_only=True)
class _Term:
    """A word with all that it may mean, or a number; exponent below zero: under the stroke."""

    atoms: tuple[Atom, ...]
    exponent: int
    number: float = 1.0


def _terms(text: str) -> list[_Term]:
    tokens = list(_tokens(text))
    terms, rest = _series(tokens)
    if rest:
        raise NotUnderstoodError(_NO_UNIT)
    return terms


def _tokens(text: str) -> Iterator[re.Match[str]]:
    place = 0
    while place < len(text):
        found = _TOKEN.match(text, place)
        if found is None:
            raise NotUnderstoodError(_NO_UNIT)
        place = found.end()
        if found["space"] is None:
            yield found


def _series(tokens: Sequence[re.Match[str]]) -> tuple[list[_Term], Sequence[re.Match[str]]]:
    """The terms up to a closing parenthesis, which is left in the rest."""
    done = _Series()
    while tokens and tokens[0]["sign"] != ")":
        token, tokens = tokens[0], tokens[1:]
        if token["sign"] == "(":
            inner, rest = _series(tokens)
            if not rest or not inner:
                raise NotUnderstoodError(_NO_UNIT)
            done.add(*(_turned(term, done.side) for term in inner))
            tokens = rest[1:]
        elif token["sign"] is not None:
            done.join(token["sign"])
        elif token["note"] is not None:
            done.add(_note(token["note"], done.side))
        elif token["word"] == "%" and done.side > 0 and done.terms and _dissolves(done.terms[-1]):
            done.add(_Term(atoms=(Atom(power=-1, unit="litre"),), exponent=-1))  # per dL
        elif token["word"] is not None:
            done.add(_word(token, done.side))
        else:
            done.count(_number(token, done.side, tokens))
    if done.side < 0 and not done.counted:
        raise NotUnderstoodError(_NO_UNIT)
    return done.terms, tokens


class _Series:
    """Terms as they come. side: -1 right after a stroke. counted: the last term was a number."""

    def __init__(self) -> None:
        self.terms: list[_Term] = []
        self.side, self.divided, self.counted = 1, False, False

    def join(self, sign: str) -> None:
        """A stroke or a sign of multiplication."""
        if self.side < 0 or (sign != "/" and not self.terms):
            raise NotUnderstoodError(_NO_UNIT)
        if sign == "/":
            self.side, self.divided, self.counted = -1, True, False

    def count(self, number: _Term) -> None:
        """A number, which belongs to the term after it."""
        if self.counted or (self.divided and self.side > 0):
            raise NotUnderstoodError(_NO_UNIT)
        self.terms.append(number)
        self.counted = True

    def add(self, *terms: _Term) -> None:
        """What one word, or what stands in parentheses, means."""
        if self.divided and self.side > 0 and any(t.exponent > 0 and _measures(t) for t in terms):
            raise NotUnderstoodError("what stands after the stroke may be read in two ways")
        self.terms += terms
        self.side, self.counted = 1, False


def _turned(term: _Term, side: int) -> _Term:
    return _Term(atoms=term.atoms, exponent=side * term.exponent, number=term.number)


def _measures(term: _Term) -> bool:
    return any(atom.unit not in (None, "d_dimer_unit") for atom in term.atoms)


def _dissolves(term: _Term) -> bool:
    """Whether a % after it means so much in 100 mL, as in mg%."""
    return term.exponent == 1 and any(atom.unit in _PER_DECILITRE for atom in term.atoms)


def _note(note: str, side: int) -> _Term:
    """What stands in braces is no unit in UCUM; but some of it changes what is meant."""
    word, *_ = re.split(r"[\s_]+", note[1:-1].strip())
    atoms = readings_of(word.lower())
    if not atoms or any(atom.multiplier or atom.power or atom.folded for atom in atoms):
        raise NotUnderstoodError("what stands in the braces is not understood")
    return _Term(atoms=atoms, exponent=side)


def _word(token: re.Match[str], side: int) -> _Term:
    word, exponent = token["word"], int((token["exponent"] or "1").strip("()"))
    atoms = readings_of(word)
    if not atoms:
        raise NotUnderstoodError(_NO_UNIT)
    return _Term(atoms=atoms, exponent=side * exponent)


def _number(token: re.Match[str], side: int, rest: Sequence[re.Match[str]]) -> _Term:
    if token["ten"] is not None:
        power = int((token["power"] or token["bare"]).strip("()"))
    elif token["science"] is not None:
        power = int(token["e"])
    elif re.fullmatch(r"10*", token["number"]):
        power = len(token["number"]) - 1
    elif token["number"] == "24" and rest and _is_hours(rest[0]):
        return _Term(atoms=(Atom(),), exponent=side, number=24.0)
    else:
        raise NotUnderstoodError("a number is not a unit")
    return _Term(atoms=(Atom(power=power),), exponent=side)


def _is_hours(token: re.Match[str]) -> bool:
    return any(atom.unit == "hour" for atom in readings_of(token["word"] or ""))


def _sound(terms: Sequence[_Term], atoms: Sequence[Atom]) -> bool:
    """Whether a power of ten in words stands where a count per volume has one."""
    places = [place for place, atom in enumerate(atoms) if atom.multiplier]
    if not places:
        return True
    below = {atom.unit for term, atom in zip(terms, atoms, strict=True) if term.exponent < 0}
    above = {atom.unit for term, atom in zip(terms, atoms, strict=True) if term.exponent > 0}
    return (
        places == [0]
        and terms[0].exponent == 1
        and below <= {"litre", "metre", None}
        and (bool(below & {"litre", "metre"}) and above == {None})
    )


def _reading(terms: Sequence[_Term], atoms: Sequence[Atom], proper: bool) -> Reading:
    number, power = 1.0, 0
    units: Counter[str] = Counter()
    above: Counter[str] = Counter()
    for term, atom in zip(terms, atoms, strict=True):
        number *= term.number**term.exponent
        power += atom.power * term.exponent
        if atom.unit is not None:
            units[atom.unit] += term.exponent
            above[atom.unit] += max(term.exponent, 0)
    return Reading(
        number=number,
        power=power,
        units=tuple(sorted((unit, exponent) for unit, exponent in units.items() if exponent)),
        share=next((unit for unit in above if above[unit] and not units[unit]), None),
        folded=sum(atom.folded for atom in atoms),
        proper=proper,
        mixed=any(atom.mixed for atom in atoms),
    )
