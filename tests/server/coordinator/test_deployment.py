"""The same apps in Flower's deployment: a real SuperLink and a real SuperNode on loopback.

One hospital is enough: Flower's own client starts a process for each message, ten seconds of a
core, and more hospitals are in the tests of our own nodes. It runs a round, which is then taken
away and run again. Noise comes from the operating system here, so equal weights can only be the
very bytes that were released before.
"""

import contextlib
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml
from safetensors.torch import load_file
from transformers import ViTConfig, ViTModel

from client.consent.consent import Consent
from client.ledger.exposures import at_most, least_exposures
from client.ledger.ledger import Ledger, Reservation
from client.site.site import Site
from irene_model.network.model import IreneModel
from irene_model.study.study import Study
from simulations.hospitals.hospitals import write_hospitals
from simulations.hospitals.scenario import Scenario
from tests.helpers.ports import free_port

CHECKOUT = Path(__file__).resolve().parents[3]
BIN = Path(sys.executable).parent  # not resolved: a virtual environment's python is a link
SETTINGS = (
    "federation.rounds=1",
    "federation.evaluate_every=1",
    "federation.minimum_sites=1",
    "cohort.patients=60",
    "cohort.sites=[{name: north}]",
)
START_S, RUN_S, STOP_S = 180, 600, 20  # limits, far above what a quiet machine needs
LOOK_S = 15  # `flwr list` costs a second of a core: seldom, unless results are there
QUIET = {
    "FLWR_TELEMETRY_ENABLED": "0",
    "FLWR_DISABLE_UPDATE_CHECK": "1",
    "FLWR_DISABLE_RUNTIME_DEPENDENCY_INSTALLATION": "1",
    "OMP_NUM_THREADS": "1",
}


@dataclass(kw_only=True)
class Federation:
    """Processes of one federation, each with a log and a FLWR_HOME of its own under `folder`."""

    folder: Path
    port: int
    processes: dict[str, subprocess.Popen[bytes]] = field(default_factory=dict)

    def environment(self, name: str) -> dict[str, str]:
        """As on a machine where only the wheel is installed: neither PYTHONPATH nor cwd help."""
        inherited = {k: v for k, v in os.environ.items() if not k.startswith(("PYTHON", "FLWR"))}
        path = f"{BIN}{os.pathsep}{os.environ['PATH']}"  # nodes start flwr-clientapp from PATH
        return {**inherited, **QUIET, "PATH": path, "FLWR_HOME": str(self.folder / name)}

    def log(self, name: str) -> Path:
        return self.folder / f"{name}.log"

    def start(self, name: str, *command: str) -> None:
        """Start a daemon in a session of its own, so that its whole group can be ended."""
        with self.log(name).open("wb") as log:
            self.processes[name] = subprocess.Popen(
                [str(BIN / command[0]), *command[1:]],
                cwd=self.folder,
                env=self.environment(name),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )

    def flwr(self, *arguments: str) -> dict[str, Any]:
        """A `flwr` command's JSON answer."""
        done = subprocess.run(
            [str(BIN / "flwr"), *arguments, "--format", "json"],
            cwd=self.folder,
            env=self.environment("coordinator"),
            capture_output=True,
            text=True,
            timeout=START_S,
            check=False,
        )
        assert done.returncode == 0, f"{done.stdout}\n{done.stderr}\n{self.logs()}"
        answer: dict[str, Any] = json.loads(done.stdout)
        return answer

    def run(self, *, out: Path, **config: str | int) -> None:
        """Submit a run that writes into `out` and wait until it has completed."""
        values = " ".join(f"{k}={json.dumps(v)}" for k, v in {"out": str(out), **config}.items())
        run = self.flwr("run", str(CHECKOUT), "here", "--run-config", values)["run-id"]
        deadline = time.monotonic() + RUN_S
        while not (status := self.status(run)).startswith("finished"):
            assert time.monotonic() < deadline, f"still {status}\n{self.logs()}"
            look = time.monotonic() + LOOK_S
            while time.monotonic() < look and not (out / "report.html").exists():
                ended = [name for name, p in self.processes.items() if p.poll() is not None]
                assert not ended, f"ended by themselves: {ended}\n{self.logs()}"
                time.sleep(0.2)
        assert status == "finished:completed", f"{status}\n{self.logs()}"

    def status(self, run: str) -> str:
        """`flwr run --stream` exits 0 for failed runs too; the list tells."""
        (found,) = (r for r in self.flwr("list", "here")["runs"] if r["run-id"] == run)
        return str(found["status"])

    def logs(self) -> str:
        """The ends of all logs."""
        return "\n".join(
            f"--- {name}\n{self.log(name).read_text(errors='replace')[-4000:]}"
            for name in self.processes
        )

    def stop(self) -> None:
        """End everything: politely, then by force; nothing may outlive the test."""
        groups = _sessions(process.pid for process in self.processes.values())
        for number in (signal.SIGTERM, signal.SIGKILL):
            for group in groups:
                with contextlib.suppress(ProcessLookupError):
                    os.killpg(group, number)
            for process in self.processes.values():
                with contextlib.suppress(subprocess.TimeoutExpired):
                    process.wait(STOP_S)


def _sessions(roots: Iterator[int]) -> set[int]:
    """Sessions of `roots` and their descendants: a SuperLink's executor leads one of its own."""
    table = subprocess.run(
        ["ps", "-e", "-o", "pid=,ppid=,pgid="], capture_output=True, text=True, check=True
    ).stdout
    rows = [tuple(int(cell) for cell in line.split()) for line in table.splitlines()]
    family = set(roots)
    while grown := {pid for pid, parent, _ in rows if parent in family} - family:
        family |= grown
    return {group for pid, _, group in rows if pid in family}


