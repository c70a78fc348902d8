"""While a run's server lives nobody asks Flower how the run stands, which costs a second each."""

import threading
import time
from pathlib import Path

import pytest

from irene_model.errors import IreneError
from server.coordinator.coordinator import Coordinator
from server.coordinator.locks import alone, is_held, server_lock
from server.submission import following, keeper
from server.submission.following import Asking, carry_out
from server.submission.submission import submit
from tests.helpers.federations.scripted_flower import COMPLETED, FAILED, RUNNING, Flower, first


def test_a_lock_is_seen_and_left_alone(tmp_path: Path) -> None:
    path = server_lock(tmp_path / "run")
    assert not is_held(path)
    with alone(path):
        assert is_held(path)
        assert is_held(path)
    assert not is_held(path)
    with alone(path, wait_s=0.0):  # nothing of the looks is left
        pass


def test_flower_is_asked_when_the_server_has_gone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = [1000.0]
    monkeypatch.setattr(following.time, "monotonic", lambda: clock[0])
    lock = server_lock(tmp_path / "run")
    asking = Asking(lock=lock)

    def asked(seconds: int) -> list[int]:
        found = []
        for second in range(seconds):
            clock[0] += 1
            if asking.due():
                found.append(second + 1)
        return found

    assert asked(25) == [10, 20]  # it has not begun
    with alone(lock):
        assert asked(1300) == [601, 1201]  # once every ten minutes, whatever the lock says
    assert asked(45) == [2, 3, 5, 9, 17, 27, 37]  # Flower takes a while to see it
    with alone(lock):
        assert asked(300) == []


def test_a_run_is_followed_to_its_end_with_one_question(
    coordinator: Coordinator, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(following, "_POLL_S", 0.01)
    monkeypatch.setattr(following, "_SOON_S", 0.05)
    flower = Flower(COMPLETED)
    run = first(coordinator)
    submit(coordinator, flower, run)
    begun = threading.Event()

    def serve() -> None:
        with alone(server_lock(run.folder)):
            begun.set()
            time.sleep(0.5)

    server = threading.Thread(target=serve)
    server.start()
    begun.wait()
    carry_out(coordinator, flower, run, "1", observe=lambda _: None, say=lambda _: None)
    server.join()
    assert flower.asked == ["1"]


def test_a_server_that_failed_is_known_to_have_at_once(
    coordinator: Coordinator, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Before, it took ten seconds."""
    monkeypatch.setattr(following, "_POLL_S", 0.01)
    monkeypatch.setattr(following, "_SOON_S", 0.05)
    flower = Flower(RUNNING, FAILED)
    run = first(coordinator)
    submit(coordinator, flower, run)
    held = alone(server_lock(run.folder))
    held.__enter__()
    threading.Timer(0.3, lambda: held.__exit__(None, None, None)).start()
    began = time.monotonic()
    with pytest.raises(IreneError, match="no site answers"):
        carry_out(coordinator, flower, run, "1", observe=lambda _: None, say=lambda _: None)
    assert time.monotonic() - began < 8


def test_the_keeper_asks_of_a_run_whose_server_has_gone_alone(
    coordinator: Coordinator, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(keeper, "_ASK_S", 0.0)
    flower = Flower(COMPLETED)
    run = first(coordinator)
    submit(coordinator, flower, run)
    kept = keeper.Keeper(coordinator=coordinator, control=flower)
    with alone(server_lock(run.folder)):
        kept._look_at_runs()
        assert flower.asked == []
    kept._look_at_runs()
    assert flower.asked == ["1"]
