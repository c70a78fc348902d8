"""What a note says of place and time beside the complaint: what is old, what is new, what is taken.

A remark names no disease and no finding, so that it tells nothing without the radiograph or the
blood that it is about. All its words are in the shipped vocabulary but `drain`, which takes five
tokens; it comes first in the note, where no study cuts it.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from simulations.patients.complaints import PHRASINGS, write

Place = Literal["right", "left", "upper", "lower"]
RemarkKind = Literal["old", "new", "drain_new", "drain_old", "steroids_now", "steroids_past"]
# In full, and in the shorthand of a busy ward.
_PHRASES: Mapping[RemarkKind, tuple[tuple[str, ...], tuple[str, ...]]] = {
    "old": (
        (
            "Known shadow on the {where}, unchanged for years",
            "Surgery on the {where} years ago",
            "Scarring on the {where} for years",
        ),
        ("Old {place} scar", "{place} surgery years ago", "Known {place} shadow, unchanged"),
    ),
    "new": (
        (
            "Pain on the {where} since yesterday",
            "Since yesterday sharp pain on the {where}",
            "Discomfort on the {where}, new today",
        ),
        ("{place} pain since yesterday", "New {place} pain today", "Sudden {place} cp"),
    ),
    "drain_new": (
        ("Chest drain since yesterday", "New chest drain since yesterday"),
        ("Drain since yesterday", "New drain"),
    ),
    "drain_old": (
        ("Chest drain for weeks, there pain since yesterday", "Drain for weeks, there new pain"),
        ("Drain for weeks, there new pain", "Old drain, there pain since yesterday"),
    ),
    "steroids_now": (
        ("Taking steroids since last week", "On steroids now"),
        ("On steroids", "Steroids since last week"),
    ),
    "steroids_past": (
        ("Took steroids years ago, none now", "Without steroids for years"),
        ("No steroids for years", "Steroids years ago"),
    ),
}


@dataclass(frozen=True, kw_only=True)
class Remark:
    """One thing that the note tells; `place` where it is about one, from the patient's view."""

    kind: RemarkKind
    place: Place | None = None


def note(
    symptoms: Collection[str],
    remarks: Sequence[Remark],
    *,
    rng: np.random.Generator,
    phrasing: str = "terse",
) -> str:
    """The remarks and then the complaint, in one hospital's style; without remarks as `write`."""
    if not remarks:
        return write(symptoms, rng=rng, phrasing=phrasing)
    parts = [_say(remarks[int(index)], rng, phrasing) for index in rng.permutation(len(remarks))]
    if symptoms:
        parts.append(write(symptoms, rng=rng, phrasing=phrasing))
    text = ". ".join(parts)
    return text.lower() if PHRASINGS[phrasing].lower_case else text


def _say(remark: Remark, rng: np.random.Generator, phrasing: str) -> str:
    plain, short = _PHRASES[remark.kind]
    options = short if rng.random() < PHRASINGS[phrasing].shorthand else plain
    where = f"{remark.place} {'side' if remark.place in ('right', 'left') else 'zone'}"
    text = options[int(rng.integers(len(options)))].format(place=remark.place, where=where)
    return text[0].upper() + text[1:]
