import math
import multiprocessing
import sqlite3
from multiprocessing.synchronize import Barrier
from pathlib import Path

import pytest
from opacus.accountants import RDPAccountant

from client.ledger.ledger import Ledger, Reservation
from client.site.site import Budget
from irene_model.errors import BudgetExceeded, LedgerError
from irene_model.privacy.accountants import Mechanism, epsilon, epsilons
from irene_model.study.records import Split

STEP = Mechanism(noise_multiplier=1.0, sample_rate=0.1, steps=20)
BUDGET = Budget(epsilon=8, delta=1e-5)


def rounds(ledger: Ledger, run: str, count: int) -> None:
    for number in range(1, count + 1):
        reservation = ledger.reserve(run=run, round=number, mechanism=STEP, clip_norm=1.0)
        ledger.release(reservation, f"{run}{number}".encode())


def test_two_runs_cost_their_composition(tmp_path: Path) -> None:
    rounds(Ledger(tmp_path / "l.sqlite", BUDGET), "first", 3)
    second = Ledger(tmp_path / "l.sqlite", BUDGET)  # another process, another day
    rounds(second, "second", 2)
    by_hand = RDPAccountant()
    for _ in range(5 * STEP.steps):
        by_hand.step(noise_multiplier=1.0, sample_rate=0.1)
    both = epsilons([STEP] * 5, delta=1e-5)
    assert both.rdp == pytest.approx(by_hand.get_epsilon(delta=1e-5), rel=1e-9)
    assert second.epsilon(delta=1e-5) == both.smallest < both.rdp
    assert second.epsilon(delta=1e-5, run="second") == epsilons([STEP, STEP], delta=1e-5).smallest


def test_an_over_budget_round_is_declined_and_costs_nothing(tmp_path: Path) -> None:
    ledger = Ledger(tmp_path / "l.sqlite", Budget(epsilon=6, delta=1e-5))
    number = 0
    with pytest.raises(BudgetExceeded, match=r"budget is 6"):
        while True:
            number += 1
            ledger.reserve(run="r", round=number, mechanism=STEP, clip_norm=1.0)
    assert number > 2
    assert epsilons([STEP] * (number - 1), delta=1e-5).smallest <= 6
    assert epsilons([STEP] * number, delta=1e-5).smallest > 6
    assert ledger.epsilon(delta=1e-5) <= 6
    assert epsilon([STEP] * (number - 1), delta=1e-5) > 6  # RDP alone would have declined earlier
    assert len(ledger.reservations()) == number - 1


def test_a_budget_forbids_training_without_noise(tmp_path: Path) -> None:
    bare = Mechanism(noise_multiplier=0.0, sample_rate=0.1, steps=1)
    with pytest.raises(BudgetExceeded):
        Ledger(tmp_path / "a.sqlite", BUDGET).reserve(
            run="r", round=1, mechanism=bare, clip_norm=1.0
        )
    free = Ledger(tmp_path / "b.sqlite", None)
    free.reserve(run="r", round=1, mechanism=bare, clip_norm=1.0)
    assert free.epsilon(delta=1e-5) == math.inf
    with pytest.raises(BudgetExceeded):  # a budget written later does not forget it
        Ledger(tmp_path / "b.sqlite", BUDGET).reserve(
            run="s", round=1, mechanism=STEP, clip_norm=1.0
        )


def test_a_retry_reuses_an_unreleased_reservation(tmp_path: Path) -> None:
    ledger = Ledger(tmp_path / "l.sqlite", BUDGET)
    first = ledger.reserve(run="r", round=1, mechanism=STEP, clip_norm=1.0)
    again = Ledger(tmp_path / "l.sqlite", BUDGET).reserve(
        run="r", round=1, mechanism=STEP, clip_norm=1.0
    )
    assert again == first
    assert not again.released


def test_one_reservation_gives_one_release(tmp_path: Path) -> None:
    ledger = Ledger(tmp_path / "l.sqlite", BUDGET)
    reservation = ledger.reserve(run="r", round=1, mechanism=STEP, clip_norm=1.0)
    assert ledger.release(reservation, b"first noise") == b"first noise"
    assert ledger.release(reservation, b"second noise") == b"first noise"
    asked_again = ledger.reserve(run="r", round=1, mechanism=STEP, clip_norm=1.0)
    assert asked_again.released
    assert ledger.outbox(asked_again) == b"first noise"


def test_an_old_round_is_not_released_twice_when_its_bytes_are_gone(tmp_path: Path) -> None:
    ledger = Ledger(tmp_path / "l.sqlite", BUDGET)
    rounds(ledger, "r", 3)
    second = ledger.reserve(run="r", round=2, mechanism=STEP, clip_norm=1.0)
    assert ledger.outbox(second)  # a server may have lost the newest round
    first = ledger.reserve(run="r", round=1, mechanism=STEP, clip_norm=1.0)
    with pytest.raises(LedgerError, match="gone"):
        ledger.outbox(first)
    with pytest.raises(LedgerError, match="second time"):
        ledger.release(first, b"other noise")


