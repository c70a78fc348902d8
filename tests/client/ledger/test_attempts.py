"""Attempts at secure sums: one number, one set of partners, one noise, one release."""

import itertools
import sqlite3
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from client.ledger.ledger import Ledger, Reservation
from client.site.site import Budget
from irene_model.errors import LedgerError, ProtocolError, StaleMessage
from irene_model.privacy.accountants import Mechanism, epsilons

JOINT = Mechanism(noise_multiplier=1.4, sample_rate=0.05, steps=1)
OWN = Mechanism(noise_multiplier=1.0, sample_rate=0.05, steps=1)
BUDGET = Budget(epsilon=8, delta=1e-5, alone=30)
PARTNERS = "east,north,south"


def reserve(ledger: Ledger, attempt: int, partners: str = PARTNERS, **fields: Any) -> Reservation:
    asked = {"run": "r", "round": 1, "mechanism": JOINT, "alone": OWN, "clip_norm": 1.0, **fields}
    return ledger.reserve(attempt=attempt, partners=partners, **asked)


def entries(path: Path) -> list[tuple[str, str]]:
    connection = sqlite3.connect(path)
    found = connection.execute("SELECT kind, content FROM entries ORDER BY sequence").fetchall()
    connection.close()
    return found


@pytest.fixture
def ledger(tmp_path: Path) -> Ledger:
    return Ledger(tmp_path / "l.sqlite", BUDGET)


def test_every_attempt_is_charged_and_counts_in_both_epsilons(ledger: Ledger) -> None:
    for attempt, round in ((1, 1), (2, 1), (5, 1), (1, 2)):
        reserve(ledger, attempt, round=round)
    history = ledger.history()
    assert (history.rounds_charged("r"), history.attempts_charged("r")) == (2, 4)
    assert ledger.epsilon(delta=1e-5) == epsilons([JOINT] * 4, delta=1e-5).smallest
    assert ledger.epsilon_alone(delta=1e-5) == epsilons([OWN] * 4, delta=1e-5).smallest
    assert ledger.epsilon_alone(delta=1e-5, run="r") > ledger.epsilon(delta=1e-5, run="r") > 0
    assert ledger.epsilon_alone(delta=1e-5, run="another") == 0


def test_an_attempt_is_on_disk_before_anything_happens(ledger: Ledger, tmp_path: Path) -> None:
    reserve(ledger, 3)
    again = Ledger(tmp_path / "l.sqlite", BUDGET).reservations()  # as after a kill
    assert [(r.attempt, r.partners, r.alone, r.released) for r in again] == [
        (3, PARTNERS, OWN, False)
    ]


def test_an_attempt_that_was_not_released_is_taken_up_again(ledger: Ledger, tmp_path: Path) -> None:
    first = reserve(ledger, 1)
    again = reserve(Ledger(tmp_path / "l.sqlite", BUDGET), 1)
    assert again == first and len(ledger.reservations()) == 1


def test_a_released_attempt_gives_the_same_bytes(ledger: Ledger) -> None:
    ledger.release(reserve(ledger, 1), b"first")
    assert not ledger.has_released("r", 1) and not ledger.has_released("r", 1, 2)
    assert ledger.has_released("r", 1, 1)
    again = reserve(ledger, 1)
    assert again.released and ledger.outbox(again) == b"first"
    assert ledger.release(again, b"other noise") == b"first"


OTHERS: Sequence[tuple[type[Exception], dict[str, Any]]] = (
    (ProtocolError, {"attempt": 2, "partners": "north,south,west"}),
    (ProtocolError, {"attempt": 2, "partners": "east,north,south,west"}),
    (LedgerError, {"attempt": 2, "mechanism": Mechanism(
        noise_multiplier=1.5, sample_rate=0.05, steps=1)}),
    (LedgerError, {"attempt": 2, "alone": Mechanism(
        noise_multiplier=0.9, sample_rate=0.05, steps=1)}),
    (LedgerError, {"attempt": 2, "clip_norm": 2.0}),
    (StaleMessage, {"attempt": 1}),
    (StaleMessage, {"attempt": 1, "partners": "north,south,west"}),
)  # fmt: skip


