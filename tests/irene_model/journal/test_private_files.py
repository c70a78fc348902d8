"""Every file that a site keeps is its owner's alone, whatever the umask, whoever made it first."""

import hashlib
import hmac
import json
import os
import shutil
import sqlite3
import stat
from collections.abc import Iterator
from pathlib import Path

import pytest

from client.consent.consent import Consent, journal_of
from client.consent.keys import make_key
from client.gateway.connection import Connection, remember
from client.ledger.head import head_path
from client.ledger.ledger import Ledger
from client.ledger.ledger_key import key_path
from client.node.node import node_services
from client.participant import Participant
from client.records.patients import digest
from client.site.site import Budget
from irene_model.errors import LedgerLost
from irene_model.exchange.requests import EvaluateRequest, TrainRequest
from irene_model.journal.chain import append
from irene_model.journal.private_files import (
    open_private,
    private_folder,
    tighten,
    write_private,
)
from irene_model.weights.weights import new_model, to_arrays
from tests.helpers.hospital_folder import SMALL, HospitalFolder

BUDGET = Budget(epsilon=8, delta=1e-5)


@pytest.fixture(autouse=True, params=[0o000, 0o022])
def _umask(request: pytest.FixtureRequest) -> Iterator[None]:
    before = os.umask(request.param)
    yield
    os.umask(before)


def open_to_others(folder: Path) -> list[str]:
    return [
        f"{oct(stat.S_IMODE(path.lstat().st_mode))} {path.relative_to(folder.parent)}"
        for path in (folder, *sorted(folder.rglob("*")))
        if not path.is_symlink() and path.lstat().st_mode & 0o077
    ]


def whole_round(hospital: HospitalFolder) -> None:
    """A node's: approval, an update, evaluations, a pause, and a request that waits."""
    consent, study = Consent.of(hospital.site), hospital.study
    consent.approve(study)
    arrays = to_arrays(new_model(study, seed=1))
    node = Participant.of_node(hospital.site_file)
    trained = node.train(TrainRequest.about(study, run="r", round=1, arrays=arrays))
    tested = node.evaluate(
        EvaluateRequest.about(study, run="r", round=1, split="test", arrays=arrays)
    )
    assert (trained.outcome, tested.outcome) == ("updated", "evaluated")
    consent.refusal(study.model_copy(update={"name": "another"}))
    consent.pause()
    consent.resume()
    consent.pause()


def test_every_file_of_a_whole_round_is_the_owners_alone(hospital: HospitalFolder) -> None:
    hospital.configure("model", SMALL, "study.yaml")
    state = hospital.folder / ".irene"
    pair = make_key(hospital.folder / "keys")
    connection = Connection(server="a.org:443", ca=hospital.folder / "ca.crt", key=pair.private)
    remember(hospital.site, connection)
    for service in node_services(hospital.site, hospital.site_file, connection):
        if callable(service.command):  # which writes what the process needs
            service.command()
    whole_round(hospital)
    kept = {path.name for path in state.rglob("*")}
    assert {
        "ledger.sqlite", "ledger.sqlite.head", "ledger.sqlite.key", "journal.jsonl", "pixels.npy",
        "approvals.json", "paused", "requests", "connection.json", "tensors.safetensors",
        "node.toml", "superexec.secret", "supernode.pulse", "superexec.pulse",
    } <= kept  # fmt: skip
    assert open_to_others(state) == []
    assert stat.S_IMODE(pair.private.stat().st_mode) == 0o600


def test_what_an_earlier_release_left_open_is_tightened(hospital: HospitalFolder) -> None:
    hospital.configure("model", SMALL, "study.yaml")
    whole_round(hospital)
    state = hospital.folder / ".irene"
    for path in (state, *state.rglob("*")):
        path.chmod(0o777 if path.is_dir() else 0o666)
    Consent.of(hospital.site).resume()
    arrays = to_arrays(new_model(hospital.study, seed=1))
    request = TrainRequest.about(hospital.study, run="r", round=2, arrays=arrays)
    assert Participant.of_node(hospital.site_file).train(request).outcome == "updated"
    for name in ("", "ledger.sqlite", "ledger.sqlite.head", "ledger.sqlite.key", "journal.jsonl",
                 "cache"):  # fmt: skip
        assert not (state / name).stat().st_mode & 0o077, name


