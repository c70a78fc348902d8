"""Kill a real client at random moments, again and again, and see what its ledger is worth.

    python -m tests.drills.kill_drill --kills 200

A client process works on consecutive rounds of a small hospital (reserve, train, release; then the
same with the scores of validation patients), sends each update and each noised evaluation to a
listener on loopback and waits for its acknowledgement. The parent kills it with SIGKILL
at random moments and starts it again; the next life goes on with the first round that the listener
never acknowledged to it. The client is a node's, with its journal, which vouches for the ledger: no
kill may make one of them doubt the other. Afterwards the ledger is compared with what the listener
saw.
"""

import contextlib
import hashlib
import multiprocessing
import multiprocessing.connection
import os
import random
import signal
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated

import torch
import typer

from client.consent.consent import Consent
from client.ledger.ledger import Ledger, Reservation
from client.participant import Participant
from client.records.dataset import open_dataset
from client.training.training import pack
from irene_model.exchange.replies import EvaluateReply, TrainReply
from irene_model.exchange.requests import EvaluateRequest, TrainRequest
from irene_model.privacy.accountants import epsilon
from irene_model.study.records import SPLITS, Split
from irene_model.weights.weights import new_model, to_arrays
from tests.helpers.hospital_folder import HospitalFolder, write_hospital

RUN = "drill"
DELTA = 1e-3
PRIVACY = {"noise_multiplier": 1.0, "clip_norm": 1.0, "delta": DELTA}
LONGEST_LIFE = 3.0  # rounds; a life is between none and this
MODEL = {
    "hidden_size": 16,
    "num_hidden_layers": 2,
    "num_bidirectional_layers": 1,
    "num_attention_heads": 2,
    "intermediate_size": 16,
}


@dataclass(kw_only=True)
class Listener:
    """A server on loopback, as slow as a network.

    seen: (split, round) -> the hashes of all that was sent for it, and how often.
    """

    listener: multiprocessing.connection.Listener
    delay_s: float
    seen: dict[tuple[Split, int], Counter[str]] = field(default_factory=dict)
    refusals: list[str] = field(default_factory=list)

    def serve(self) -> None:
        """Answer one client after another, until one says that the drill is at its end."""
        while True:
            # A client that dies midway is simply gone.
            with contextlib.suppress(EOFError, ConnectionError), self.listener.accept() as client:
                self._answer(client)
                return

    def _answer(self, connection: multiprocessing.connection.Connection) -> None:
        while True:
            kind, key, payload = connection.recv()
            if kind == "end":
                return
            if kind == "refused":
                self.refusals.append(payload)
            else:
                self.seen.setdefault(key, Counter())[hashlib.sha256(payload).hexdigest()] += 1
            time.sleep(self.delay_s)
            connection.send("acknowledged")


def live(hospital: HospitalFolder, address: tuple[str, int], acknowledged: Path) -> None:
    """One life of the client: rounds without end, from the first that was not acknowledged."""
    with multiprocessing.connection.Client(address) as server:
        while True:
            round = int(acknowledged.read_text()) + 1
            for split, work in (("train", _train), ("validation", _evaluate)):
                reply = work(hospital, round)
                if reply.outcome in ("updated", "evaluated"):
                    server.send(("release", (split, round), pack(reply.arrays)))
                else:
                    server.send(("refused", (split, round), reply.reason))
                server.recv()
            new = acknowledged.with_suffix(".new")
            new.write_text(str(round))
            new.replace(acknowledged)


@dataclass(frozen=True, kw_only=True)
class Findings:
    """What the drill counted; `faults` is empty where the ledger kept its promises."""

    kills: int
    seconds: float
    seen: int
    sent_again: int
    reservations: int
    untrained: int  # kills between a reservation and its release
    epsilon_ledger: float
    epsilon_seen: float
    faults: tuple[str, ...]