@pytest.mark.parametrize("released", [False, True])
@pytest.mark.parametrize(("error", "asked"), OTHERS)
def test_what_else_is_asked_for_with_a_known_number_costs_nothing(
    ledger: Ledger, tmp_path: Path, error: type[Exception], asked: dict[str, Any], released: bool
) -> None:
    for attempt in (1, 2):
        reservation = reserve(ledger, attempt)
        if released:
            ledger.release(reservation, b"sent")
    before = entries(tmp_path / "l.sqlite")
    with pytest.raises(error) as refusal:
        reserve(ledger, **asked)
    assert type(refusal.value) is error
    assert entries(tmp_path / "l.sqlite") == before


@pytest.mark.parametrize(
    ("attempt", "partners", "own", "error"),
    [
        (0, PARTNERS, None, ProtocolError),
        (1, "", OWN, ProtocolError),
        (1, "north,east,south", OWN, ProtocolError),
        (1, "east,east,north", OWN, ProtocolError),  # one that counts twice would be noise
        (1, PARTNERS, None, ValueError),  # the second epsilon would be too small
        (0, "", OWN, ValueError),
    ],
)
def test_what_is_half_an_attempt_is_refused(
    ledger: Ledger, attempt: int, partners: str, own: Mechanism | None, error: type[Exception]
) -> None:
    with pytest.raises(error):
        reserve(ledger, attempt, partners, alone=own)
    assert not ledger.reservations()


def test_without_a_number_nothing_follows_an_attempt(ledger: Ledger) -> None:
    """A study's round can't be asked for as an update that nothing hides, once it was a sum."""
    reserve(ledger, 1)
    with pytest.raises(StaleMessage):
        ledger.reserve(run="r", round=1, mechanism=OWN, clip_norm=1.0)


def test_an_attempt_that_was_given_up_is_not_released(ledger: Ledger) -> None:
    """Its trainer ends late: nobody waits for it, and its masks fit no other attempt."""
    slow = reserve(ledger, 1)
    quick = reserve(ledger, 2, "north,south,west")
    with pytest.raises(StaleMessage, match="attempt 2 has begun"):
        ledger.release(slow, b"late")
    assert ledger.release(quick, b"in time") == b"in time"
    assert [r.released for r in ledger.reservations()] == [False, True]


def test_the_bytes_of_the_newest_attempts_of_two_rounds_are_kept(
    ledger: Ledger, tmp_path: Path
) -> None:
    def release(round: int, attempt: int) -> Reservation:
        reservation = reserve(ledger, attempt, round=round)
        ledger.release(reservation, f"{round}.{attempt}".encode())
        return reservation

    earlier = [release(1, 1), release(2, 1)]
    newest = [release(2, 2), release(3, 1), release(3, 2), release(3, 7)]
    assert ledger.outbox(newest[0]) == b"2.2" and ledger.outbox(newest[-1]) == b"3.7"
    for gone in (*earlier, *newest[1:-1]):
        with pytest.raises(LedgerError, match="gone"):
            ledger.outbox(gone)
    assert ledger.outbox(release(2, 3)) == b"2.3"  # of a server that lost its newest round
    assert ledger.outbox(newest[-1]) == b"3.7"
    connection = sqlite3.connect(tmp_path / "l.sqlite")
    assert connection.execute("SELECT count(*) FROM outbox").fetchone() == (2,)
    connection.close()


def test_a_test_may_be_attempted_again_after_its_round_alone(ledger: Ledger) -> None:
    for attempt in (1, 2):
        reserve(ledger, attempt, split="test", once=True)
    with pytest.raises(ProtocolError, match="after round 1"):
        reserve(ledger, 1, round=2, split="test", once=True)


def test_runs_rounds_and_splits_have_numbers_of_their_own(ledger: Ledger) -> None:
    places = itertools.product(("r", "s"), (1, 2), ("train", "validation"))
    for run, round, split in places:
        reserve(ledger, 4, run=run, round=round, split=split)
        reserve(ledger, 6, run=run, round=round, split=split)
    assert len(ledger.reservations()) == 16
    assert ledger.history().attempts_charged("r") == 4


def test_no_noise_is_the_same_alone(tmp_path: Path) -> None:
    bare = Mechanism(noise_multiplier=0.0, sample_rate=0.05, steps=1)
    free = Ledger(tmp_path / "free.sqlite", None)
    first = reserve(free, 1, mechanism=bare, alone=bare)
    assert first.alone is None and reserve(free, 1, mechanism=bare, alone=bare) == first
    assert Ledger(tmp_path / "free.sqlite", None).reservations() == (first,)
