"""A site that released rounds, copies of its files, and the commands that its people type."""

import shutil
from pathlib import Path

from typer.testing import CliRunner

from client.cli import app
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


def typed(*arguments: object) -> str:
    done = CliRunner().invoke(app, [*map(str, arguments)], catch_exceptions=False)
    assert done.exit_code == 0, done.output
    return " ".join(done.output.split())


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


def releases(hospital: HospitalFolder) -> tuple[Path, Path]:
    """The site after three rounds and two evaluations; and a copy of it as after the first."""
    state, old = hospital.folder / ".irene", hospital.folder / "old"
    assert train(hospital, 1).outcome == "updated" and evaluate(hospital, 1) == "evaluated"
    copied(state, old)
    for round in (2, 3):
        assert train(hospital, round).outcome == "updated"
    assert evaluate(hospital, 3) == "evaluated"
    return state, old
