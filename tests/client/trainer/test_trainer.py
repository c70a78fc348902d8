"""A real trainer: it answers, and ends or starts anew where it has to."""

import json
import os
import shutil
import signal
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from client.consent.consent import Consent
from client.ledger.ledger import Ledger
from client.trainer import handover
from client.trainer.handover import OldCode, TrainerLost
from irene_model.exchange.protocol import Flat
from irene_model.exchange.requests import EvaluateRequest, HelloRequest, TrainRequest
from irene_model.weights.weights import new_model, to_arrays
from tests.helpers.hospital_folder import SMALL, HospitalFolder, write_hospital
from tests.helpers.trainers import KeptTrainer, note_process

pytestmark = pytest.mark.slow
CHECKOUT = Path(__file__).resolve().parents[3]


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[KeptTrainer]:
    """One trainer for all tests here: its libraries take seconds."""
    hospital = write_hospital(tmp_path_factory.mktemp("trainer") / "north")
    for key, value in (
        ("model", SMALL),
        ("federation.rounds", 10_000),
        ("privacy", {"noise_multiplier": 2.0, "clip_norm": 1.0, "delta": 1e-3}),
    ):
        hospital.configure(key, value, "study.yaml")
    hospital.configure("budget", {"epsilon": 1e6, "delta": 1e-3})
    Consent.of(hospital.site).approve(hospital.study)
    trainer = KeptTrainer(hospital=hospital)
    trainer.start()
    yield trainer
    trainer.end()


def hello(trainer: KeptTrainer, patience_s: float = 120.0) -> Flat:
    request = HelloRequest.about(trainer.hospital.study, run="r")
    return trainer.ask("query", request, patience_s)


def train(trainer: KeptTrainer, round: int) -> Flat:
    study = trainer.hospital.study
    weights = to_arrays(new_model(study, seed=1))
    request = TrainRequest.about(study, run="r", round=round, arrays=weights)
    return trainer.ask("train", request)


def evaluate(trainer: KeptTrainer, round: int) -> Flat:
    study = trainer.hospital.study
    weights = to_arrays(new_model(study, seed=1))
    request = EvaluateRequest.about(study, run="r", round=round, split="validation", arrays=weights)
    return trainer.ask("evaluate", request)


def restarted(trainer: KeptTrainer) -> None:
    """As the supervisor does."""
    assert trainer.process is not None
    trainer.process.wait(30)
    trainer.start()


def wait(true: Callable[[], bool], patience_s: float = 120.0) -> None:
    until = time.monotonic() + patience_s
    while not true():
        assert time.monotonic() < until
        time.sleep(0.1)


def test_every_message_is_judged_by_what_the_files_say_now(shared: KeptTrainer) -> None:
    site, values = shared.hospital.site_file, lambda: hello(shared).values
    assert values()["outcome"] == "ready"
    consent = Consent.of(shared.hospital.site)
    consent.pause()
    assert values()["outcome"] == "waiting"
    consent.resume()
    kept = site.read_text()
    shared.hospital.configure("limits", {"most_rounds": 5})
    assert (values()["outcome"], values()["code"]) == ("declined", "limits")
    site.write_text("site: [")
    assert values()["code"] == "configuration"
    site.write_text(kept)
    table = shared.hospital.folder / "encounters.csv"
    rows = table.read_text()
    table.write_text(rows.replace("pneumonia", "other", 1))
    assert values()["code"] in ("files", "configuration")
    table.write_text(rows)
    assert values()["outcome"] == "ready"
    stale = HelloRequest.about(shared.hospital.study, run="r", deadline=0.001)
    assert shared.ask("query", stale.after(5.0)).values["code"] == "stale"


def test_a_round_and_an_evaluation_come_back_the_same_when_asked_again(
    shared: KeptTrainer,
) -> None:
    first = train(shared, 1)
    assert first.values["outcome"] == "updated"
    again = train(shared, 1)
    assert {n: a.tobytes() for n, a in first.arrays.items()} == {
        n: a.tobytes() for n, a in again.arrays.items()
    }
    assert evaluate(shared, 1).values["outcome"] == "evaluated"
    assert [r.released for r in Ledger.of(shared.hospital.site).reservations()] == [True, True]


