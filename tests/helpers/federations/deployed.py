"""A whole federation on this machine, started by the commands that people type, and left in peace.

Commands that end at once are typed in this process, which has torch already: an approval in one of
its own takes seconds of a core to import it. What stays is a process of its own. What all of it
costs is read from /proc: processor time, memory, files and processes by service.
"""

import contextlib
import json
import os
import subprocess
import sys
import time
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from client.gateway.connection import node_folder
from client.site.site import Site
from irene_model.operations.supervised import running
from server.cli import app as server
from server.coordinator.coordinator import Coordinator
from server.coordinator.services import listens
from simulations.hospitals.hospitals import write_hospitals
from simulations.hospitals.scenario import Scenario
from tests.helpers.background import Background
from tests.helpers.ports import free_ports, free_row
from tests.helpers.sites.typed_commands import typed

PATIENCE_S = 180.0
SERVER = (sys.executable, "-c", "from server.cli import main; main()")
CLIENT = (sys.executable, "-c", "from client.cli import main; main()")
_TICKS = os.sysconf("SC_CLK_TCK")
_PAGE = os.sysconf("SC_PAGE_SIZE")


@dataclass(frozen=True, kw_only=True)
class Use:
    """What a service and all that it started hold now; seconds: of processor, since its start."""

    seconds: float
    bytes: int
    files: int
    processes: int


@dataclass(frozen=True, kw_only=True)
class Sample:
    """The federation when a round's line had been written, `at` seconds of the monotonic clock.

    coordinator, hospital: bytes on disk of the coordinator's folder and of the largest of the
    hospitals' own (their data is not counted).
    """

    round: int
    at: float
    uses: Mapping[str, Use]
    coordinator: int
    hospital: int


