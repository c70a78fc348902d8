"""A hash chain of entries: each hash covers its entry and the hash before it.

So no entry can be altered, removed from the middle or moved without breaking every later hash.
Pure: entries in, entries or a sentence about the first bad row out. A chain that was cut at its end
is still a chain; of the ledger, `client.ledger.head` tells that.
"""

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

BEFORE_THE_FIRST = "0" * 64


@dataclass(frozen=True, kw_only=True)
class Entry:
    """One row: `sequence` counts from 1, `content` is canonical JSON, hashes are hexadecimal."""

    sequence: int
    kind: str
    content: str
    previous: str
    hash: str


def canonical(content: Mapping[str, object]) -> str:
    """The one JSON text of `content`: sorted keys, no spaces, ASCII, no NaN or infinity."""
    return json.dumps(content, sort_keys=True, separators=(",", ":"), allow_nan=False)


def append(chain: Sequence[Entry], kind: str, content: Mapping[str, object]) -> Entry:
    """The entry that follows `chain`."""
    sequence, text = len(chain) + 1, canonical(content)
    previous = chain[-1].hash if chain else BEFORE_THE_FIRST
    return Entry(
        sequence=sequence,
        kind=kind,
        content=text,
        previous=previous,
        hash=_hash(previous, sequence, kind, text),
    )


def verify(chain: Sequence[Entry]) -> None:
    """Raise ValueError, naming the first bad row, where `chain` is not one."""
    previous = BEFORE_THE_FIRST
    for sequence, entry in enumerate(chain, start=1):
        if entry.sequence != sequence:
            raise ValueError(f"row {sequence} is missing")
        if entry.hash != _hash(entry.previous, sequence, entry.kind, entry.content):
            raise ValueError(f"row {sequence} was altered")
        if entry.previous != previous:
            raise ValueError(f"row {sequence} does not follow from the row before it")
        previous = entry.hash


def _hash(previous: str, sequence: int, kind: str, content: str) -> str:
    # JSON escapes line breaks, so a line of `content` can't pass for another field.
    return hashlib.sha256(f"{previous}\n{sequence}\n{kind}\n{content}".encode()).hexdigest()