def test_a_round_can_not_change_its_mechanism(tmp_path: Path) -> None:
    ledger = Ledger(tmp_path / "l.sqlite", BUDGET)
    ledger.reserve(run="r", round=1, mechanism=STEP, clip_norm=1.0)
    quieter = Mechanism(noise_multiplier=2.0, sample_rate=0.1, steps=20)
    with pytest.raises(LedgerError, match="another mechanism"):
        ledger.reserve(run="r", round=1, mechanism=quieter, clip_norm=1.0)


def test_an_update_and_evaluations_of_one_round_are_charges_of_their_own(tmp_path: Path) -> None:
    ledger = Ledger(tmp_path / "l.sqlite", BUDGET)
    splits: tuple[Split, ...] = ("train", "validation", "test")
    held = [
        ledger.reserve(run="r", round=1, split=s, assignment="a", mechanism=STEP, clip_norm=1.0)
        for s in splits
    ]
    for reservation in held:
        ledger.release(reservation, f"of {reservation.split}".encode())
    assert [ledger.outbox(r) for r in held] == [f"of {s}".encode() for s in splits]
    assert (
        ledger.epsilon(delta=1e-5) == epsilons([STEP], delta=1e-5).smallest
    )  # no patient is in two
    rounds(ledger, "unknown", 1)  # without an assignment a charge counts for everyone
    assert ledger.epsilon(delta=1e-5) == epsilons([STEP] * 2, delta=1e-5).smallest


def test_the_budget_of_a_split_is_its_patients_own(tmp_path: Path) -> None:
    path = tmp_path / "l.sqlite"
    costly = Mechanism(noise_multiplier=0.9, sample_rate=1.0, steps=1)
    budget = Budget(epsilon=epsilon([costly], delta=1e-5), delta=1e-5)
    held_apart: tuple[Split, ...] = ("train", "test")
    for split in held_apart:
        Ledger(path, budget).reserve(
            run="r", round=1, split=split, assignment="a", mechanism=costly, clip_norm=1.0
        )
    refused: tuple[tuple[Split, str], ...] = (("test", "a"), ("validation", "moved"))
    for split, assignment in refused:
        with pytest.raises(BudgetExceeded):
            Ledger(path, budget).reserve(
                run="r", round=2, split=split, assignment=assignment, mechanism=costly,
                clip_norm=1.0,
            )  # fmt: skip


def test_a_reservation_is_not_taken_up_by_patients_who_have_moved(tmp_path: Path) -> None:
    """It would be charged to those who were in the split, and read those who are."""
    ledger = Ledger(tmp_path / "l.sqlite", BUDGET)

    def reserve(assignment: str) -> Reservation:
        return ledger.reserve(
            run="r", round=1, split="test", assignment=assignment, mechanism=STEP, clip_norm=1.0
        )

    reserve("before")
    with pytest.raises(LedgerError, match="moved between splits"):
        reserve("after")
    ledger.release(reserve("before"), b"sent")
    assert ledger.outbox(reserve("after")) == b"sent"


@pytest.mark.parametrize("verb", ["DELETE FROM entries", "UPDATE entries SET content = ''"])
def test_the_ledger_is_append_only(tmp_path: Path, verb: str) -> None:
    rounds(Ledger(tmp_path / "l.sqlite", BUDGET), "r", 1)
    connection = sqlite3.connect(tmp_path / "l.sqlite")
    with pytest.raises(sqlite3.IntegrityError, match="append-only"):
        connection.execute(verb)
    connection.close()


def test_a_file_that_is_no_ledger_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "l.sqlite"
    path.write_bytes(b"not a database, but long enough to be looked at" * 50)
    with pytest.raises(LedgerError, match=r"l\.sqlite"):
        Ledger(path, BUDGET)


def _spend(path: Path, run: str, both: Barrier) -> None:
    both.wait(600)
    ledger = Ledger(path, Budget(epsilon=6, delta=1e-5))
    for number in range(1, 10):
        try:
            ledger.reserve(run=run, round=number, mechanism=STEP, clip_norm=1.0)
        except BudgetExceeded:
            return


def test_two_processes_can_not_both_spend_the_last_of_it(tmp_path: Path) -> None:
    path = tmp_path / "l.sqlite"
    """This one, and one of its own, which takes seconds to import what this one has."""
    spawn = multiprocessing.get_context("spawn")
    both = spawn.Barrier(2)
    worker = spawn.Process(target=_spend, args=(path, "a", both))
    worker.start()
    _spend(path, "b", both)
    worker.join()
    assert worker.exitcode == 0
    ledger = Ledger(path, None)
    assert {r.run for r in ledger.reservations()} <= {"a", "b"}
    reserved = len(ledger.reservations())
    assert 0 < epsilons([STEP] * reserved, delta=1e-5).smallest <= 6
    assert epsilons([STEP] * (reserved + 1), delta=1e-5).smallest > 6