def drill(folder: Path, *, kills: int, seed: int) -> Findings:
    """Run the drill in the empty `folder`."""
    torch.set_num_threads(1)  # its pool of threads would not survive a fork
    round_s = _warm_up(_hospital(folder / "elsewhere"))
    hospital = _hospital(folder / "hospital")
    open_dataset(hospital.site, hospital.study)
    acknowledged = folder / "acknowledged"
    acknowledged.write_text("0")
    started = time.monotonic()
    listener = Listener(
        listener=multiprocessing.connection.Listener(("127.0.0.1", 0)), delay_s=round_s / 3
    )
    thread = threading.Thread(target=listener.serve, daemon=True)
    thread.start()
    address: tuple[str, int] = listener.listener.address  # type: ignore[assignment]
    recorded: dict[int, Reservation] = {}
    lost = untrained = 0
    rng = random.Random(seed)
    for _ in range(kills):
        child = os.fork()
        if child == 0:
            _live_and_never_return(hospital, address, acknowledged)
        time.sleep(rng.uniform(0, LONGEST_LIFE * round_s))
        os.kill(child, signal.SIGKILL)
        _, status = os.waitpid(child, 0)
        if not os.WIFSIGNALED(status):
            raise RuntimeError(f"the client ended by itself: {listener.refusals[-1:]}")
        now = {r.id: r for r in Ledger.of(hospital.site).reservations()}  # verifies the chain
        lost += sum(
            now.get(id) is None or (old.released and not now[id].released)
            for id, old in recorded.items()
        )
        untrained += any(not r.released for r in now.values())
        recorded = now
    with multiprocessing.connection.Client(address) as last:
        last.send(("end", None, b""))
        thread.join()
    listener.listener.close()
    return _findings(
        tuple(recorded.values()),
        listener,
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


def _live_and_never_return(
    hospital: HospitalFolder, address: tuple[str, int], acknowledged: Path
) -> None:
    try:
        live(hospital, address, acknowledged)
    finally:
        os._exit(1)  # the parent's own cleaning up is not the child's to do


def _findings(
    reservations: Sequence[Reservation],
    listener: Listener,
    *,
    kills: int,
    lost: int,
    untrained: int,
    started: float,
) -> Findings:
    charged = {(r.split, r.round): r for r in reservations}
    sent = [charged[key] for key in listener.seen if key in charged]
    spent, seen = (_by_split(each) for each in (reservations, sent))
    checks = {
        "no update was seen, so nothing was tested": not listener.seen,
        "no evaluation was seen": not any(split == "validation" for split, _ in listener.seen),
        "a reservation or a release was lost": lost > 0,
        "a round has two reservations": len(charged) != len(reservations),
        "something was seen that has no charge": not listener.seen.keys() <= charged.keys(),
        "something was seen whose reservation is not released": any(
            not reservation.released for reservation in sent
        ),
        "a round was seen with two different contents": any(
            len(hashes) > 1 for hashes in listener.seen.values()
        ),
        "the ledger's epsilon is less than that of what was seen": any(
            spent[split] < seen[split] for split in spent
        ),
        f"the client refused a round: {listener.refusals[:1]}": bool(listener.refusals),
    }
    return Findings(
        kills=kills,
        seconds=time.monotonic() - started,
        seen=len(listener.seen),
        sent_again=sum(hashes.total() - 1 for hashes in listener.seen.values()),
        reservations=len(reservations),
        untrained=untrained,
        epsilon_ledger=max(spent.values()),
        epsilon_seen=max(seen.values()),
        faults=tuple(fault for fault, found in checks.items() if found),
    )


def _by_split(reservations: Sequence[Reservation]) -> dict[Split, float]:
    return {
        split: epsilon((r.mechanism for r in reservations if r.split == split), delta=DELTA)
        for split in SPLITS
    }


def main(
    kills: Annotated[int, typer.Option(min=1, help="How often the client is killed.")] = 200,
    seed: Annotated[int, typer.Option(help="Seed of the moments of the kills.")] = 0,
) -> None:
    """Kill a client at random moments and check its privacy ledger afterwards."""
    with tempfile.TemporaryDirectory() as folder:
        found = drill(Path(folder), kills=kills, seed=seed)
    typer.echo(f"{found.kills} kills in {found.seconds:.0f} s")
    typer.echo(f"{found.seen} releases seen by the listener, {found.sent_again} sent again")
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
