"""A Ray cluster of two machines that are both this one, with ports and folders of their own."""

import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path

from irene_model.operations.proxies import loopback_direct
from tests.helpers.ports import free_ports

_START_S, _END_S = 240.0, 30.0
_EACH = (
    "--node-ip-address=127.0.0.1", "--num-cpus=1", "--num-gpus=0", "--object-store-memory=80000000",
    "--min-worker-port=0", "--max-worker-port=0", "--disable-usage-stats", "--block",
)  # fmt: skip


@contextmanager
def two_machines(*, hidden: Path) -> Iterator[str]:
    """The address of a cluster with one core on each of two machines.

    hidden: a folder that the second one sees empty, in a mount namespace of its own.
    """
    with ExitStack() as stack:
        # Short: Ray has Unix sockets in it.
        home = Path(tempfile.mkdtemp(prefix="ray-", dir="/tmp"))
        stack.callback(shutil.rmtree, home, ignore_errors=True)
        port, client, *agents = free_ports(4)
        address = f"127.0.0.1:{port}"
        head = ["--head", f"--port={port}", f"--ray-client-server-port={client}"]
        _start(stack, home / "one", [*head, "--include-dashboard=false"], agents[0], [])
        hiding = ["unshare", "-m", "sh", "-c", f'mount -t tmpfs none "{hidden}" && exec "$@"', "sh"]
        _start(stack, home / "two", [f"--address={address}"], agents[1], hiding)
        yield address


def can_hide(folder: Path) -> bool:
    """Whether a process may have mounts of its own here."""
    if shutil.which("unshare") is None:
        return False
    tried = f'mount -t tmpfs none "{folder}"'
    return not subprocess.run(
        ["unshare", "-m", "sh", "-c", tried], capture_output=True, check=False
    ).returncode


def _start(
    stack: ExitStack, home: Path, arguments: Sequence[str], agent: int, before: Sequence[str]
) -> None:
    """Start a machine and wait until it runs; it ends with `stack`."""
    home.mkdir()
    log = home / "log"
    ray = Path(sys.executable).with_name("ray")
    own = [f"--temp-dir={home}", f"--dashboard-agent-listen-port={agent}"]
    with log.open("w") as told:
        machine = subprocess.Popen(
            [*before, str(ray), "start", *arguments, *own, *_EACH],
            stdout=told,
            stderr=told,
            env=loopback_direct(os.environ),
            start_new_session=True,
        )
    stack.callback(_end, machine)
    deadline = time.monotonic() + _START_S
    while "Ray runtime started" not in log.read_text():
        assert machine.poll() is None and time.monotonic() < deadline, log.read_text()
        time.sleep(0.2)


def _end(machine: subprocess.Popen[bytes]) -> None:
    machine.terminate()
    try:
        machine.wait(_END_S)
    except subprocess.TimeoutExpired:
        os.killpg(machine.pid, signal.SIGKILL)
        machine.wait()