@dataclass(kw_only=True)
class Deployed(Background):
    """A coordinator in `folder`/federation and hospitals in `folder`/hospitals."""

    scenario: Scenario
    coordinator: Coordinator = field(init=False)
    sites: dict[str, Path] = field(default_factory=dict)

    def start(self) -> None:
        """From nothing to hospitals that have approved the study and are connected."""
        self.start_coordinator()
        for name in self.sites:
            self.enroll(name)
        self.agree()
        for name, path in self.sites.items():
            typed("approve", self.study, path, "--yes")
            self.start_node(name)
        for name in self.sites:
            self.wait(f"{name}'s node", (self.node(name) / "logs/superexec.log").exists, PATIENCE_S)

    def start_coordinator(self) -> None:
        """Hospitals on disk, and a gateway that is ready for them."""
        paths = write_hospitals(self.scenario, self.folder / "hospitals", seed=0)
        self.sites = {path.parent.name: path for path in paths}
        port, first = free_ports(1)[0], free_row(8)
        folder = self.folder / "federation"
        ports = ("--port", port, "--loopback-port", first)
        typed("init", folder, "--host", "127.0.0.1", *ports, program=server)
        self.coordinator = Coordinator.open(folder)
        self.start_process("start", *SERVER, "start", "federation")
        self.wait(
            "the gateway", lambda: listens(port) and "ready" in self.said("start"), PATIENCE_S
        )

    def enroll(self, name: str, *options: object) -> None:
        """Make the keys of a hospital, and make them known; options: of `irene-server enroll`."""
        keys = self.keys(name)
        typed("keygen", keys, "--site", self.sites[name])
        public = keys / "hospital.pub"
        typed("enroll", self.coordinator.path, public, "--name", name, *options, program=server)

    def agree(self) -> None:
        """What all settle between enrolling and approving."""

    def start_node(self, name: str) -> None:
        """`irene-client start`."""
        certificate = self.coordinator.certificates / "ca.crt"
        self.start_process(
            f"node-{name}",
            *(*CLIENT, "start", str(self.sites[name]), "--server", self.address(name)),
            *("--ca", str(certificate), "--key", str(self.keys(name) / "hospital.key")),
            **self.variables(name),
        )

    def address(self, name: str) -> str:
        """Where a hospital finds the gateway."""
        return f"127.0.0.1:{self.coordinator.settings.port}"

    def variables(self, name: str) -> dict[str, str]:
        """What a hospital's node has in its environment beside this process's."""
        return {}

    def keys(self, name: str) -> Path:
        """The folder of a hospital's keys."""
        return self.sites[name].parent / "keys"

    @property
    def study(self) -> Path:
        """study.yaml."""
        return self.folder / "hospitals" / "study.yaml"

    def node(self, name: str) -> Path:
        """The folder of a hospital's node."""
        return node_folder(Site.read(self.sites[name]))

    def submit(self, run: str, *options: str) -> subprocess.Popen[bytes]:
        """`irene-server run`, which follows the run to its end."""
        command = (*SERVER, "run", "federation", str(self.study), "--name", run, *options)
        return self.start_process(run, *command)

    def lines_of(self, run: str) -> list[dict[str, Any]]:
        """The whole lines of rounds.jsonl."""
        path = self._lines(run)
        text = path.read_text() if path.exists() else ""
        return [json.loads(line) for line in text[: text.rfind("\n") + 1].splitlines()]

    def rounds_of(self, run: str, *, silence_s: float = 900.0) -> Iterator[Sample]:
        """Submit the run and give a sample for each of its rounds, until it has ended well.

        silence_s: the most between two rounds.
        """
        follower = self.submit(run)
        seen, heard = 0, time.monotonic()
        while True:
            ended = follower.poll() is not None
            count = len(self.lines_of(run)) if self._lines(run).exists() else 0
            if count > seen:
                seen, heard = count, time.monotonic()
                yield self.sample(seen, {"follower": follower.pid})
            if ended:
                break
            assert time.monotonic() - heard < silence_s, self.logs()
            time.sleep(0.05)
        assert follower.returncode == 0, self.logs()

    def sample(self, round: int, followers: Mapping[str, int]) -> Sample:
        """What is used now."""
        own = [bytes_of(path.parent / ".irene") for path in self.sites.values()]
        return Sample(
            round=round,
            at=time.monotonic(),
            uses=self.uses(followers),
            coordinator=bytes_of(self.coordinator.path),
            hospital=max(own),
        )

    def _lines(self, run: str) -> Path:
        return self.coordinator.runs / run / "rounds.jsonl"

    def logs_beside(self) -> Iterable[Path]:
        """Those of the coordinator's services and of all nodes."""
        nodes = [log for name in self.sites for log in self.node(name).rglob("*.log")]
        return [*self.coordinator.logs.glob("*.log"), *nodes]

    def uses(self, followers: Mapping[str, int]) -> dict[str, Use]:
        """What each service holds: the coordinator's by name, the hospitals' as `site/name`.

        followers: name -> pid of what else counts.
        """
        roots = {name: each.pid for name, each in running(self.coordinator.state).items()}
        for site in self.sites:
            services = running(self.node(site))
            roots |= {f"{site}/{name}": each.pid for name, each in services.items()}
        children: dict[int, list[int]] = {}
        table = dict(_processes())
        for pid, (parent, _) in table.items():
            children.setdefault(parent, []).append(pid)
        return {
            name: _use(list(_tree(pid, children)), table)
            for name, pid in {**roots, **followers}.items()
            if pid in table
        }


def bytes_of(folder: Path) -> int:
    """What the files in `folder` take of the disk, whatever vanishes meanwhile."""
    total = 0
    for path in folder.rglob("*"):
        with contextlib.suppress(OSError):
            status = path.lstat()
            total += status.st_blocks * 512 if path.is_file() else 0
    return total


def _processes() -> Iterator[tuple[int, tuple[int, float]]]:
    """Each process: its parent, and its processor seconds with those of children that ended."""
    for folder in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            told = (folder / "stat").read_text().rpartition(")")[2].split()
            yield int(folder.name), (int(told[1]), sum(map(int, told[11:15])) / _TICKS)


def _tree(pid: int, children: Mapping[int, list[int]]) -> Iterator[int]:
    yield pid
    for child in children.get(pid, ()):
        yield from _tree(child, children)


def _use(pids: list[int], table: Mapping[int, tuple[int, float]]) -> Use:
    held = files = 0
    for pid in pids:
        with contextlib.suppress(OSError):
            held += int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * _PAGE
            files += len(list(Path(f"/proc/{pid}/fd").iterdir()))
    return Use(
        seconds=sum(table[pid][1] for pid in pids), bytes=held, files=files, processes=len(pids)
    )
