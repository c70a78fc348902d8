"""The head file beside the ledger: which entry was the newest, to tell a cut or an old ledger.

It is written after every commit, so a crash between the two leaves it behind; then its entry is an
ancestor of the newest one, which is legal. A ledger that lacks the head's entry is an older copy or
was cut. Ledger and head copied back together are not told from here but by the site's journal
(`client.ledger.witnesses`).
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from irene_model.journal import Entry, tighten, write_private

_LINE = re.compile(r"([1-9][0-9]*) ([0-9a-f]{64})\n?")


@dataclass(frozen=True, kw_only=True)
class Head:
    """The newest entry's sequence and hash."""

    sequence: int
    hash: str

    @classmethod
    def of(cls, entry: Entry) -> "Head":
        """The head that points to `entry`."""
        return cls(sequence=entry.sequence, hash=entry.hash)

    @classmethod
    def parse(cls, line: str) -> "Head":
        """The inverse of str(); ValueError for what is none."""
        match = _LINE.fullmatch(line)
        if match is None:
            raise ValueError("no head")
        return cls(sequence=int(match[1]), hash=match[2])

    def __str__(self) -> str:
        return f"{self.sequence} {self.hash}"


def head_path(ledger: Path) -> Path:
    """`ledger.sqlite` -> `ledger.sqlite.head`."""
    return ledger.with_name(f"{ledger.name}.head")


def read_head(path: Path) -> Head | None:
    """The head at `path`, None where there is no such file; ValueError where it is no head."""
    try:
        tighten(path)
        return Head.parse(path.read_bytes().decode("ascii", errors="replace"))
    except FileNotFoundError:
        return None
    except ValueError:
        raise ValueError(f"{path.name} is no head file") from None


def write_head(path: Path, head: Head, *, durable: bool = True) -> None:
    """Replace the head: a reader, or if `durable` a crash, sees the old one or the new one.

    For one writer at a time; the caller holds the ledger's lock.
    """
    write_private(path, f"{head}\n".encode("ascii"), part="new", durable=durable)


def check_head(head: Head | None, chain: Sequence[Entry]) -> None:
    """Raise ValueError where `chain` is not the one that `head` was written for, or a later one."""
    if head is None:
        # The first entry holds no charge, and a crash right after it leaves no head.
        if len(chain) > 1:
            raise ValueError(
                f"its head file is missing; put it back. Where you are sure that row {len(chain)} "
                f"is the newest, write the line '{Head.of(chain[-1])}' into it"
            )
        return
    if head.sequence > len(chain):
        raise ValueError(
            f"rows {len(chain) + 1} to {head.sequence} are missing: it was cut, or is an older copy"
        )
    if chain[head.sequence - 1].hash != head.hash:
        raise ValueError(f"row {head.sequence} is not the one that the head file names")
