"""What the ledger's entries say: its reservations, their releases, and its patients. Pure.

Five kinds of entry: `opened` (the first: the sha256 of the key of patients' hashes), `loss` (the
second, where an earlier ledger was lost and its people accepted that), `patients` (whenever the
training set is another one), `reservation` and `release`. Each also names the newest line that the
site's journal had then.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from functools import lru_cache
from typing import Any

from client.ledger.head import Head
from client.ledger.loss import Loss
from client.records import PatientSet
from irene_model.journal import Entry, verify
from irene_model.privacy import Mechanism
from irene_model.study import SPLITS, Split

Row = tuple[int, str, str, str, str]
"""sequence, kind, content, previous and hash, as the file has them."""


@dataclass(frozen=True, kw_only=True)
class Reservation:
    """A durable charge for one round of one run; `released` says whether bytes may have left.

    id: the row of its entry. split: whose data it reads, training patients' for an update.
    assignment: which patient is in which split, as a hash; empty where nobody knows.
    clip_norm: the L2 sensitivity that the noise multiplier refers to.

    Under secure sums a round is charged once for each attempt, whose numbers are from 1 and grow.
    partners: the sites in it, as in `irene_model.exchange`. mechanism: with the noise of all sites
    that don't collude. alone: with this site's own noise; None where it is the same.
    """

    id: int
    run: str
    round: int
    split: Split
    assignment: str
    mechanism: Mechanism
    clip_norm: float
    released: bool
    attempt: int = 0
    partners: str = ""
    alone: Mechanism | None = None

    @property
    def if_all_collude(self) -> "Reservation":
        """The same charge against all others together, who know the noise of all but this site."""
        return self if self.alone is None else replace(self, mechanism=self.alone)

    def content(self) -> dict[str, object]:
        """What its entry holds: of attempts nothing where there are none."""
        attempt: dict[str, object] = {}
        if self.attempt:
            attempt = {"attempt": self.attempt, "partners": self.partners}
        if self.alone is not None:
            attempt["alone"] = asdict(self.alone)
        return {
            "run": self.run,
            "round": self.round,
            "split": self.split,
            "assignment": self.assignment,
            "clip_norm": self.clip_norm,
            **asdict(self.mechanism),
            **attempt,
        }


@dataclass(frozen=True, kw_only=True)
class History:
    """All that a verified chain says.

    key_sha256: of the key in its own file (`client.ledger.ledger_key`). Ledgers of version 2 hold
    their key themselves, in `old_key`. releases: reservation's id -> sha256 of the bytes that were
    released. patients: the newest recorded training set; None before the first. journal: the newest
    line of the site's journal that the ledger saw; None before the first. loss: what was charged
    for earlier ledgers that were lost.
    """

    key_sha256: str
    old_key: bytes = b""
    reservations: tuple[Reservation, ...]
    releases: Mapping[int, str]
    patients: PatientSet | None
    journal: Head | None = None
    loss: Loss = field(default_factory=Loss)

    @classmethod
    def of_loss(cls, loss: Loss) -> "History":
        """That of a ledger which is about to begin in the place of a lost one."""
        return cls(key_sha256="", reservations=(), releases={}, patients=None, loss=loss)

    @property
    def if_all_collude(self) -> "History":
        """The same charges against all others together."""
        charges = tuple(each.if_all_collude for each in self.reservations)
        return replace(self, reservations=charges, loss=self.loss.if_all_collude)

    def rounds_charged(self, run: str) -> int:
        """Rounds of a run that were charged, however often, in lost ledgers too."""
        known = {r.round for r in self.reservations if r.run == run and r.split == "train"}
        return len(known) + self.loss.runs.get(run, 0)

    def attempts_charged(self, run: str) -> int:
        """Attempts at rounds of a run that were charged; of lost ledgers the rounds that count."""
        known = sum(r.run == run and r.split == "train" for r in self.reservations)
        return known + self.loss.runs.get(run, 0)

    def find(self, run: str, round: int, split: Split) -> Reservation | None:
        """The newest reservation of a round of a run: its update's, or an evaluation's."""
        wanted = (run, round, split)
        newest_first = reversed(self.reservations)
        return next((r for r in newest_first if (r.run, r.round, r.split) == wanted), None)


@lru_cache(maxsize=16)
def told_by(rows: tuple[Row, ...]) -> tuple[tuple[Entry, ...], History]:
    """The chain that a ledger's `rows` are, and what it tells; ValueError, naming the row, if none.

    Kept for the same rows: a round reads its ledger half a dozen times and changes it twice.
    """
    chain = tuple(
        Entry(sequence=row[0], kind=row[1], content=row[2], previous=row[3], hash=row[4])
        for row in rows
    )
    verify(chain)
    return chain, replay(chain)


def replay(chain: Sequence[Entry]) -> History:
    """The history that a verified `chain` tells; ValueError, naming the row, for an impossible one.

    A chain can be whole and yet hold what this code never writes, as when another version did.
    """
    key_sha256, old_key, opened = "", b"", False
    journal: Head | None = None
    loss = Loss()
    patients: PatientSet | None = None
    reservations: dict[int, Reservation] = {}
    releases: dict[int, str] = {}
    for entry in chain:
        if (entry.kind == "opened") == opened or (entry.kind == "loss" and entry.sequence != 2):
            raise ValueError(f"row {entry.sequence} is out of order")
        try:
            content: dict[str, Any] = json.loads(entry.content)
            content.pop("at")
            mark = content.pop("journal", None)
            journal = journal if mark is None else Head.parse(mark)
            match entry.kind:
                case "opened":
                    opened = True
                    old_key = bytes.fromhex(content.get("salt", ""))
                    key_sha256 = "" if old_key else str(content["key_sha256"])
                case "loss":
                    loss = Loss.from_content(content)
                case "patients":
                    patients = PatientSet(**content)
                case "reservation":
                    reservations[entry.sequence] = _reservation(entry.sequence, content)
                case "release":
                    charged = content["reservation"]
                    if charged in releases:
                        raise ValueError
                    reservations[charged] = replace(reservations[charged], released=True)
                    releases[charged] = content["sha256"]
                case _:
                    raise ValueError
        except (ValueError, KeyError, TypeError):
            raise ValueError(f"row {entry.sequence} holds what this release never writes") from None
    if not opened:
        raise ValueError("row 1 is missing")
    return History(
        key_sha256=key_sha256,
        old_key=old_key,
        reservations=tuple(reservations.values()),
        releases=releases,
        patients=patients,
        journal=journal,
        loss=loss,
    )


def _reservation(sequence: int, content: dict[str, Any]) -> Reservation:
    known = {
        name: content.pop(name) for name in ("run", "round", "split", "assignment", "clip_norm")
    }
    attempt, partners = content.pop("attempt", 0), content.pop("partners", "")
    own = content.pop("alone", None)
    if known["split"] not in SPLITS or type(attempt) is not int or attempt < 0:
        raise ValueError
    if not isinstance(partners, str) or bool(partners) != bool(attempt):
        raise ValueError
    return Reservation(
        id=sequence,
        mechanism=Mechanism(**content),
        released=False,
        attempt=attempt,
        partners=partners,
        alone=None if own is None else Mechanism(**own),
        **known,
    )
