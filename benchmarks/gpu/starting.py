"""How long the first step of a round waits: a real trainer, from a message to its first step.

The trainer is the product's own, in a process of its own; only a clock is added to it, which
torch's optimizers call before each step. Gradients and noise of that step are made by then.
"""

import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from benchmarks.deployed.trainer import SCENARIO, Hospital
from benchmarks.gpu.section import Asked, Line
from client.consent import Consent
from client.site import Site
from client.trainer import hand_over
from irene_model.errors import IreneError
from irene_model.exchange import HelloRequest, Request, TrainRequest
from irene_model.weights import new_model, to_arrays
from simulations.hospitals import Scenario, write_hospitals

_SECTION = "trainer"
_ROUNDS = 3
_PATIENCE_S = 300.0
_CLOCKED = """
import sys, time
clock = sys.argv.pop()
def note(*_):
    with open(clock, "a") as file:
        file.write(f"{time.monotonic()}\\n")
from torch.optim.optimizer import register_optimizer_step_pre_hook
register_optimizer_step_pre_hook(note)
from client.trainer.trainer import main
main()
"""


def measure(asked: Asked) -> Iterator[Line]:
    """A greeting, which prepares the files, and rounds of one step each."""
    settings = [
        f"model={{preset: {asked.preset}}}",
        "image={size: 224, patch: 16}",
        "privacy.noise_multiplier=2",
        "federation.local_steps=1",
        f"federation.rounds={_ROUNDS}",
    ]
    scenario = Scenario.read(SCENARIO, settings)
    folder = asked.folder / "hospitals"
    write_hospitals(scenario, folder, seed=1)
    kept = _Clocked.at((folder / "north" / "site.yaml").resolve(), scenario, asked)
    weights = to_arrays(new_model(scenario.study, seed=1))
    try:
        yield _line("start, and the files' preparation", kept.ask("query", kept.greeting()))
        for number in range(1, _ROUNDS + 1):
            request = TrainRequest.about(scenario.study, run="r", round=number, arrays=weights)
            before = kept.steps_seen()
            answered = kept.ask("train", request)
            stepped = kept.steps_seen()[len(before)] - kept.asked_at
            yield _line(f"message to first step, round {number}", stepped)
            yield _line(f"message to answer, round {number}", answered)
    finally:
        kept.end()


def _line(what: str, seconds: float) -> Line:
    return Line(section=_SECTION, what=what, variant="fused", value=seconds, unit="s")


@dataclass(kw_only=True)
class _Clocked:
    """A trainer with a clock, started as the node's supervisor would."""

    hospital: Hospital
    clock: Path
    process: "subprocess.Popen[bytes]"
    asked_at: float = field(default=0.0, init=False)

    @classmethod
    def at(cls, site_file: Path, scenario: Scenario, asked: Asked) -> "_Clocked":
        """Of this site, which has approved the study."""
        hospital = Hospital(site_file=site_file, study=scenario.study)
        Consent.of(Site.read(site_file)).approve(scenario.study)
        hospital.note("superexec", os.getpid())
        clock = asked.folder / "steps"
        process = subprocess.Popen(
            [sys.executable, "-P", "-c", _CLOCKED, str(hospital.folder), str(clock)],
            env={**os.environ, **_visible(asked.device)},
        )
        hospital.note("trainer", process.pid)
        return cls(hospital=hospital, clock=clock, process=process)

    def greeting(self) -> HelloRequest:
        """What every run begins with."""
        return HelloRequest.about(self.hospital.study, run="r")

    def ask(self, kind: str, request: Request) -> float:
        """Seconds until the answer, which must not be a refusal."""
        question = self.hospital.question(kind, request)
        self.asked_at = time.monotonic()
        values = hand_over(self.hospital.folder, question, patience_s=_PATIENCE_S).facts["values"]
        seconds = time.monotonic() - self.asked_at
        if values["outcome"] not in ("ready", "updated"):
            raise IreneError(f"the trainer answered {json.dumps(values)[:300]}")
        return seconds

    def steps_seen(self) -> list[float]:
        """When the trainer's steps began, as `time.monotonic` tells it in every process."""
        if not self.clock.is_file():
            return []
        return [float(line) for line in self.clock.read_text(encoding="utf-8").split()]

    def end(self) -> None:
        """No trainer is left."""
        self.process.kill()
        self.process.wait()


def _visible(device: str) -> dict[str, str]:
    """What makes `device: auto` of a site.yaml choose this device."""
    if device == "cpu":
        return {"CUDA_VISIBLE_DEVICES": ""}
    _, _, number = device.partition(":")
    return {"CUDA_VISIBLE_DEVICES": number} if number else {}
