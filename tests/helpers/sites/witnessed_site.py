"""What a site is asked whose ledger people doubt, and copies and losses of its files."""

import shutil
from pathlib import Path

from client.participant import Participant
from irene_model.exchange.replies import HelloReply, TrainReply
from irene_model.exchange.requests import EvaluateRequest, HelloRequest, TrainRequest
from irene_model.study.records import HeldOut
from irene_model.weights.weights import new_model, to_arrays
from tests.helpers.hospital_folder import HospitalFolder

LEDGER = ("ledger.sqlite", "ledger.sqlite.head", "ledger.sqlite.key")
ALL = (*LEDGER, "journal.jsonl")


def train(hospital: HospitalFolder, round: int, *, run: str = "r", told: int = 0) -> TrainReply:
    study = hospital.study
    request = TrainRequest.about(
        study, run=run, round=round, rounds_charged=told, arrays=to_arrays(new_model(study, seed=1))
    )
    return Participant.of_node(hospital.site_file).train(request)


def evaluate(hospital: HospitalFolder, round: int, split: HeldOut = "validation") -> str:
    study = hospital.study
    arrays = to_arrays(new_model(study, seed=1))
    request = EvaluateRequest.about(study, run="r", round=round, split=split, arrays=arrays)
    return str(Participant.of_node(hospital.site_file).evaluate(request).outcome)


def hello(hospital: HospitalFolder) -> HelloReply:
    request = HelloRequest.about(hospital.study, run="r")
    return Participant.of_node(hospital.site_file).hello(request)


def copied(folder: Path, to: Path, names: tuple[str, ...] = ALL) -> None:
    to.mkdir(exist_ok=True)
    for name in names:
        if (folder / name).exists():
            shutil.copy2(folder / name, to / name)


def head_lost(state: Path, old: Path) -> None:
    (state / "ledger.sqlite.head").unlink()


def ledger_and_head_lost(state: Path, old: Path) -> None:
    for name in LEDGER:
        (state / name).unlink()
