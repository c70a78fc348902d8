"""What asks the trainer in the kill drill, and what its answers say of the ledger."""

import hashlib
import random
import threading
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from client.ledger.ledger import Reservation
from client.trainer.handover import TrainerLost, hand_over
from client.trainer.parcels import Parcel
from client.training.training import pack
from irene_model.exchange.protocol import Flat
from irene_model.privacy.accountants import epsilon
from irene_model.study.records import SPLITS, Split

DELTA = 1e-3
LOST = 0.3  # of the rounds whose answers are here: they are asked for again
PATIENCE_S = 60.0


@dataclass(kw_only=True)
class Asker:
    """In the place of SuperExec, in a thread: rounds without end, each until its answers are here.

    delay_s: what the network takes. seen: (split, round) -> the hashes of all that came back for
    it, and how often.
    """

    folder: Path
    questions: dict[Split, Parcel]
    delay_s: float
    lost: random.Random
    over: threading.Event = field(default_factory=threading.Event)
    seen: dict[tuple[Split, int], Counter[str]] = field(default_factory=dict)
    refusals: list[str] = field(default_factory=list)
    deaths: int = 0  # with a message in the trainer's hands

    def ask(self) -> None:
        """Until it is over."""
        round = 1
        while not self.over.is_set():
            if all(self._answered(split, round) for split in self.questions):
                round += self.lost.random() > LOST

    def _answered(self, split: Split, round: int) -> bool:
        question = self.questions[split]
        values = {**question.facts["values"], "round": round}
        asked = Parcel(
            facts={**question.facts, "created_at": time.time(), "values": values},
            arrays=question.arrays,
        )
        try:
            answer = hand_over(self.folder, asked, patience_s=PATIENCE_S)
        except TrainerLost:
            self.deaths += 1
            return False
        time.sleep(self.delay_s)
        told = answer.facts["values"]
        if told["outcome"] not in ("updated", "evaluated"):
            self.refusals.append(told["reason"])
            return False
        payload = pack(Flat.unpacked(answer.arrays, told).arrays)
        self.seen.setdefault((split, round), Counter())[hashlib.sha256(payload).hexdigest()] += 1
        return True


@dataclass(frozen=True, kw_only=True)
class Findings:
    """What the drill counted; `faults` is empty where the ledger kept its promises."""

    kills: int
    seconds: float
    seen: int
    sent_again: int
    reservations: int
    deaths: int  # kills with a message in the trainer's hands
    untrained: int  # kills between a reservation and its release
    epsilon_ledger: float
    epsilon_seen: float
    faults: tuple[str, ...]


def findings(
    reservations: Sequence[Reservation],
    asker: Asker,
    *,
    kills: int,
    lost: int,
    untrained: int,
    started: float,
) -> Findings:
    """What `asker` saw, compared with the ledger's `reservations`."""
    charged = {(r.split, r.round): r for r in reservations}
    sent = [charged[key] for key in asker.seen if key in charged]
    spent, seen = (_by_split(each) for each in (reservations, sent))
    checks = {
        "no update was seen, so nothing was tested": not asker.seen,
        "no evaluation was seen": not any(split == "validation" for split, _ in asker.seen),
        "a reservation or a release was lost": lost > 0,
        "a round has two reservations": len(charged) != len(reservations),
        "something was seen that has no charge": not asker.seen.keys() <= charged.keys(),
        "something was seen whose reservation is not released": any(
            not reservation.released for reservation in sent
        ),
        "a round was seen with two different contents": any(
            len(hashes) > 1 for hashes in asker.seen.values()
        ),
        "the ledger's epsilon is less than that of what was seen": any(
            spent[split] < seen[split] for split in spent
        ),
        f"the trainer refused a round: {asker.refusals[:1]}": bool(asker.refusals),
    }
    return Findings(
        kills=kills,
        seconds=time.monotonic() - started,
        seen=len(asker.seen),
        sent_again=sum(hashes.total() - 1 for hashes in asker.seen.values()),
        reservations=len(reservations),
        deaths=asker.deaths,
        untrained=untrained,
        epsilon_ledger=max(spent.values()),
        epsilon_seen=max(seen.values()),
        faults=tuple(fault for fault, found in checks.items() if found),
    )


def _by_split(reservations: Sequence[Reservation]) -> dict[Split, float]:
    return {
        split: epsilon((r.mechanism for r in reservations if r.split == split), delta=DELTA)
        for split in SPLITS
    }
