"""What looks wrong in a hospital's files: a sentence, what mends it, and the verdict of them all.

A doubt holds counts and names of the study, never a patient's value. `grave` is one with which the
site can't take part as it is; every other leaves the decision to its people.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Literal

from client.images import BadImages

Verdict = Literal["ready", "ready with warnings", "not ready"]

_MENDS = {
    "coverage": "Look at the rows, joins and codes above: export the keys as text, and everything "
    "that belongs together.",
    "splits": "Give more patients to the split, by `splits` or by the column of `columns.split`.",
    "labels": "Look whether the label is mapped to the right column, and by the right rule.",
    "units": "Compare the unit in site.yaml with the laboratory's, or give the site's own spelling "
    "under `units`.",
    "values": "Look at these cells in your export. A word or number for 'nothing is known' belongs "
    "under `missing` in site.yaml.",
    "columns": "Look whether it is the right column; if it is, drop the mapping from site.yaml.",
    "images": "Open some of these files: blank exports, masks and screenshots look so. Export the "
    "radiographs as they are stored, or list such records under `exclude`.",
    "sounds": "Listen to some of these recordings: a microphone that was off, too loud or of "
    "another device sounds so. Record again, or leave the cell empty.",
    "leakage": "Map a text that is written before the diagnosis, as a complaint or a referral, or "
    "leave `columns.text` out.",
    "names": "De-identify the texts in your export: they stay here, and a model learns from them.",
    "privacy": "Ask the coordinator for a larger epsilon, more patients or fewer trained "
    "parameters (a frozen encoder): as it is, noise outweighs what is learned.",
    "few": "Hold out more patients (`splits`); otherwise trust only figures over all sites "
    "together.",
}


@dataclass(frozen=True, kw_only=True)
class Doubt:
    """kind: the noun that it is about. sentence: what was found. mend: what to do about it."""

    kind: str
    sentence: str
    mend: str
    grave: bool = False


def doubts_of(kind: str, sentences: Iterable[str], mend: str | None = None) -> tuple[Doubt, ...]:
    """The `sentences` as doubts of one kind, which have the kind's usual mend or this one."""
    chosen = _MENDS[kind] if mend is None else mend
    return tuple(Doubt(kind=kind, sentence=sentence, mend=chosen) for sentence in sentences)


def listed(names: Sequence[str], most: int = 4) -> str:
    """`a, b, c and 5 more`."""
    if len(names) <= most:
        return ", ".join(names)
    return f"{', '.join(names[: most - 1])} and {len(names) - most + 1} more"


def unreadable(bad: Sequence[BadImages], what: str = "images") -> tuple[Doubt, ...]:
    """Images, or `what` else, that can't be read, a doubt for each cause: no site trains so."""
    mend = "Mend them, or list their records under `exclude`."
    return tuple(
        Doubt(
            kind=what,
            sentence=f"{each.count} {what} can't be used: {each.cause} ({each.shown_places})",
            mend=mend,
            grave=True,
        )
        for each in bad
    )


def verdict_of(doubts: Sequence[Doubt]) -> Verdict:
    """What all doubts together come to."""
    if any(doubt.grave for doubt in doubts):
        return "not ready"
    return "ready with warnings" if doubts else "ready"
