"""The socket is its owner's alone, and only the node's own two processes talk through it."""

import os
from pathlib import Path

import pytest

from client.trainer.channel import SOCKET, Stranger, answers, check_peer, connect, listen
from client.trainer.handover import patience_s
from client.trainer.trainer import Trainer
from tests.helpers.trainers import note_process


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Longer than a Unix socket's own path may be."""
    found = tmp_path / ("long" * 30) / "node"
    assert len(str(found)) > 107
    return found


def test_file_and_folder_are_the_owners_alone_whatever_the_umask(folder: Path) -> None:
    before = os.umask(0)
    try:
        with listen(folder):
            assert (folder / SOCKET).stat().st_mode & 0o777 == 0o600
            assert folder.stat().st_mode & 0o777 == 0o700
        with listen(folder), connect(folder, timeout_s=5):  # in the place of the one before
            pass
    finally:
        os.umask(before)
    assert os.umask(before) == before


def test_only_the_process_that_the_supervisor_started_is_known(folder: Path) -> None:
    with listen(folder) as listener, connect(folder, timeout_s=5) as peer:
        here, _ = listener.accept()
        with here:
            for end, name in ((peer, "trainer"), (here, "superexec")):
                with pytest.raises(Stranger, match=f"is not the node's {name}"):
                    check_peer(end, folder, name)  # nobody wrote it down
                note_process(folder, name, 1)
                with pytest.raises(Stranger):
                    check_peer(end, folder, name)
                note_process(folder, name, os.getpid())
                assert check_peer(end, folder, name) == os.getpid()


def test_another_user_is_a_stranger(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with listen(folder), connect(folder, timeout_s=5) as peer:
        note_process(folder, "trainer", os.getpid())
        monkeypatch.setattr(os, "geteuid", lambda: 4711)
        with pytest.raises(Stranger):
            check_peer(peer, folder, "trainer")


def test_the_trainer_says_nothing_to_a_stranger(folder: Path) -> None:
    with listen(folder) as listener, connect(folder, timeout_s=5) as peer:
        here, _ = listener.accept()
        trainer = Trainer(folder=folder)
        trainer._answer(here, "code")
        here.close()
        assert peer.recv(1) == b"" and not trainer.warm


def test_a_trainer_that_listens_serves(folder: Path) -> None:
    assert answers(folder) == "unreachable"
    with listen(folder):
        assert answers(folder) == "not serving"
        note_process(folder, "trainer", os.getpid())
        assert answers(folder) == "serving"
    assert answers(folder) == "unreachable"


@pytest.mark.parametrize(
    ("kind", "deadline", "waited_s", "patience"),
    [
        ("train", 60.0, 0.0, 60.0),
        ("train", 60, 20.0, 40.0),
        ("train", 60.0, -20.0, 60.0),
        ("evaluate", 60.0, 1e9, 10.0),
        ("train", 60.0, float("nan"), 60.0),
        ("train", float("inf"), 0.0, 3600.0),
        ("train", float("nan"), 0.0, 3600.0),
        ("train", "soon", 0.0, 3600.0),
        ("train", None, 0.0, 3600.0),
        ("train", True, 0.0, 3600.0),
        ("train", 1e300, 0.0, 1e8),
        ("train", -5.0, 0.0, 10.0),
        ("query", 60.0, 0.0, 3600.0),
        ("query", 7200.0, 0.0, 7200.0),
    ],
)
def test_an_answer_is_waited_for_until_its_deadline(
    kind: str, deadline: object, waited_s: float, patience: float
) -> None:
    assert patience_s(kind, deadline, waited_s) == patience
