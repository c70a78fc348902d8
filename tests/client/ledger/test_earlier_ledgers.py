"""Ledgers and journals of releases without secure sums: read as they are, and written no otherwise.

What they hold is spelt out here as those releases wrote it.
"""

import json
import sqlite3
from pathlib import Path
from typing import Any

import pytest

from client.ledger.head import Head, write_head
from client.ledger.history import replay
from client.ledger.ledger import Ledger
from client.ledger.loss import Loss
from client.site.site import Budget
from irene_model.errors import LedgerLost
from irene_model.journal.chain import Entry, append
from irene_model.privacy.accountants import Mechanism, epsilons

STEP = Mechanism(noise_multiplier=1.1, sample_rate=0.1, steps=20)
BUDGET = Budget(epsilon=8, delta=1e-5, alone=30)
AT = {"at": "2026-01-01T00:00:00+00:00"}
RESERVATION = {
    "assignment": "", "clip_norm": 1.0, "noise_multiplier": 1.1, "round": 1, "run": "r",
    "sample_rate": 0.1, "split": "train", "steps": 20,
}  # fmt: skip
LOSS = {"number": 1, "epsilon": 2.5, "delta": 1e-5, "runs": {"lost": 3}}


def rows(path: Path) -> list[tuple[str, dict[str, Any]]]:
    connection = sqlite3.connect(path)
    found = connection.execute("SELECT kind, content FROM entries ORDER BY sequence").fetchall()
    connection.close()
    return [(kind, json.loads(content)) for kind, content in found]


def version(path: Path) -> int:
    connection = sqlite3.connect(path)
    found = int(connection.execute("PRAGMA user_version").fetchone()[0])
    connection.close()
    return found


def charge(ledger: Ledger, attempt: int = 0) -> None:
    shared: dict[str, Any] = {"attempt": attempt, "partners": "a,b,c", "alone": STEP}
    ledger.reserve(
        run="r", round=1, mechanism=STEP, clip_norm=1.0, **(shared if attempt else {})
    )  # fmt: skip


def test_what_is_no_attempt_is_written_as_it_was(tmp_path: Path) -> None:
    path = tmp_path / "l.sqlite"
    charge(Ledger(path, BUDGET))
    kind, content = rows(path)[-1]
    content.pop("at")
    assert (kind, content) == ("reservation", RESERVATION)
    assert version(path) == 3


def test_a_ledger_with_attempts_says_that_it_has_some(tmp_path: Path) -> None:
    """An earlier release would take it for damaged, and advise people to give the budget up."""
    path = tmp_path / "l.sqlite"
    charge(Ledger(path, BUDGET))
    charge(Ledger(path, BUDGET), attempt=1)
    assert version(path) == 4
    assert [r.attempt for r in Ledger(path, BUDGET).reservations()] == [0, 1]


def chain(*entries: tuple[str, dict[str, Any]]) -> tuple[Entry, ...]:
    found: list[Entry] = []
    for kind, content in entries:
        found.append(append(found, kind, {**content, **AT}))
    return tuple(found)


OPENED = ("opened", {"salt": "ab" * 16})


def test_an_earlier_ledger_counts_the_same_in_both(tmp_path: Path) -> None:
    path = tmp_path / "l.sqlite"
    Ledger(path, BUDGET)
    written = chain(OPENED, ("loss", LOSS), ("reservation", RESERVATION))
    connection = sqlite3.connect(path)
    connection.execute("DROP TRIGGER entries_delete")
    connection.execute("DELETE FROM entries")
    for entry in written:
        connection.execute(
            "INSERT INTO entries VALUES (?, ?, ?, ?, ?)", tuple(vars(entry).values())
        )
    connection.execute("PRAGMA user_version = 2")
    connection.commit()
    connection.close()
    write_head(path.with_name("l.sqlite.head"), Head.of(written[-1]))
    ledger = Ledger(path, BUDGET)
    spent = epsilons([STEP], delta=1e-5).smallest
    assert ledger.epsilon(delta=1e-5) == ledger.epsilon_alone(delta=1e-5) == 2.5 + spent
    history = ledger.history()
    assert history.rounds_charged("r") == history.attempts_charged("r") == 1
    assert history.attempts_charged("lost") == 3 and history.loss.alone == 2.5
    ledger.release(ledger.reservations()[0], b"sent")
    charge(ledger, attempt=1)  # goes on as it is
    assert version(path) == 4 and len(Ledger(path, BUDGET).reservations()) == 2


def test_a_loss_of_one_epsilon_is_written_as_it_was() -> None:
    assert Loss.from_content(LOSS).content() == LOSS
    unbounded = {**LOSS, "epsilon": None}
    assert Loss.from_content(unbounded).content() == unbounded
    two = Loss(number=1, epsilon=2.0, alone=9.0, delta=1e-5)
    assert two.content()["alone"] == 9.0 and Loss.from_content(two.content()) == two
    open_end = Loss(number=1, epsilon=2.0, alone=float("inf"), delta=1e-5)
    assert Loss.from_content(open_end.content()) == open_end


ATTEMPT: dict[str, Any] = {
    **RESERVATION, "attempt": 1, "partners": "a,b,c",
    "alone": {"noise_multiplier": 0.5, "sample_rate": 0.1, "steps": 20},
}  # fmt: skip


def test_an_attempt_reads_as_it_was_written() -> None:
    (found,) = replay(chain(OPENED, ("reservation", ATTEMPT))).reservations
    assert found.content() == ATTEMPT


@pytest.mark.parametrize(
    "odd",
    [
        {"attempt": -1}, {"attempt": "1"}, {"attempt": True}, {"attempt": 1.0}, {"attempt": None},
        {"attempt": 0}, {"partners": ""}, {"partners": 3}, {"partners": ["a"]}, {"alone": 0.5},
        {"alone": {"noise_multiplier": -1, "sample_rate": 0.1, "steps": 20}},
        {"alone": {"noise_multiplier": 1.0}}, {"another": 1},
    ],
)  # fmt: skip
def test_an_attempt_that_nobody_writes_is_no_attempt(odd: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="row 2 holds what this release never writes"):
        replay(chain(OPENED, ("reservation", {**ATTEMPT, **odd})))


@pytest.mark.parametrize("unknown", [1, 5])
def test_a_ledger_of_another_version_is_not_called_lost(tmp_path: Path, unknown: int) -> None:
    path = tmp_path / "l.sqlite"
    Ledger(path, BUDGET)
    connection = sqlite3.connect(path)
    connection.execute(f"PRAGMA user_version = {unknown}")
    connection.close()
    with pytest.raises(Exception, match="use the release that wrote it") as error:
        Ledger(path, BUDGET)
    assert not isinstance(error.value, LedgerLost)
