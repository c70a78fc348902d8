"""A coordinator that `irene-server start` runs, and whatever else a test starts beside it."""

import contextlib
import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import pytest

from irene_model.operations.supervised import running
from server.coordinator.coordinator import Coordinator
from tests.helpers.background import Background

START_S, RUN_S, STOP_S = 300, 600, 60  # limits, far above what a quiet machine needs
SERVER = (sys.executable, "-c", "from server.cli import main; main()")
THERE, HERE = "10.213.77.2", "10.213.77.1"  # the two ends of a cable between two networks


@dataclass(kw_only=True)
class Started(Background):
    """A coordinator that is started, and whatever else the tests start."""

    coordinator: Coordinator

    def command(
        self, program: Sequence[str], *arguments: object, code: int = 0
    ) -> subprocess.CompletedProcess[str]:
        """A command to its end, which must be with exit code `code`."""
        done = subprocess.run(
            [*program, *map(str, arguments)],
            cwd=self.folder,
            capture_output=True,
            text=True,
            timeout=START_S,
            check=False,
        )
        assert done.returncode == code, f"{done.stdout}\n{done.stderr}\n{self.logs()}"
        return done

    def logs_beside(self) -> Iterable[Path]:
        """Those of the coordinator's services."""
        return self.coordinator.logs.iterdir()

    def kill(self, name: str) -> None:
        """kill -9 of a service, and of nothing that it started."""
        os.kill(running(self.coordinator.state)[name].pid, signal.SIGKILL)


@contextlib.contextmanager
def another_network() -> Iterator[tuple[str, ...]]:
    """A network namespace with a cable to this one; yields what to put before a command."""
    name, end = f"irene-{os.getpid()}", f"irn{os.getpid() % 10**6}"
    inside = ("ip", "netns", "exec", name)
    steps = [
        f"ip netns add {name}",
        f"ip link add {end}a type veth peer name {end}b netns {name}",
        f"ip address add {HERE}/30 dev {end}a",
        f"ip link set {end}a up",
        f"ip netns exec {name} ip address add {THERE}/30 dev {end}b",
        f"ip netns exec {name} ip link set {end}b up",
        f"ip netns exec {name} ip link set lo up",
    ]
    try:
        for step in steps:
            try:
                subprocess.run(step.split(), check=True, capture_output=True)
            except (OSError, subprocess.CalledProcessError) as error:
                pytest.skip(f"no network namespaces here: {step}: {error}")
        yield inside
    finally:
        with contextlib.suppress(OSError):
            subprocess.run(["ip", "netns", "delete", name], check=False, capture_output=True)
            subprocess.run(["ip", "link", "delete", f"{end}a"], check=False, capture_output=True)


def secrets_on_command_lines(coordinator: Coordinator) -> list[str]:
    """Processes that show a secret of the folder to everybody on the machine."""
    secrets = [coordinator.secret.read_bytes()]
    secrets += [path.read_bytes() for path in coordinator.certificates.glob("*.key")]
    found = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        with contextlib.suppress(OSError):
            line = path.read_bytes()
            # The script that takes a task's token away has it for a moment.
            task = b"serverapp" in line and b"\0--token\0" in line and b"/sh\0" not in line
            ours = bytes(coordinator.path) in (path.parent / "environ").read_bytes()
            if (task and ours) or any(secret in line for secret in secrets):
                found.append(line.decode(errors="replace"))
    return found


def servers_of(coordinator: Coordinator) -> list[str]:
    """The ServerApps of this folder that are alive."""
    found = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        with contextlib.suppress(OSError):
            line = path.read_bytes()
            ours = bytes(coordinator.path) in (path.parent / "environ").read_bytes()
            if b"\0server.serverapp\0" in line and ours:
                found.append(line.decode(errors="replace"))
    return found


def status_of(started: Started) -> str:
    """`irene-server status --json`, whatever its exit code."""
    done = subprocess.run(
        [*SERVER, "status", "federation", "--json"],
        cwd=started.folder, capture_output=True, text=True, timeout=START_S, check=False,
    )  # fmt: skip
    return done.stdout


def online_sites(started: Started) -> dict[str, bool | None]:
    document = json.loads(status_of(started))
    return {name: site["online"] for name, site in document["sites"].items()}
