"""Why keys of one table are not in another: in what they differ that would be alike otherwise."""

import re
import unicodedata
from collections import Counter
from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass

_TEXT = "export the column as text in both"
_ZEROS = re.compile(r"(?<!\d)0+(?=\d)", re.ASCII)
_FLOAT = re.compile(r"\.0+\Z", re.ASCII)
_OTHER_SIGNS = re.compile(r"[\W_]+")
_NO_DIGITS = re.compile(r"\D+")


def _without_zeros(key: str) -> str:
    return _ZEROS.sub("", key)


def _without_point(key: str) -> str:
    return _FLOAT.sub("", key)


def _letters_and_digits(key: str) -> str:
    return _OTHER_SIGNS.sub("", key)


def _wide(key: str) -> str:
    return unicodedata.normalize("NFKC", key)


def _all_of_it(key: str) -> str:
    return _without_zeros(_letters_and_digits(_without_point(_wide(key))).casefold())


def form_of(key: str) -> str:
    """An id without what programs change in one: two with one form are hardly two patients.

    `1-12` and `11-2` stay apart, unlike where partners are sought.
    """
    parts = _OTHER_SIGNS.split(_without_point(_wide(key)))
    return _without_zeros(" ".join(filter(None, parts)).casefold())


def _digits(key: str) -> str:
    return _without_zeros(_NO_DIGITS.sub("", _without_point(_wide(key))))


@dataclass(frozen=True, kw_only=True)
class _Way:
    """One way to differ. sure: what differs so is hardly another id."""

    form: Callable[[str], str]
    said: str
    remedy: str
    sure: bool = True


_WAYS = (
    _Way(form=_without_point, said="by '.0' at the end", remedy=_TEXT),
    _Way(form=_without_zeros, said="by leading zeros", remedy=f"a program read numbers; {_TEXT}"),
    _Way(form=str.casefold, said="by upper and lower case", remedy="write ids alike in both"),
    _Way(form=_wide, said="by full-width or other variants of letters", remedy=_TEXT),
    _Way(
        form=_letters_and_digits,
        said="by spaces or punctuation",
        remedy="write ids alike in both",
    ),
    _Way(
        form=_all_of_it,
        said="by zeros, case, spaces or punctuation together",
        remedy=_TEXT,
    ),
    _Way(
        form=_digits,
        said="by letters before or after the number",
        remedy="write the same prefix in both",
        sure=False,
    ),
)


@dataclass(frozen=True, kw_only=True)
class Cause:
    """`near` keys have a partner but for one difference. said: a clause that counts them.

    sure: such keys hardly belong to somebody else.
    """

    near: int
    said: str
    sure: bool


def likely_cause(ours: Collection[str], theirs: Collection[str]) -> Cause | None:
    """In what the keys `ours` and `theirs`, none of which is in both, most often differ alone."""
    best: Cause | None = None
    for way in _WAYS if ours and theirs else ():
        near = sum(1 for _ in _pairs(ours, theirs, way.form))
        if near > (best.near if best is not None else 0):
            few = min(len(ours), len(theirs))
            said = f"{near} of {few} keys without a partner differ only {way.said}; {way.remedy}"
            best = Cause(near=near, said=said, sure=way.sure)
    return best


def _pairs(
    ours: Collection[str], theirs: Collection[str], form: Callable[[str], str]
) -> Iterator[str]:
    """The forms that exactly one key of either side has: two would be a guess."""
    left, right = (Counter(map(form, keys)) for keys in (ours, theirs))
    return (key for key, times in left.items() if key and times == 1 and right.get(key) == 1)
