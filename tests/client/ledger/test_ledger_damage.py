"""What happens to a ledger that somebody or something damaged: it is refused, and says why."""

import contextlib
import os
import shutil
import sqlite3
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import astuple
from pathlib import Path

import pytest

from client.ledger.head import head_path
from client.ledger.ledger import Ledger
from client.site.site import Budget
from irene_model.errors import LedgerError
from irene_model.journal.chain import Entry, append
from irene_model.privacy.accountants import Mechanism
from tests.helpers.full_disk import full_disk

STEP = Mechanism(noise_multiplier=1.0, sample_rate=0.1, steps=1)
BUDGET = Budget(epsilon=8, delta=1e-5)


def charge(ledger: Ledger, round: int) -> None:
    ledger.release(
        ledger.reserve(run="r", round=round, mechanism=STEP, clip_norm=1.0), bytes([round])
    )


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """A ledger of row 1 (opened) and two charged rounds: rows 2 and 3, 4 and 5."""
    path = tmp_path / "ledger.sqlite"
    ledger = Ledger(path, BUDGET)
    charge(ledger, 1)
    charge(ledger, 2)
    return path


def tamper(path: Path, *statements: str) -> None:
    """As somebody would who knows SQLite: the triggers go first."""
    connection = sqlite3.connect(path)
    for statement in ("DROP TRIGGER entries_update", "DROP TRIGGER entries_delete", *statements):
        connection.execute(statement)
    connection.commit()
    connection.close()


def altered(path: Path) -> None:
    tamper(path, "UPDATE entries SET content = replace(content, '\"steps\":1', '\"steps\":0') "
                 "WHERE sequence = 4")  # fmt: skip


def removed_from_the_middle(path: Path) -> None:
    tamper(path, "DELETE FROM entries WHERE sequence = 3")


def reordered(path: Path) -> None:
    tamper(path, "UPDATE entries SET sequence = -2 WHERE sequence = 2",
           "UPDATE entries SET sequence = 2 WHERE sequence = 4",
           "UPDATE entries SET sequence = 4 WHERE sequence = -2")  # fmt: skip


def cut(path: Path) -> None:
    tamper(path, "DELETE FROM entries WHERE sequence > 3")


def cut_in_the_file(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:8192])


def emptied(path: Path) -> None:
    path.write_bytes(b"")


def gone(path: Path) -> None:
    path.unlink()


def without_head(path: Path) -> None:
    head_path(path).unlink()


def with_a_broken_head(path: Path) -> None:
    head_path(path).write_bytes(b"\xff\xfe")


def of_another_version(path: Path) -> None:
    tamper(path, "PRAGMA user_version = 7")


def of_the_version_before_splits(path: Path) -> None:
    tamper(path, "PRAGMA user_version = 1")


def some_other_database(path: Path) -> None:
    path.unlink()
    connection = sqlite3.connect(path)
    connection.execute("CREATE TABLE reservations (id INTEGER)")
    connection.close()


@pytest.mark.parametrize(
    ("damage", "said"),
    [
        (altered, "row 4 was altered"),
        (removed_from_the_middle, "row 3 is missing"),
        (reordered, "row 2 was altered"),
        (cut, "rows 4 to 5 are missing"),
        (cut_in_the_file, "damaged or was cut"),
        (emptied, "gone but for its head"),
        (gone, "gone but for its head"),
        (without_head, r"head file is missing; put it back.*row 5.*'5 [0-9a-f]{64}'"),
        (with_a_broken_head, r"ledger\.sqlite\.head is no head file"),
        (of_another_version, "version 7"),
        (of_the_version_before_splits, "a ledger of version 1, and this release reads version 3"),
        (some_other_database, "name a file of its own"),
    ],
)
def test_a_damaged_ledger_is_refused(path: Path, damage: Callable[[Path], None], said: str) -> None:
    living = Ledger(path, BUDGET)
    damage(path)
    with pytest.raises(LedgerError, match=said) as opened:
        Ledger(path, BUDGET)
    assert str(path) in str(opened.value)
    with pytest.raises(LedgerError):  # also by the client that had it open
        living.reserve(run="r", round=3, mechanism=STEP, clip_norm=1.0)


def test_an_older_copy_is_refused_and_the_newest_taken(path: Path, tmp_path: Path) -> None:
    old, new = tmp_path / "old.sqlite", tmp_path / "new.sqlite"
    shutil.copy(path, old)
    charge(Ledger(path, BUDGET), 3)
    shutil.copy(path, new)
    shutil.copy(old, path)
    with pytest.raises(LedgerError, match="older copy"):
        Ledger(path, BUDGET)
    shutil.copy(new, path)
    assert len(Ledger(path, BUDGET).reservations()) == 3


