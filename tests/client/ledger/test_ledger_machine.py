"""The ledger against a model of it, in any order of steps, crashes and restarts."""

import itertools
import sqlite3
import tempfile
from pathlib import Path

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from client.ledger.head import head_path
from client.ledger.ledger import Ledger, Reservation
from client.site.site import Budget
from irene_model.errors import BudgetExceeded, LedgerError
from irene_model.privacy.accountants import Mechanism, epsilons
from irene_model.study.records import SPLITS, Split

BUDGET = Budget(epsilon=6, delta=1e-5)
MECHANISMS = (
    Mechanism(noise_multiplier=1.0, sample_rate=0.1, steps=20),
    Mechanism(noise_multiplier=2.0, sample_rate=0.1, steps=20),
    Mechanism(noise_multiplier=1.5, sample_rate=1.0, steps=1),  # an evaluation
)
RUNS = st.sampled_from(("a", "b"))
ROUNDS = st.integers(1, 4)
ASSIGNMENTS = ("first", "second")
Key = tuple[str, int, Split]
# Any two have three in common: a single one may lose its bin of the sketch to another patient.
PATIENTS = st.sets(st.integers(1, 5), min_size=4).map(frozenset)


class LedgerMachine(RuleBasedStateMachine):
    """`charged` and `sent` are the model; a reservation's key is (run, round, split)."""

    def __init__(self) -> None:
        super().__init__()
        self.folder = tempfile.TemporaryDirectory()
        self.path = Path(self.folder.name) / "ledger.sqlite"
        self.ledger = Ledger(self.path, BUDGET)
        self.charged: dict[Key, tuple[Mechanism, str]] = {}
        self.sent: dict[Key, bytes] = {}
        self.kept: dict[tuple[str, Split], list[Key]] = {}  # the newest two of a run and split
        self.held: list[Reservation] = []  # what the living client has in its hands
        self.noise = 0
        self.old_head = head_path(self.path).read_bytes()

    def touching(self, home: dict[str, Split]) -> list[Mechanism]:
        """What has read a patient whose split under each assignment is `home`."""
        return [
            mechanism
            for (_, _, split), (mechanism, assignment) in self.charged.items()
            if home[assignment] == split
        ]

    def still_kept(self) -> list[Key]:
        return sorted(itertools.chain(*self.kept.values()))

    def everything(self) -> list[Mechanism]:
        return [mechanism for mechanism, _ in self.charged.values()]

    @rule(
        run=RUNS,
        round=ROUNDS,
        split=st.sampled_from(SPLITS),
        assignment=st.sampled_from(ASSIGNMENTS),
        mechanism=st.sampled_from(MECHANISMS),
    )
    def reserve(
        self, run: str, round: int, split: Split, assignment: str, mechanism: Mechanism
    ) -> None:
        key: Key = (run, round, split)
        earlier = self.charged.get(key)
        try:
            got = self.ledger.reserve(
                run=run,
                round=round,
                split=split,
                assignment=assignment,
                mechanism=mechanism,
                clip_norm=1.0,
            )
        except BudgetExceeded:
            assert earlier is None
            after = [*self.everything(), mechanism]
            assert epsilons(after, delta=BUDGET.delta).smallest > BUDGET.epsilon
        except LedgerError:
            assert earlier is not None
            assert earlier[0] != mechanism or (earlier[1] != assignment and key not in self.sent)
        else:
            assert earlier is None or earlier[0] == mechanism
            assert got.released == (key in self.sent)
            self.charged.setdefault(key, (mechanism, assignment))
            self.held.append(got)

    @precondition(lambda self: self.held)
    @rule(data=st.data())
    def release(self, data: st.DataObject) -> None:
        """Also a second time, and of what an earlier call released: retries."""
        reservation = data.draw(st.sampled_from(self.held))
        key: Key = (reservation.run, reservation.round, reservation.split)
        place = (reservation.run, reservation.split)
        self.noise += 1
        payload = f"noise {self.noise}".encode()
        try:
            got = self.ledger.release(reservation, payload)
        except LedgerError:
            assert key in self.sent and key not in self.kept[place]
            return
        if key in self.sent:
            assert got == self.sent[key]
        else:
            assert got == payload
            self.sent[key] = payload
            self.kept[place] = [*self.kept.get(place, []), key][-2:]

    @precondition(lambda self: self.sent)
    @rule(data=st.data())
    def send_again(self, data: st.DataObject) -> None:
        run, round, split = key = data.draw(st.sampled_from(self.still_kept()))
        mechanism, _ = self.charged[key]
        got = self.ledger.reserve(
            run=run,
            round=round,
            split=split,
            assignment="a third",  # patients may have moved: what was sent was sent
            mechanism=mechanism,
            clip_norm=1.0,
        )
        assert self.ledger.outbox(got) == self.sent[key]

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
        charged = {(r.run, r.round, r.split): r.mechanism for r in reservations}
        assert charged == {key: mechanism for key, (mechanism, _) in self.charged.items()}
        released = {(r.run, r.round, r.split) for r in reservations if r.released}
        assert released == self.sent.keys()
        assert len(reservations) == len(self.charged)

    @invariant()
    def nobody_spent_more_than_the_ledger_says_or_the_budget(self) -> None:
        says = self.ledger.epsilon(delta=BUDGET.delta)
        assert says <= epsilons(self.everything(), delta=BUDGET.delta).smallest + 1e-12
        for homes in itertools.product(SPLITS, repeat=len(ASSIGNMENTS)):
            touching = self.touching(dict(zip(ASSIGNMENTS, homes, strict=True)))
            assert epsilons(touching, delta=BUDGET.delta).smallest <= min(says, BUDGET.epsilon)

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