def _wait_for(federation: Federation) -> None:
    deadline = time.monotonic() + START_S
    while True:
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", federation.port)):
            return
        assert time.monotonic() < deadline, federation.logs()
        time.sleep(0.1)


@pytest.fixture(scope="module")
def sites(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """A synthetic hospital; its study.yaml lies one folder up."""
    scenario = Scenario.read(CHECKOUT / "simulations/scenarios/smoke.yaml", SETTINGS)
    written = write_hospitals(scenario, tmp_path_factory.mktemp("hospitals") / "all", seed=0)
    study = Study.read(written[0].parents[1] / "study.yaml")
    for path in written:
        Consent.of(Site.read(path)).approve(study)
    return {Site.read(path).site: path for path in written}


@pytest.fixture
def federation(tmp_path: Path, sites: Mapping[str, Path]) -> Iterator[Federation]:
    """A SuperLink on loopback and a SuperNode for each site."""
    federation = Federation(folder=tmp_path, port=free_port())
    address = f"127.0.0.1:{federation.port}"
    (tmp_path / "coordinator").mkdir()
    (tmp_path / "coordinator" / "config.toml").write_text(
        f'[superlink]\ndefault = "here"\n\n[superlink.here]\naddress = "{address}"\n'
        "insecure = true\n",
        encoding="utf-8",
    )
    try:
        port = str(federation.port)
        federation.start("superlink", "flower-superlink", "--insecure", "--port", port)
        _wait_for(federation)
        for name, path in sites.items():
            federation.start(
                name,
                "flower-supernode",
                "--insecure",
                *("--superlink", address, "--port", str(free_port())),
                *("--node-config", f'site="{path}"'),
            )
        yield federation
    finally:
        federation.stop()


def _reservations(path: Path) -> tuple[Reservation, ...]:
    return Ledger.of(Site.read(path)).reservations()


@pytest.mark.slow
def test_a_federation_runs_a_round_and_repeats_it_from_the_ledgers(
    federation: Federation, sites: dict[str, Path]
) -> None:
    out = federation.folder / "run"
    study = next(iter(sites.values())).parents[1] / "study.yaml"
    vit = _write_vit(federation.folder / "vit")
    start = {"start-image": str(vit)}
    federation.run(out=out, study=str(study), seed=1, sites=1, **start)

    first = IreneModel.from_pretrained(out / "checkpoints" / "round-0000")
    token = load_file(vit / "model.safetensors")["embeddings.cls_token"].flatten()
    assert torch.equal(first.embeddings.class_token.token, token)
    (line,) = [json.loads(line) for line in (out / "rounds.jsonl").read_text().splitlines()]
    outcomes = {site: entry["outcome"] for site, entry in line["sites"].items()}
    assert (line["round"], outcomes) == (1, dict.fromkeys(sites, "updated"))

    results = json.loads((out / "results.json").read_text())
    assert results["sites"] == sorted(sites)
    (arm,) = results["arms"]
    assert arm == "federated-dp"
    assert results["arms"][arm]["rounds"] == 1
    run, delta = json.loads((out / "run.json").read_text())["run"], _delta(study)
    for site, path in sites.items():
        ledger = Ledger.of(Site.read(path))
        assert [
            (r.run, r.round, r.released) for r in ledger.reservations() if r.split == "train"
        ] == [(run, 1, True)]
        spent = results["arms"][arm]["privacy"][site]
        charged = least_exposures(ledger.reservations(), delta=delta)
        both = at_most(charged, delta=delta)
        assert spent == {
            "epsilon": both.smallest,
            "rdp": both.rdp,
            "prv": both.prv,
            "delta": delta,
            "unit": "patient",
        }
        assert 0 < spent["epsilon"] <= 8
    assert (out / "report.html").stat().st_size > 1000
    last = out / "checkpoints" / "round-0001"
    assert IreneModel.from_pretrained(last).config.num_hidden_layers == 2
    # What travelled to the nodes holds no code: they ran what is installed.
    assert list(federation.folder.glob("*/apps/*/pyproject.toml"))
    assert not list(federation.folder.glob("*/apps/**/*.py"))

    before = {site: _reservations(path) for site, path in sites.items()}
    weights = (last / "model.safetensors").read_bytes()
    shutil.rmtree(last)
    (out / "results.json").unlink()
    (out / "report.html").unlink()
    federation.run(out=out, study=str(study), seed=1, sites=1)

    assert (last / "model.safetensors").read_bytes() == weights
    assert {site: _reservations(path) for site, path in sites.items()} == before
    (repeated,) = [json.loads(line) for line in (out / "rounds.jsonl").read_text().splitlines()]
    assert repeated["round"] == 1
    again = json.loads((out / "results.json").read_text())
    assert again["arms"][arm]["privacy"] == results["arms"][arm]["privacy"]


def _write_vit(folder: Path) -> Path:
    """A random ViT of the sizes of the smoke scenario's model."""
    config = ViTConfig(
        hidden_size=16, num_hidden_layers=2, num_attention_heads=2, intermediate_size=16,
        image_size=32, patch_size=16, layer_norm_eps=1e-6,
    )  # fmt: skip
    ViTModel(config).save_pretrained(folder)
    return folder


def _delta(study: Path) -> float:
    delta: float = yaml.safe_load(study.read_text(encoding="utf-8"))["privacy"]["delta"]
    return delta