def test_another_ledger_of_the_same_length_is_refused(path: Path, tmp_path: Path) -> None:
    other = Ledger(tmp_path / "other.sqlite", BUDGET)
    charge(other, 1)
    charge(other, 2)
    shutil.copy(tmp_path / "other.sqlite", path)
    with pytest.raises(LedgerError, match="not the one that the head file names"):
        Ledger(path, BUDGET)


def test_a_head_that_a_crash_left_behind_is_legal_and_moves_on(path: Path) -> None:
    behind = head_path(path).read_bytes()
    charge(Ledger(path, BUDGET), 3)
    newest = head_path(path).read_bytes()
    head_path(path).write_bytes(behind)
    ledger = Ledger(path, BUDGET)
    charge(ledger, 3)  # nothing new is written but the head
    assert head_path(path).read_bytes() == newest != behind


def test_changed_bytes_in_the_outbox_are_not_sent(path: Path) -> None:
    tamper(path, "UPDATE outbox SET payload = x'00'")
    ledger = Ledger(path, BUDGET)
    for send in (ledger.outbox, lambda r: ledger.release(r, b"new")):
        with pytest.raises(LedgerError, match="round 2: the kept bytes were changed"):
            send(ledger.reservations()[-1])


def _fill(path: Path) -> None:
    """Charge rounds until there is no room for one."""
    ledger = Ledger(path, BUDGET)
    reservation = ledger.reserve(run="r", round=3, mechanism=STEP, clip_norm=1.0)
    with pytest.raises(LedgerError, match="nothing is lost"):
        ledger.release(reservation, bytes(200_000))
    assert not ledger.reservations()[-1].released
    round = 3
    with pytest.raises(LedgerError, match="nothing is lost"):
        for round in range(4, 500):
            ledger.reserve(run="r", round=round, mechanism=STEP, clip_norm=1.0)
    assert len(ledger.reservations()) == round - 1 < 498


def test_a_full_disk_refuses_and_loses_nothing(path: Path) -> None:
    """No file may grow beyond the limit, so SQLite's writes fail half-way."""
    with full_disk(path.stat().st_size + 4096):
        _fill(path)
    ledger = Ledger(path, BUDGET)
    before = len(ledger.reservations())
    charge(ledger, 3)  # with space again, the charge that was left is used
    assert len(ledger.reservations()) == before and ledger.reservations()[2].released


@contextlib.contextmanager
def read_only(folder: Path) -> Iterator[None]:
    """`folder` and its files without write permission, also where the tests run as root."""
    for path in (*folder.iterdir(), folder):
        path.chmod(0o555)
    root = os.geteuid() == 0
    if root:
        os.seteuid(65534)
    try:
        yield
    finally:
        if root:
            os.seteuid(0)
        for path in (folder, *folder.iterdir()):
            path.chmod(0o755)


def test_a_read_only_ledger_can_be_looked_at_and_not_charged() -> None:
    with tempfile.TemporaryDirectory() as name:  # pytest's own folders are closed to others
        path = Path(name) / "ledger.sqlite"
        charge(Ledger(path, BUDGET), 1)
        with read_only(Path(name)):
            ledger = Ledger(path, BUDGET)
            assert len(ledger.reservations()) == 1
            with pytest.raises(LedgerError, match="must be able to write"):
                ledger.reserve(run="r", round=2, mechanism=STEP, clip_norm=1.0)
        charge(Ledger(path, BUDGET), 2)


@pytest.mark.parametrize(
    ("kind", "content"),
    [
        ("refund", {"at": ""}),
        ("release", {"at": "", "reservation": 2, "sha256": ""}),  # released already, in row 3
        ("release", {"at": "", "reservation": 9, "sha256": ""}),
        ("reservation", {"at": "", "run": "r"}),
        (
            "reservation",
            {
                "at": "",
                "run": "r",
                "round": 9,
                "split": "everyone",
                "assignment": "",
                "clip_norm": 1.0,
                "noise_multiplier": 1.0,
                "sample_rate": 0.1,
                "steps": 1,
            },
        ),
    ],
)
def test_a_chain_that_this_code_never_writes_is_refused(
    path: Path, kind: str, content: dict[str, object]
) -> None:
    """Whoever can hash can lengthen the chain, but not to mean something else."""
    connection = sqlite3.connect(path)
    rows = connection.execute("SELECT sequence, kind, content, previous, hash FROM entries")
    names = ("sequence", "kind", "content", "previous", "hash")
    forged = append([Entry(**dict(zip(names, row, strict=True))) for row in rows], kind, content)
    connection.execute("INSERT INTO entries VALUES (?, ?, ?, ?, ?)", astuple(forged))
    connection.commit()
    connection.close()
    with pytest.raises(LedgerError, match="row 6 holds what this release never writes"):
        Ledger(path, BUDGET)
