"""The patients that a ledger's charges were made for: told apart, and not kept."""

import logging
import sqlite3
from pathlib import Path

import pytest

from client.ledger.ledger import Ledger
from client.records.patients import PatientSet, digest
from client.site.site import Budget
from irene_model.errors import LedgerError
from irene_model.privacy.accountants import Mechanism

STEP = Mechanism(noise_multiplier=1.0, sample_rate=0.1, steps=1)
BUDGET = Budget(epsilon=8, delta=1e-5)


def patients(*numbers: int) -> list[bytes]:
    return [digest(f"P{number:04d}") for number in numbers]


def kinds(path: Path) -> list[str]:
    connection = sqlite3.connect(path)
    rows = connection.execute("SELECT kind FROM entries ORDER BY sequence").fetchall()
    connection.close()
    return [row[0] for row in rows]


def test_changed_patients_are_recorded_and_go_on_paying(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path = tmp_path / "ledger.sqlite"
    ledger = Ledger(path, BUDGET)
    ledger.reserve(run="r", round=1, mechanism=STEP, clip_norm=1.0)
    spent = ledger.epsilon(delta=1e-5)
    ledger.record_patients(patients(*range(50)))
    ledger.record_patients(reversed(patients(*range(50))))  # the same set
    assert kinds(path)[2:] == ["patients"] and not caplog.records
    with caplog.at_level(logging.WARNING):
        ledger.record_patients(patients(*range(10, 70)))
    assert kinds(path)[2:] == ["patients", "patients"]
    assert "changed (50 before, 60 now)" in caplog.text
    assert ledger.epsilon(delta=1e-5) == spent > 0


def test_a_ledger_of_other_patients_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "ledger.sqlite"
    ledger = Ledger(path, BUDGET)
    ledger.reserve(run="r", round=1, mechanism=STEP, clip_norm=1.0)
    ledger.record_patients(patients(*range(50)))
    with pytest.raises(LedgerError, match="none of whom is among this site's"):
        ledger.record_patients(patients(*range(100, 150)))
    assert kinds(path)[2:] == ["patients"]


@pytest.mark.parametrize("count", [3, 300, 20_000])
def test_the_sketch_tells_shared_patients_and_holds_no_pseudonym(count: int) -> None:
    salt = b"salt"
    first = PatientSet.of(patients(*range(count)), salt=salt)
    moved = PatientSet.of(patients(*range(count // 3, count // 3 + count)), salt=salt)
    others = PatientSet.of(patients(*range(count, 2 * count)), salt=salt)
    assert first.shares_patients_with(first) and first.shares_patients_with(moved)
    assert not first.shares_patients_with(others)
    assert first != PatientSet.of(patients(*range(count)), salt=b"another")
    assert len(first.sketch) <= 256 and {len(kept) for kept in first.sketch.values()} == {4}