def test_the_ledger_alone_names_nobody(tmp_path: Path) -> None:
    """Whoever has a copy of the file, as in a backup, can't ask it for an id."""
    path = tmp_path / "deep" / "ledger.sqlite"
    members = [f"P{number:05d}" for number in range(500)]
    Ledger(path, BUDGET).record_patients([digest(member) for member in members])
    for each in (path, head_path(path), key_path(path)):
        assert stat.S_IMODE(each.stat().st_mode) == 0o600
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700
    connection = sqlite3.connect(path)
    rows = dict(connection.execute("SELECT kind, content FROM entries").fetchall())
    connection.close()
    key, sketch = bytes.fromhex(key_path(path).read_text()), json.loads(rows["patients"])["sketch"]

    def named(key: bytes) -> int:
        hashes = [hmac.digest(key, digest(member), "sha256") for member in members]
        return sum(sketch.get(h[:1].hex()) == h[-2:].hex() for h in hashes)

    assert named(key) > 100
    secrets = [value for row in rows.values() for value in json.loads(row).values()]
    stored = [bytes.fromhex(v) for v in secrets if isinstance(v, str) and len(v) == 64]
    assert key not in stored and key.hex() not in path.read_bytes().decode("latin1")
    assert stored and all(named(each) <= 1 for each in stored)


@pytest.mark.parametrize("content", [None, "", "0" * 64, "not a key"])
def test_a_ledger_without_its_own_key_is_refused(tmp_path: Path, content: str | None) -> None:
    path = tmp_path / "ledger.sqlite"
    Ledger(path, BUDGET).record_patients([b"a", b"b"])
    key_path(path).unlink()
    if content is not None:
        key_path(path).write_text(content)
    with pytest.raises(LedgerLost, match=r"ledger\.sqlite\.key.*accept-loss"):
        Ledger(path, BUDGET)


def test_a_ledger_of_the_release_before_holds_its_key_itself_and_is_read(tmp_path: Path) -> None:
    path = tmp_path / "ledger.sqlite"
    Ledger(path, BUDGET)
    first = append((), "opened", {"salt": "ab" * 32, "at": "2026-01-01T00:00:00+00:00"})
    connection = sqlite3.connect(path)
    connection.execute("DROP TRIGGER entries_delete")
    connection.execute("DELETE FROM entries")
    connection.execute(
        "INSERT INTO entries VALUES (?, ?, ?, ?, ?)",
        (first.sequence, first.kind, first.content, first.previous, first.hash),
    )
    connection.execute("PRAGMA user_version = 2")
    connection.commit()
    connection.close()
    key_path(path).unlink()
    head_path(path).write_text(f"1 {first.hash}\n")
    path.chmod(0o644)
    ledger = Ledger(path, BUDGET)
    ledger.record_patients([digest("a")])
    assert Ledger(path, BUDGET).history().patients is not None
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_folders_and_files_are_made_and_tightened(tmp_path: Path) -> None:
    tmp_path.chmod(0o755)
    folder = private_folder(tmp_path / "a" / "b")
    assert [oct(stat.S_IMODE(p.stat().st_mode)) for p in (tmp_path, folder.parent, folder)] == [
        "0o755", "0o700", "0o700",
    ]  # fmt: skip
    file = folder / "file"
    write_private(file, b"one")
    file.chmod(0o664)
    os.close(open_private(file, os.O_RDONLY))
    assert (stat.S_IMODE(file.stat().st_mode), file.read_bytes()) == (0o600, b"one")
    file.chmod(0o444)
    tighten(file)
    assert stat.S_IMODE(file.stat().st_mode) == 0o400
    shared = tmp_path / "shared"
    shared.mkdir()
    shared.chmod(0o1777)
    private_folder(shared)  # as /tmp: not one account's to close
    assert stat.S_IMODE(shared.stat().st_mode) == 0o1777
    tighten(folder / "not there")


def test_a_moved_ledger_takes_its_key_along(tmp_path: Path) -> None:
    path, place = tmp_path / "one" / "ledger.sqlite", tmp_path / "two"
    Ledger(path, BUDGET).record_patients([digest("a"), digest("b")])
    shutil.move(path.parent, place)
    moved = Ledger(place / "ledger.sqlite", BUDGET)
    moved.record_patients([digest("a"), digest("b")])
    assert hashlib.sha256(bytes.fromhex(key_path(place / "ledger.sqlite").read_text())).hexdigest()


def test_the_journal_is_the_owners_alone(hospital: HospitalFolder) -> None:
    journal = journal_of(hospital.site)
    journal.append("a line", who="somebody")
    journal.path.chmod(0o644)
    journal.append("another", who="somebody")
    assert stat.S_IMODE(journal.path.stat().st_mode) == 0o600
