"""What a message costs at a hospital: the trainer that stays, beside a fresh process for each.

    OMP_NUM_THREADS=1 python -m benchmarks.deployed.trainer --out runs/trainer

Both answer the same messages of the smoke scenario's first hospital, in turns: a greeting, which
trains nothing, and a round of two steps. The trainer gets them through its socket; what hands them
over is counted too. A fresh process gets them through its stdin and is what Flower starts for each
message, but for Flower's own libraries and its talk with the SuperNode. Medians; processor time is
user and system together.
"""

import json
import os
import socket
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import typer

from client.consent import Consent
from client.gateway import node_folder
from client.site import Site
from client.trainer import Parcel, command, hand_over
from client.trainer.parcels import receive, send
from irene_model.console import new_app, run_app
from irene_model.errors import IreneError
from irene_model.exchange import HelloRequest, Request, TrainRequest
from irene_model.journal import private_folder
from irene_model.operations.orphans import born
from irene_model.study import Study
from irene_model.weights import new_model, to_arrays
from simulations.hospitals import Scenario, write_hospitals

app = new_app(
    "Processor time and seconds of a message at a hospital, with and without a trainer.\n"
)
SCENARIO = Path(__file__).parents[2] / "simulations" / "scenarios" / "smoke.yaml"
_FRESH = """
import socket
from client.answers import Asked, safe_answer
from client.trainer.parcels import Parcel, receive, send
peer = socket.socket(fileno=0)
question = receive(peer)
facts = question.facts
asked = Asked(
    kind=facts["kind"], created_at=facts["created_at"], values=facts["values"],
    arrays=question.arrays,
)
reply = safe_answer(asked, facts["config"])
send(peer, Parcel(facts={"values": reply.values}, arrays=reply.packed()))
"""


@dataclass(frozen=True, kw_only=True)
class Cost:
    """Of one message, in seconds. processor: of all processes of the hospital."""

    processor: float
    wall: float


@dataclass(kw_only=True)
class Hospital:
    """A site with a node's folder, in which this process is SuperExec."""

    site_file: Path
    study: Study

    @property
    def folder(self) -> Path:
        """The node's."""
        return node_folder(Site.read(self.site_file))

    def note(self, name: str, pid: int) -> None:
        """As the node's supervisor does when it has started a process."""
        facts = {"pid": pid, "started": "2026-01-01T00:00:00+00:00", "restarts": 0}
        text = json.dumps({**facts, "born": born(pid)})
        (private_folder(self.folder) / f"{name}.json").write_text(text, encoding="utf-8")

    def question(self, kind: str, request: Request) -> Parcel:
        """`request` as it is handed over."""
        flat = request.to_flat()
        facts = {"kind": kind, "created_at": time.time(), "waited_s": 0.0, "values": flat.values}
        config = {"site": str(self.site_file), "name": "north"}
        return Parcel(facts={**facts, "config": config}, arrays=flat.packed())


def fresh(question: Parcel) -> Cost:
    """A process for this message alone."""
    started = time.monotonic()
    ours, theirs = socket.socketpair()
    with ours:
        with theirs:
            process = subprocess.Popen([sys.executable, "-P", "-c", _FRESH], stdin=theirs.fileno())
        send(ours, question)
        _check(receive(ours))
        wall = time.monotonic() - started
    _, _, used = os.wait4(process.pid, 0)
    process.returncode = 0
    return Cost(processor=used.ru_utime + used.ru_stime, wall=wall)


def kept(hospital: Hospital, pid: int, question: Parcel) -> Cost:
    """The trainer `pid`."""
    started, ours, theirs = time.monotonic(), time.process_time(), _processor(pid)
    _check(hand_over(hospital.folder, question, patience_s=600.0))
    wall, ours = time.monotonic() - started, time.process_time() - ours
    time.sleep(0.5)  # it gives memory back after its answer
    return Cost(processor=ours + _processor(pid) - theirs, wall=wall)


def _processor(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def _check(answer: Parcel) -> None:
    outcome = answer.facts["values"]["outcome"]
    if outcome not in ("ready", "updated"):
        raise IreneError(f"the client answered {outcome}: {answer.facts['values']['reason']}")


@app.command()
def main(
    *,
    out: Annotated[Path, typer.Option(metavar="DIR", help="A new folder for the hospitals.")],
    messages: Annotated[int, typer.Option(min=1, help="Of each kind, to each.")] = 10,
) -> None:
    """One line for each kind of message and each way."""
    settings = ["privacy.noise_multiplier=2", f"federation.rounds={4 * messages}"]
    scenario = Scenario.read(SCENARIO, settings)
    write_hospitals(scenario, out, seed=1)
    hospital = Hospital(site_file=(out / "north" / "site.yaml").resolve(), study=scenario.study)
    site = Site.read(hospital.site_file)
    Consent.of(site).approve(hospital.study)
    hospital.note("superexec", os.getpid())
    trainer = subprocess.Popen(command(hospital.folder))
    hospital.note("trainer", trainer.pid)
    weights = to_arrays(new_model(hospital.study, seed=1))
    rounds = iter(range(1, 4 * messages + 1))

    def greeting() -> Parcel:
        return hospital.question("query", HelloRequest.about(hospital.study, run="r"))

    def training() -> Parcel:
        request = TrainRequest.about(hospital.study, run="r", round=next(rounds), arrays=weights)
        return hospital.question("train", request)

    ways: dict[str, Callable[[Parcel], Cost]] = {
        "a fresh process": fresh,
        "the trainer": lambda question: kept(hospital, trainer.pid, question),
    }
    try:
        for kind, ask in (("greeting", greeting), ("round of two steps", training)):
            costs: dict[str, list[Cost]] = {name: [] for name in ways}
            for turn in range(messages + 1):
                for name, way in ways.items():
                    cost = way(ask())
                    if turn:  # the first one builds what is kept on disk
                        costs[name].append(cost)
            for name, known in costs.items():
                processor = statistics.median(each.processor for each in known)
                wall = statistics.median(each.wall for each in known)
                typer.echo(f"{kind:20} {name:16} processor {processor:6.2f} s  wall {wall:6.2f} s")
    finally:
        trainer.kill()
        trainer.wait()


if __name__ == "__main__":
    run_app(app)
