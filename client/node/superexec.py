"""Flower's SuperExec, which takes a node's tasks, with one way to start a program: ours.

Flower's own way looks for a program of a name on PATH. Where ours could not be executed, it found
Flower's, which unpacks and runs what the server shipped. Here every task of a client goes to
`launch`, which names interpreter and module and gives the task away to nothing else. Flower knows
other kinds of tasks, which would run shipped code as well (an agent's, above all): they are
refused.

This leans on Flower's internals. Where they are not as they were when this was written, nothing
runs at all: a message unanswered is better than foreign code beside patients' data.
"""

import contextlib
import importlib
import inspect
import logging
import socket
import sys
import time
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING

from client.gateway import connection_in
from client.node.ending import run_and_end
from client.node.launch import NotOurs, another_flower, begin, forbid_programs, trial
from client.node.pulse import Pulse, pulse_of
from irene_model.operations import running

if TYPE_CHECKING:
    from flwr.supercore.constant import TaskType
    from flwr.supercore.superexec.executor.types import ExecutionSpec, LaunchResult

NAME = "superexec"
_RUN = "flwr.supercore.superexec.run_superexec"
_PROGRAM = "flwr.supercore.cli.flower_superexec"
_ASKED = ["executor_type", "executor_config", "insecure", "root_certificates_path"]
_TURN_S, _ANSWER_S = 0.5, 2.0
_log = logging.getLogger(__name__)


class InstalledExecutor:
    """What Flower calls an executor, that starts the installed client and nothing else."""

    def __init__(self, folder: Path, pulse: Pulse) -> None:
        """`folder`: the node's, which the program is told."""
        self._folder, self._pulse = folder, pulse

    def get_eligible_capacity(
        self, supported_task_types: "set[TaskType]", **_: object
    ) -> "tuple[set[TaskType], set[str]]":
        """All kinds: what is refused is answered with an error, and waits for nobody."""
        return supported_task_types, set()

    def wait_for_capacity(self, *_: object, **__: object) -> None:
        """There is nothing to wait for."""

    def launch(self, spec: "ExecutionSpec") -> "LaunchResult":
        """Start the program for one message. What is not ours ends this process, and is said."""
        from flwr.supercore.constant import TaskType
        from flwr.supercore.superexec.executor.types import LaunchResult

        if spec.task_type is not TaskType.CLIENT_APP:
            return LaunchResult.failed(f"the server asked for {spec.task_type}; a node runs none")
        arguments = [str(self._folder), "--runtime-api-address", spec.runtime_api_address]
        if spec.insecure:
            arguments.append("--insecure")
        elif spec.root_certificates_path is not None:
            arguments += ["--root-certificates", spec.root_certificates_path]
        if spec.parent_pid is not None:
            arguments += ["--parent-pid", str(spec.parent_pid)]
        try:
            begin(arguments, spec.token)
        except NotOurs as error:
            # The next start of this process tries the program before it takes another task.
            _log.error("%s; nothing was run", error)
            raise SystemExit(1) from None
        return LaunchResult.accepted()

    def reconcile(self) -> None:
        """Called before each look for a task: a sign that the SuperNode still answers."""
        self._pulse.beat()

    def close(self) -> None:
        """Nothing is held."""


def flower_superexec(executor: InstalledExecutor) -> ModuleType:
    """Flower's program, which starts things by `executor`; IreneError where it has changed."""
    run, program = importlib.import_module(_RUN), importlib.import_module(_PROGRAM)
    known = getattr(run, "run_superexec", None)
    if known is None or getattr(program, "run_superexec", None) is not known:
        raise another_flower("run_superexec")
    used = getattr(known, "__code__", another_flower.__code__).co_names
    asked = getattr(run, "get_executor", None)
    if "get_executor" not in used or not callable(asked):
        raise another_flower("get_executor")
    if sorted(inspect.signature(asked).parameters) != sorted(_ASKED):
        raise another_flower("get_executor")
    run.get_executor = lambda *_, **__: executor  # type: ignore[attr-defined]
    return program


def await_node(folder: Path, pulse: Pulse) -> list[str]:
    """Wait for the SuperNode of the node in `folder`; Flower's arguments to work for it.

    With `--parent-pid` SuperExec ends when that SuperNode does, and with it the work for it.
    """
    while True:
        node, connection = running(folder).get("supernode"), connection_in(folder)
        if node is not None and node.alive and connection is not None:
            with (
                contextlib.suppress(OSError),
                socket.create_connection(
                    ("127.0.0.1", connection.runtime_port or 0), timeout=_ANSWER_S
                ),
            ):
                return [
                    *("--runtime-api-address", connection.runtime),
                    *("--health-server-address", connection.superexec_health),
                    *("--parent-pid", str(node.pid)),
                ]
        pulse.beat()
        time.sleep(_TURN_S)


def main() -> None:
    """Run SuperExec with Flower's own arguments, after the node's folder; never returns.

    What depends on the SuperNode that runs is added here.
    """
    from irene_model.console import configure_logging

    configure_logging()
    run_and_end(_run, name="SuperExec")


def _run() -> None:
    folder = Path(sys.argv.pop(1))
    pulse = pulse_of(folder, NAME)
    trial()
    forbid_programs()
    sys.argv += await_node(folder, pulse)
    executor = InstalledExecutor(folder, pulse)
    flower_superexec(executor).flower_superexec()


if __name__ == "__main__":
    main()
