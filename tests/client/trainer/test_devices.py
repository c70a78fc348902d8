"""A trainer with two devices: their process lives, and ends, with it."""

import os
import signal
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from client.consent.consent import Consent
from client.ledger.ledger import Ledger
from irene_model.exchange.protocol import Flat
from irene_model.exchange.requests import TrainRequest
from irene_model.operations.orphans import born
from irene_model.weights.weights import new_model, to_arrays
from tests.helpers.hospital_folder import SMALL, write_hospital
from tests.helpers.trainers import KeptTrainer

pytestmark = pytest.mark.slow


@pytest.fixture
def trainer(tmp_path: Path) -> Iterator[KeptTrainer]:
    hospital = write_hospital(tmp_path / "north")
    for key, value in (
        ("model", SMALL),
        ("federation.rounds", 100),
        ("privacy", {"noise_multiplier": 2.0, "clip_norm": 1.0, "delta": 1e-3}),
    ):
        hospital.configure(key, value, "study.yaml")
    hospital.configure("budget", {"epsilon": 1e6, "delta": 1e-3})
    hospital.configure("device", ["cpu", "cpu"])
    Consent.of(hospital.site).approve(hospital.study)
    trainer = KeptTrainer(hospital=hospital)
    trainer.start()
    yield trainer
    trainer.end()


def train(trainer: KeptTrainer, round: int) -> Flat:
    study = trainer.hospital.study
    weights = to_arrays(new_model(study, seed=1))
    request = TrainRequest.about(study, run="r", round=round, arrays=weights)
    return trainer.ask("train", request, patience_s=600.0)  # the first one loads libraries twice


def workers(trainer: KeptTrainer) -> list[int]:
    """The trainer's living children that work for it."""
    assert trainer.process is not None
    found = []
    for path in Path("/proc").glob("[0-9]*"):
        try:
            command = (path / "cmdline").read_bytes()
            parent = (path / "stat").read_text().rpartition(")")[2].split()[1]
        except OSError:
            continue
        if b"client.devices.process" in command and int(parent) == trainer.process.pid:
            found.append(int(path.name))
    return [pid for pid in found if born(pid)]


def wait(true: Callable[[], bool], patience_s: float = 60.0) -> None:
    until = time.monotonic() + patience_s
    while not true():
        assert time.monotonic() < until
        time.sleep(0.05)


def test_a_worker_stays_fails_one_message_when_it_dies_and_leaves_no_orphan(
    trainer: KeptTrainer,
) -> None:
    assert train(trainer, 1).values["outcome"] == "updated"
    (pid,) = workers(trainer)
    assert train(trainer, 2).values["outcome"] == "updated"
    assert workers(trainer) == [pid]  # the same one for every message

    os.kill(pid, signal.SIGKILL)
    failed = train(trainer, 3).values
    assert (failed["outcome"], failed["code"]) == ("failed", "error")
    assert failed["reason"] == "error at the site (WorkerLost); the site's log says more"
    assert trainer.log.count("device: the process of cpu, the device number 2 of site.yaml") == 1
    assert "Traceback" not in trainer.log
    rows = Ledger.of(trainer.hospital.site).reservations()
    assert [(each.round, each.released) for each in rows] == [(1, True), (2, True), (3, False)]

    assert train(trainer, 3).values["outcome"] == "updated"  # charged once
    assert len(Ledger.of(trainer.hospital.site).reservations()) == 3
    (other,) = workers(trainer)
    assert other != pid and trainer.process is not None
    trainer.process.kill()
    trainer.process.wait()
    wait(lambda: not born(other), patience_s=5)
