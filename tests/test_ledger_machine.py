"""The ledger against a model of it, in any order of steps, crashes and restarts."""

import sqlite3
import tempfile
from pathlib import Path

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from client.head import head_path
from client.ledger import Ledger, Reservation
from client.site import Budget
from irene_model.errors import BudgetExceeded, LedgerError
from irene_model.privacy import Mechanism, epsilon, epsilons

BUDGET = Budget(epsilon=6, delta=1e-5)
MECHANISMS = (
    Mechanism(noise_multiplier=1.0, sample_rate=0.1, steps=20),
    Mechanism(noise_multiplier=2.0, sample_rate=0.1, steps=20),
)
RUNS = st.sampled_from(("a", "b"))
ROUNDS = st.integers(1, 4)
PATIENTS = st.sets(st.integers(1, 5), min_size=3).map(frozenset)  # any two have one in common


class LedgerMachine(RuleBasedStateMachine):
    """`charged` and `sent` are the model; each round's key is (run, round)."""

    def __init__(self) -> None:
        super().__init__()
        self.folder = tempfile.TemporaryDirectory()
        self.path = Path(self.folder.name) / "ledger.sqlite"
        self.ledger = Ledger(self.path, BUDGET)
        self.charged: dict[tuple[str, int], Mechanism] = {}
        self.sent: dict[tuple[str, int], bytes] = {}
        self.kept: dict[str, tuple[str, int]] = {}  # a run's newest release
        self.held: list[Reservation] = []  # what the living client has in its hands
        self.noise = 0
        self.old_head = head_path(self.path).read_bytes()

    @rule(run=RUNS, round=ROUNDS, mechanism=st.sampled_from(MECHANISMS))
    def reserve(self, run: str, round: int, mechanism: Mechanism) -> None:
        earlier = self.charged.get((run, round))
        after = epsilons([*self.charged.values(), mechanism], delta=BUDGET.delta).smallest
        try:
            got = self.ledger.reserve(run=run, round=round, mechanism=mechanism, clip_norm=1.0)
        except BudgetExceeded:
            assert earlier is None and after > BUDGET.epsilon
        except LedgerError:
            assert earlier not in (None, mechanism)
        else:
            assert earlier == mechanism or (earlier is None and after <= BUDGET.epsilon)
            assert got.released == ((run, round) in self.sent)
            self.charged[run, round] = mechanism
            self.held.append(got)

    @precondition(lambda self: self.held)
    @rule(data=st.data())
    def release(self, data: st.DataObject) -> None:
        """Also a second time, and of what an earlier call released: retries."""
        reservation = data.draw(st.sampled_from(self.held))
        key = (reservation.run, reservation.round)
        self.noise += 1
        payload = f"noise {self.noise}".encode()
        try:
            got = self.ledger.release(reservation, payload)
        except LedgerError:
            assert key in self.sent and self.kept[key[0]] != key
            return
        if key in self.sent:
            assert got == self.sent[key]
        else:
            assert got == payload
            self.sent[key], self.kept[key[0]] = payload, key

    @precondition(lambda self: self.sent)
    @rule(data=st.data())
    def send_again(self, data: st.DataObject) -> None:
        run, round = data.draw(st.sampled_from(sorted(self.kept.values())))
        got = self.ledger.reserve(
            run=run, round=round, mechanism=self.charged[run, round], clip_norm=1.0
        )
        assert self.ledger.outbox(got) == self.sent[run, round]

    @rule(patients=PATIENTS)
    def patients_change(self, patients: frozenset[int]) -> None:
        self.ledger.record_patients(bytes([each]) * 32 for each in patients)

    @rule()
    def crash_and_reopen(self) -> None:
        """Whatever was reserved and not released is in nobody's hands any more."""
        self.held.clear()
        self.ledger = Ledger(self.path, BUDGET)

    @rule()
    def crash_before_the_head_is_written(self) -> None:
        """An older head is what a crash right after the commit leaves."""
        head_path(self.path).write_bytes(self.old_head)
        self.crash_and_reopen()

    @invariant()
    def charges_are_those_of_the_model(self) -> None:
        reservations = self.ledger.reservations()  # verifies chain and head
        assert {(r.run, r.round): r.mechanism for r in reservations} == self.charged
        assert {(r.run, r.round) for r in reservations if r.released} == self.sent.keys()
        assert len(reservations) == len(self.charged)

    @invariant()
    def epsilon_is_the_composition_and_within_the_budget(self) -> None:
        spent = self.ledger.epsilon(delta=BUDGET.delta)
        assert spent == epsilon(self.charged.values(), delta=BUDGET.delta)
        assert epsilons(self.charged.values(), delta=BUDGET.delta).smallest <= BUDGET.epsilon

    @invariant()
    def a_reservation_has_one_release_at_most(self) -> None:
        connection = sqlite3.connect(self.path)
        (releases,) = connection.execute(
            "SELECT count(*) FROM entries WHERE kind = 'release'"
        ).fetchone()
        connection.close()
        assert releases == len(self.sent)

    def teardown(self) -> None:
        self.folder.cleanup()


LedgerMachine.TestCase.settings = settings(max_examples=25, stateful_step_count=20, deadline=None)
TestLedger = LedgerMachine.TestCase
