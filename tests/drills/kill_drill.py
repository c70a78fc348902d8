"""Kill a real trainer at random moments, again and again, and see what its ledger is worth.

    python -m tests.drills.kill_drill --kills 200

A node's trainer answers for a small hospital (reserve, train, release; then the same with the
scores of validation patients). This process asks it, as SuperExec does, for one round after another
through the trainer's socket, and notes each update and each noised evaluation that comes back. Some
of them it asks for again, as where SuperExec or the SuperNode was killed with a reply in its hands.
Meanwhile it kills the trainer with SIGKILL at random moments and starts it again. The client is a
node's, with its journal, which vouches for the ledger: no kill may make one of them doubt the
other. Afterwards the ledger is compared with what came back.
"""

import contextlib
import os
import random
import signal
import tempfile
import threading
import time
from pathlib import Path
from typing import Annotated, Any

import torch
import typer

from client.consent.consent import Consent
from client.gateway.connection import node_folder
from client.ledger.ledger import Ledger, Reservation
from client.participant import Participant
from client.records.dataset import open_dataset
from client.trainer.parcels import Parcel
from client.trainer.trainer import Trainer
from irene_model.exchange.replies import EvaluateReply, TrainReply
from irene_model.exchange.requests import EvaluateRequest, TrainRequest
from irene_model.journal.private_files import private_folder
from irene_model.study.records import Split
from irene_model.weights.weights import new_model, to_arrays
from tests.drills.kill_asker import DELTA, Asker, Findings, findings
from tests.helpers.hospital_folder import HospitalFolder, write_hospital
from tests.helpers.trainers import note_process

RUN = "drill"
PRIVACY = {"noise_multiplier": 1.0, "clip_norm": 1.0, "delta": DELTA}
LONGEST_LIFE = 3.0  # rounds; a life is between none and this
MODEL = {
    "hidden_size": 16,
    "num_hidden_layers": 2,
    "num_bidirectional_layers": 1,
    "num_attention_heads": 2,
    "intermediate_size": 16,
}


def drill(folder: Path, *, kills: int, seed: int) -> Findings:
    """Run the drill in the empty `folder`."""
    torch.set_num_threads(1)  # its pool of threads would not survive a fork
    round_s = _warm_up(_hospital(folder / "elsewhere"))
    hospital = _hospital(folder / "hospital")
    open_dataset(hospital.site, hospital.study)
    state = private_folder(node_folder(hospital.site))
    note_process(state, "superexec", os.getpid())
    started, rng = time.monotonic(), random.Random(seed)
    asker = Asker(
        folder=state, questions=_questions(hospital), delay_s=round_s / 3, lost=random.Random(seed)
    )
    thread = threading.Thread(target=asker.ask, daemon=True)
    thread.start()
    recorded: dict[int, Reservation] = {}
    lost = untrained = 0
    for _ in range(kills):
        child = os.fork()
        if child == 0:
            _serve_and_never_return(state)
        note_process(state, "trainer", child)
        time.sleep(rng.uniform(0, LONGEST_LIFE * round_s))
        with contextlib.suppress(ProcessLookupError):
            os.kill(child, signal.SIGKILL)
        _, status = os.waitpid(child, 0)
        if not os.WIFSIGNALED(status):
            raise RuntimeError(f"the trainer ended by itself: {asker.refusals[-1:]}")
        now = {r.id: r for r in Ledger.of(hospital.site).reservations()}  # verifies the chain
        lost += sum(
            now.get(id) is None or (old.released and not now[id].released)
            for id, old in recorded.items()
        )
        untrained += any(not r.released for r in now.values())
        recorded = now
    asker.over.set()
    thread.join()
    return findings(
        tuple(recorded.values()),
        asker,
        kills=kills,
        lost=lost,
        untrained=untrained,
        started=started,
    )


def _hospital(folder: Path) -> HospitalFolder:
    hospital = write_hospital(folder)
    for key, value in (("model", MODEL), ("federation.rounds", 100_000), ("privacy", PRIVACY)):
        hospital.configure(key, value, "study.yaml")
    hospital.configure("budget", {"epsilon": 1e6, "delta": DELTA})
    Consent.of(hospital.site).approve(hospital.study)
    return hospital


def _warm_up(hospital: HospitalFolder) -> float:
    """Seconds of a round, once all is imported that a forked client will use."""
    return [
        _train(hospital, round).seconds + _evaluate(hospital, round).seconds for round in (1, 2, 3)
    ][-1]


def _train(hospital: HospitalFolder, round: int) -> TrainReply:
    study = hospital.study
    weights = to_arrays(new_model(study, seed=0))
    return Participant.of_node(hospital.site_file).train(
        TrainRequest.about(study, run=RUN, round=round, arrays=weights)
    )


def _evaluate(hospital: HospitalFolder, round: int) -> EvaluateReply:
    study = hospital.study
    request = EvaluateRequest.about(
        study,
        run=RUN,
        round=round,
        split="validation",
        arrays=to_arrays(new_model(study, seed=0)),
    )
    return Participant.of_node(hospital.site_file).evaluate(request)


def _questions(hospital: HospitalFolder) -> dict[Split, Parcel]:
    """What is asked for each round, but for its number."""
    study = hospital.study
    weights = to_arrays(new_model(study, seed=0))
    common: dict[str, Any] = {"run": RUN, "round": 1, "arrays": weights}
    asked: dict[Split, tuple[str, TrainRequest | EvaluateRequest]] = {
        "train": ("train", TrainRequest.about(study, **common)),
        "validation": ("evaluate", EvaluateRequest.about(study, split="validation", **common)),
    }
    config = {"site": str(hospital.site_file), "name": hospital.site.site}
    return {
        split: Parcel(
            facts={
                "kind": kind, "waited_s": 0.0, "values": request.to_flat().values, "config": config,
            },
            arrays=request.to_flat().packed(),
        )
        for split, (kind, request) in asked.items()
    }  # fmt: skip


def _serve_and_never_return(state: Path) -> None:
    try:
        Trainer(folder=state).serve()
    finally:
        os._exit(1)  # the parent's own cleaning up is not the child's to do


def main(
    kills: Annotated[int, typer.Option(min=1, help="How often the trainer is killed.")] = 200,
    seed: Annotated[int, typer.Option(help="Seed of the moments of the kills.")] = 0,
) -> None:
    """Kill a trainer at random moments and check its privacy ledger afterwards."""
    with tempfile.TemporaryDirectory() as folder:
        found = drill(Path(folder), kills=kills, seed=seed)
    typer.echo(
        f"{found.kills} kills in {found.seconds:.0f} s, {found.deaths} with a message in work"
    )
    typer.echo(f"{found.seen} releases seen, {found.sent_again} sent again")
    typer.echo(
        f"{found.reservations} reservations; {found.untrained} kills came before the release"
    )
    typer.echo(
        f"epsilon {found.epsilon_ledger:.4f} in the ledger, {found.epsilon_seen:.4f} of what was "
        "seen"
    )
    for fault in found.faults:
        typer.echo(f"FAULT: {fault}", err=True)
    if found.faults:
        raise typer.Exit(1)
    typer.echo("no fault")


if __name__ == "__main__":
    typer.run(main)
