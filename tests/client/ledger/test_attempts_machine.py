"""Attempts against a model of them, in any order of questions, late ends, kills and restarts.

What must hold whatever a coordinator asks: a number has one set of partners and one release, what
is released belongs to the newest attempt, everything is charged in both epsilons, and neither
budget is exceeded.
"""

import sqlite3
import tempfile
from dataclasses import replace
from pathlib import Path

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from client.ledger.ledger import Ledger, Reservation
from client.site.site import Budget
from irene_model.errors import BudgetExceeded, LedgerError, ProtocolError, StaleMessage
from irene_model.privacy.accountants import Mechanism, epsilon, epsilons

SHARE = 1.0
BUDGET = Budget(epsilon=4, delta=1e-5, alone=7)
# Partners, and the noise that theirs and ours amount to with one that colludes.
SETS = {"a,b,c": 2**0.5, "a,b,d": 2**0.5, "a,b,c,d": 3**0.5}
ROUNDS = st.integers(1, 3)
Place = tuple[str, int]


def joint(partners: str) -> Mechanism:
    return Mechanism(noise_multiplier=SHARE * SETS[partners], sample_rate=0.2, steps=5)


OWN = replace(joint("a,b,c"), noise_multiplier=SHARE)


class AttemptsMachine(RuleBasedStateMachine):
    """`charged` and `sent` are the model, by place (run, round) and number."""

    def __init__(self) -> None:
        super().__init__()
        self.folder = tempfile.TemporaryDirectory()
        self.path = Path(self.folder.name) / "ledger.sqlite"
        self.ledger = Ledger(self.path, BUDGET)
        self.charged: dict[tuple[Place, int], str] = {}
        self.sent: dict[tuple[Place, int], bytes] = {}
        self.kept: dict[str, list[tuple[Place, int]]] = {}  # of each run, the newest two rounds'
        self.held: list[Reservation] = []
        self.noise = 0

    def newest(self, place: Place) -> int:
        return max((n for at, n in self.charged if at == place), default=0)

    def after(self, *more: str) -> tuple[float, float]:
        """Both epsilons by RDP, which is no smaller than what a budget counts."""
        partners = [*self.charged.values(), *more]
        joints = [joint(each) for each in partners]
        return epsilon(joints, delta=1e-5), epsilon([OWN] * len(partners), delta=1e-5)

    @rule(
        run=st.sampled_from("rs"), round=ROUNDS, attempt=st.integers(1, 5),
        partners=st.sampled_from(sorted(SETS)),
    )  # fmt: skip
    def reserve(self, run: str, round: int, attempt: int, partners: str) -> None:
        place = (run, round)
        newest, known = self.newest(place), self.charged.get((place, attempt))
        try:
            got = self.ledger.reserve(
                run=run, round=round, attempt=attempt, partners=partners, alone=OWN,
                mechanism=joint(partners), clip_norm=1.0,
            )  # fmt: skip
        except StaleMessage:
            assert attempt < newest
        except ProtocolError:
            assert attempt == newest and known != partners
        except BudgetExceeded:
            first, second = self.after(partners)
            assert attempt > newest and (first > BUDGET.epsilon or second > (BUDGET.alone or 0))
        else:
            assert attempt > newest or (attempt == newest and known == partners)
            assert (got.attempt, got.partners) == (attempt, partners)
            assert got.released == ((place, attempt) in self.sent)
            self.charged[place, attempt] = partners
            self.held.append(got)

    @precondition(lambda self: self.held)
    @rule(data=st.data())
    def release(self, data: st.DataObject) -> None:
        """Of any attempt that somebody trained, however late."""
        reservation = data.draw(st.sampled_from(self.held))
        place = (reservation.run, reservation.round)
        key = (place, reservation.attempt)
        self.noise += 1
        payload = f"noise {self.noise}".encode()
        try:
            got = self.ledger.release(reservation, payload)
        except StaleMessage:
            assert reservation.attempt < self.newest(place) and key not in self.sent
        except LedgerError:
            assert key in self.sent and key not in self.kept[reservation.run]
        else:
            assert got == self.sent.setdefault(key, payload)
            if got == payload:
                others = [k for k in self.kept.get(reservation.run, []) if k[0] != place]
                self.kept[reservation.run] = [*others[-1:], key]

    @rule()
    def kill_and_restart(self) -> None:
        self.held.clear()
        self.ledger = Ledger(self.path, BUDGET)

    @invariant()
    def all_that_was_asked_for_is_charged(self) -> None:
        found = self.ledger.reservations()
        assert {((r.run, r.round), r.attempt): r.partners for r in found} == self.charged
        assert len(found) == len(self.charged)
        released = {((r.run, r.round), r.attempt) for r in found if r.released}
        assert released == self.sent.keys()
        numbers: dict[Place, int] = {}
        for r in found:
            assert r.attempt > numbers.get((r.run, r.round), 0)
            numbers[r.run, r.round] = r.attempt

    @invariant()
    def neither_budget_is_exceeded(self) -> None:
        joints = [joint(partners) for partners in self.charged.values()]
        spent, alone = (
            epsilons(each, delta=1e-5).smallest for each in (joints, [OWN] * len(joints))
        )
        assert self.ledger.epsilon(delta=1e-5) == spent <= BUDGET.epsilon
        assert self.ledger.epsilon_alone(delta=1e-5) == alone <= (BUDGET.alone or 0)

    @invariant()
    def bytes_are_those_of_the_newest_two_rounds(self) -> None:
        connection = sqlite3.connect(self.path)
        kept = {bytes(row[0]) for row in connection.execute("SELECT payload FROM outbox")}
        connection.close()
        assert kept == {self.sent[key] for keys in self.kept.values() for key in keys}

    def teardown(self) -> None:
        self.folder.cleanup()


AttemptsMachine.TestCase.settings = settings(max_examples=15, stateful_step_count=20, deadline=None)
TestAttempts = AttemptsMachine.TestCase