def test_a_trainer_that_dies_gives_no_answer_and_the_next_one_does(shared: KeptTrainer) -> None:
    hello(shared)
    assert shared.process is not None
    pid = shared.process.pid
    os.kill(pid, signal.SIGSTOP)  # so that the message is with it when it dies
    timer = threading.Timer(1.0, lambda: os.kill(pid, signal.SIGKILL))
    timer.start()
    with pytest.raises(TrainerLost):
        hello(shared, patience_s=3.0)
    restarted(shared)
    assert hello(shared).values["outcome"] == "ready"


def test_a_trainer_that_is_silent_is_ended_at_the_deadline(shared: KeptTrainer) -> None:
    hello(shared)
    assert shared.process is not None
    os.kill(shared.process.pid, signal.SIGSTOP)
    began = time.monotonic()
    with pytest.raises(TrainerLost):
        hello(shared, patience_s=2.0)
    assert time.monotonic() - began < 60
    assert shared.process.wait(10) == -signal.SIGKILL
    restarted(shared)
    assert hello(shared).values["outcome"] == "ready"


def test_an_unexpected_error_is_answered_and_leaves_nothing_behind(shared: KeptTrainer) -> None:
    """Here the cache's place is below a file: no error that was foreseen."""
    hello(shared)
    memory = shared.memory()
    kept = shared.hospital.site_file.read_text()
    shared.hospital.configure("cache", "encounters.csv/cache")
    reply = train(shared, 90)
    shared.hospital.site_file.write_text(kept)
    assert reply.values["outcome"] == "failed" and reply.values["code"] == "error"
    assert str(shared.hospital.folder) not in json.dumps(reply.values)
    wait(lambda: shared.memory() < memory / 2)  # it began anew, with the same pid
    assert train(shared, 91).values["outcome"] == "updated"


def test_an_idle_trainer_gives_its_memory_back(shared: KeptTrainer) -> None:
    hello(shared)
    memory = shared.memory()
    kept = shared.hospital.site_file.read_text()
    shared.hospital.configure("trainer", {"idle_s": 1})
    hello(shared)
    wait(lambda: shared.memory() < memory / 2)
    shared.hospital.site_file.write_text(kept)
    assert hello(shared).values["outcome"] == "ready"


def test_memory_and_files_do_not_grow_over_many_messages(shared: KeptTrainer) -> None:
    """Greetings: each round gives the ledger more to account for, which is kept up to a bound."""
    for round in range(100, 105):
        assert train(shared, round).values["outcome"] == "updated"
    for _ in range(50):
        hello(shared)
    memory, files = shared.memory(), shared.kept_open()
    for _ in range(200):
        hello(shared)
    assert shared.memory() < memory * 1.01
    # A connection that ends is closed a moment after its answer.
    wait(lambda: shared.kept_open() <= files)


def test_other_code_than_it_runs_is_taken_up(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    copy = tmp_path / "installation"
    for package in ("client", "irene_model"):
        shutil.copytree(CHECKOUT / package, copy / package)
    hospital: HospitalFolder = write_hospital(tmp_path / "north")
    trainer = KeptTrainer(hospital=hospital, environment={"PYTHONPATH": str(copy)})
    trainer.start()
    try:
        with pytest.raises(OldCode):  # of this process, which runs another installation
            hello(trainer)
        refusals = copy / "client" / "refusals.py"
        refusals.write_text(refusals.read_text() + "\nprint('the new code', flush=True)\n")
        wait(lambda: "the new code" in trainer.log)
        note_process(trainer.folder, "trainer", trainer.process.pid)  # type: ignore[union-attr]
        monkeypatch.setattr(handover, "_INSTALLED", "another")
        with pytest.raises(OldCode):
            hello(trainer)
    finally:
        trainer.end()
