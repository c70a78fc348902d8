"""What the ledger's entries say: its reservations, their releases, and its patients. Pure.

Four kinds of entry: `opened` (the first: the salt of patients' hashes), `patients` (whenever the
training set is another one), `reservation` and `release`.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

from client.records import PatientSet
from irene_model.operations import Entry
from irene_model.privacy import Mechanism
from irene_model.study import SPLITS, Split


@dataclass(frozen=True, kw_only=True)
class Reservation:
    """A durable charge for one round of one run; `released` says whether bytes may have left.

    id: the row of its entry. split: whose data it reads, training patients' for an update.
    assignment: which patient is in which split, as a hash; empty where nobody knows.
    clip_norm: the L2 sensitivity that the noise multiplier refers to.
    """

    id: int
    run: str
    round: int
    split: Split
    assignment: str
    mechanism: Mechanism
    clip_norm: float
    released: bool

    def content(self) -> dict[str, object]:
        """What its entry holds."""
        return {
            "run": self.run,
            "round": self.round,
            "split": self.split,
            "assignment": self.assignment,
            "clip_norm": self.clip_norm,
            **asdict(self.mechanism),
        }


@dataclass(frozen=True, kw_only=True)
class History:
    """All that a verified chain says.

    releases: reservation's id -> sha256 of the bytes that were released.
    patients: the newest recorded training set; None before the first.
    """

    salt: bytes
    reservations: tuple[Reservation, ...]
    releases: Mapping[int, str]
    patients: PatientSet | None

    def find(self, run: str, round: int, split: Split) -> Reservation | None:
        """The reservation of a round of a run: its update's, or an evaluation's."""
        wanted = (run, round, split)
        return next((r for r in self.reservations if (r.run, r.round, r.split) == wanted), None)


def replay(chain: Sequence[Entry]) -> History:
    """The history that a verified `chain` tells; ValueError, naming the row, for an impossible one.

    A chain can be whole and yet hold what this code never writes, as when another version did.
    """
    salt: bytes | None = None
    patients: PatientSet | None = None
    reservations: dict[int, Reservation] = {}
    releases: dict[int, str] = {}
    for entry in chain:
        if (entry.kind == "opened") != (salt is None):
            raise ValueError(f"row {entry.sequence} is out of order")
        try:
            content: dict[str, Any] = json.loads(entry.content)
            content.pop("at")
            match entry.kind:
                case "opened":
                    salt = bytes.fromhex(content["salt"])
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
    if salt is None:
        raise ValueError("row 1 is missing")
    return History(
        salt=salt,
        reservations=tuple(reservations.values()),
        releases=releases,
        patients=patients,
    )


def _reservation(sequence: int, content: dict[str, Any]) -> Reservation:
    known = {
        name: content.pop(name) for name in ("run", "round", "split", "assignment", "clip_norm")
    }
    if known["split"] not in SPLITS:
        raise ValueError
    return Reservation(id=sequence, mechanism=Mechanism(**content), released=False, **known)
