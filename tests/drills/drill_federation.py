"""The real federation that the drill disturbs: coordinator, gateway and hospitals' nodes.

Everything is started by the commands that people type. Each hospital reaches the gateway over a
line of its own, which can be cut.
"""

import contextlib
import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from client.gateway.connection import node_folder
from client.site.site import Site
from irene_model.operations.supervised import running
from server.coordinator.coordinator import Coordinator
from server.coordinator.services import QUIET, listens
from simulations.hospitals.hospitals import write_hospitals
from simulations.hospitals.scenario import Scenario
from tests.drills.drill_line import Line
from tests.helpers.background import Background, free_row
from tests.helpers.coordinator_folder import free_ports
from tests.helpers.wrong_clock import HERE, WrongClock

CHECKOUT = Path(__file__).resolve().parents[2]
PATIENCE_S = 180.0
SERVER = (sys.executable, "-c", "from server.cli import main; main()")
CLIENT = (sys.executable, "-c", "from client.cli import main; main()")


@dataclass(kw_only=True)
class Drill(Background):
    """A coordinator in `folder`/federation and hospitals in `folder`/hospitals."""

    scenario: Scenario
    coordinator: Coordinator = field(init=False)
    sites: dict[str, Path] = field(default_factory=dict)
    lines: dict[str, Line] = field(default_factory=dict)
    clocks: dict[str, WrongClock] = field(default_factory=dict)

    def start(self) -> None:
        """From nothing to hospitals that have approved the study and are connected."""
        paths = write_hospitals(self.scenario, self.folder / "hospitals", seed=0)
        self.sites = {path.parent.name: path for path in paths}
        port, first = free_ports(1)[0], free_row(8)
        ports = ("--port", str(port), "--loopback-port", str(first))
        self.run(*SERVER, "init", "federation", "--host", "127.0.0.1", *ports)
        self.coordinator = Coordinator.open(self.folder / "federation")
        self._background("start", *SERVER, "start", "federation")
        self.wait(
            "the gateway", lambda: listens(port) and "ready" in self.said("start"), PATIENCE_S
        )
        for name, path in self.sites.items():
            self.lines[name] = Line(("127.0.0.1", port))
            self.run(*CLIENT, "keygen", str(path.parent / "keys"))
            public = path.parent / "keys" / "hospital.pub"
            self.run(*SERVER, "enroll", "federation", str(public), "--name", name)
            self.plan(name)
            self.run(*CLIENT, "approve", str(self.study), str(path), "--yes")
            self.start_node(name)

    def start_node(self, name: str) -> None:
        """`irene-client start`, with the drill's hand on its client and on its clock."""
        path = self.sites[name]
        key = path.parent / "keys" / "hospital.key"
        certificate = self.coordinator.certificates / "ca.crt"
        self._background(
            f"node-{name}",
            *(*CLIENT, "start", str(path), "--server", self.lines[name].address),
            *("--ca", str(certificate), "--key", str(key)),
            **{
                "IRENE_DRILL_PLAN": str(self._plan_file(name)),
                "PYTHONPATH": os.pathsep.join(
                    [str(CHECKOUT / "tests" / "drills" / "hand"), str(CHECKOUT)]
                ),
                **self._clock(name),
            },
        )
        log = node_folder(Site.read(path)) / "logs" / "superexec.log"
        self.wait(f"{name}'s node", log.exists, PATIENCE_S)

    def set_clock(self, name: str, shift_s: int) -> None:
        """Set the clock of `name`'s node, and of all that it starts, off by so many seconds."""
        if name in self.clocks:
            self.clocks[name].set(shift_s)

    @property
    def study(self) -> Path:
        """study.yaml."""
        return self.folder / "hospitals" / "study.yaml"

    def run_folder(self, run: str) -> Path:
        """Where a run of the coordinator lies."""
        return self.coordinator.runs / run

    def submit(self, run: str) -> subprocess.Popen[bytes]:
        """`irene-server run`, which follows the run to its end."""
        return self._background(run, *SERVER, "run", "federation", str(self.study), "--name", run)

    def plan(
        self, name: str, *, spoil: Mapping[int, str] | None = None, slowness: float = 1
    ) -> None:
        """What `name`'s client does from now on; see `tests.drills.drill_client`."""
        notes = self.notes(name)
        notes.mkdir(exist_ok=True)
        plan = {"notes": str(notes), "spoil": dict(spoil or {}), "slowness": slowness}
        work = self._plan_file(name).with_suffix(".partial")
        work.write_text(json.dumps(plan))
        work.replace(self._plan_file(name))

    def notes(self, name: str) -> Path:
        """The updates that left `name`."""
        return self.sites[name].parent / "notes"

    def lines_of(self, run: str) -> list[dict[str, Any]]:
        """The whole lines of rounds.jsonl."""
        path = self.run_folder(run) / "rounds.jsonl"
        text = path.read_text() if path.exists() else ""
        return [json.loads(line) for line in text[: text.rfind("\n") + 1].splitlines()]

    def kill_service(self, name: str) -> None:
        """kill -9 of one of the coordinator's services."""
        os.kill(running(self.coordinator.state)[name].pid, signal.SIGKILL)

    def kill_node(self, name: str) -> None:
        """kill -9 of a hospital's SuperNode."""
        os.kill(running(node_folder(Site.read(self.sites[name])))["supernode"].pid, signal.SIGKILL)

    def kill_superexec(self, name: str) -> None:
        """kill -9 of what starts a hospital's client."""
        os.kill(running(node_folder(Site.read(self.sites[name])))["superexec"].pid, signal.SIGKILL)

    def kill_server_app(self) -> None:
        """kill -9 of the process that runs the round loop."""
        self._kill_when_there("server.serverapp", str(self.coordinator.path))

    def kill_client(self, name: str) -> None:
        """kill -9 of a hospital's client at its work."""
        self._kill_when_there("client.trainer.trainer", str(self._plan_file(name)))

    def run(self, *command: str) -> str:
        """A command to its end; its stdout."""
        done = subprocess.run(
            command,
            cwd=self.folder,
            env=_environment(),
            capture_output=True,
            text=True,
            timeout=PATIENCE_S,
            check=False,
        )
        assert done.returncode == 0, f"{command}: {done.stdout}{done.stderr}"
        return done.stdout

    def logs_beside(self) -> Iterable[Path]:
        """Those of the coordinator's services and of all nodes."""
        nodes = (node_folder(Site.read(path)) for path in self.sites.values())
        return [*self.coordinator.logs.glob("*.log"), *(n for f in nodes for n in f.rglob("*.log"))]

    def end(self) -> None:
        """Nothing may outlive the drill."""
        super().end()
        for line in self.lines.values():
            line.close()

    def _plan_file(self, name: str) -> Path:
        return self.sites[name].parent / "plan.json"

    def _clock(self, name: str) -> dict[str, str]:
        """Where there is no compiler, clocks stay right."""
        if not HERE:
            return {}
        self.clocks[name] = WrongClock(folder=self.sites[name].parent / "clock")
        return self.clocks[name].environment

    def _background(self, name: str, *command: str, **variables: str) -> subprocess.Popen[bytes]:
        return self.start_process(name, *command, **{"PYTHONPATH": str(CHECKOUT), **variables})

    def _kill_when_there(self, *words: str) -> None:
        def kill() -> bool:
            for pid in _processes_with(*words):
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
                    return True
            return False

        self.wait(f"a process of {words[0]}", kill, PATIENCE_S)


def _environment() -> dict[str, str]:
    return {**os.environ, **QUIET, "OMP_NUM_THREADS": "1", "PYTHONPATH": str(CHECKOUT)}


def _processes_with(*words: str) -> Iterator[int]:
    """Processes whose command line and environment hold all `words`, the command line the first."""
    for folder in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            line = (folder / "cmdline").read_bytes()
            both = line + (folder / "environ").read_bytes()
            if words[0].encode() in line and all(word.encode() in both for word in words):
                yield int(folder.name)
