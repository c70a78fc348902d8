"""Flower's SuperExec, which takes a node's tasks, and starts no program for any of them.

Flower's own way starts a program for each message, which unpacks and runs what the server shipped.
Here a message is pulled, handed to the node's trainer, and its reply is pushed (`errand`), one
after another; the token that a message is pulled with stays in this process. Flower knows other
kinds of tasks, which would run shipped code as well (an agent's, above all): they are refused.

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
from threading import Thread
from types import ModuleType
from typing import TYPE_CHECKING

from client.gateway import connection_in, coordinators_time, keep_time
from client.node.ending import run_and_end
from client.node.errand import Errand, check_flower
from client.node.launch import TRIAL, another_flower, forbid_programs
from client.node.pulse import Pulse, pulse_of
from client.trainer import OldCode, installed
from irene_model.operations import running

if TYPE_CHECKING:
    from flwr.supercore.constant import TaskType
    from flwr.supercore.superexec.executor.types import ExecutionSpec, LaunchResult

NAME = "superexec"
_RUN = "flwr.supercore.superexec.run_superexec"
_PROGRAM = "flwr.supercore.cli.flower_superexec"
_ASKED = ["executor_type", "executor_config", "insecure", "root_certificates_path"]
_TURN_S, _ANSWER_S, _CODE_S = 0.5, 2.0, 5.0
_WHOLE_S = 10.0  # a message is pulled from this very machine
_log = logging.getLogger(__name__)


class InstalledExecutor:
    """What Flower calls an executor, that hands messages to the node's trainer and starts nothing.

    It has room for one message at a time: while one is answered, the next stays with the SuperNode.
    The SuperNode receives one message after the other. So where there is a next one, what an
    earlier one still lacks never comes, and it is given up.
    """

    def __init__(self, folder: Path, pulse: Pulse) -> None:
        """`folder`: the node's."""
        self._folder, self._pulse = folder, pulse
        self._errand: Errand | None = None
        self._thread: Thread | None = None
        self._began = 0.0
        self._code, self._looked, self._old = installed(), time.monotonic(), False

    def get_eligible_capacity(
        self, supported_task_types: "set[TaskType]", **_: object
    ) -> "tuple[set[TaskType], set[str]]":
        """All kinds, or none while a message is answered: what is refused waits for nobody."""
        if self._thread is not None and self._thread.is_alive() and not self._waits_in_vain:
            return set(), set()
        self._end_if_old()
        return supported_task_types, set()

    def wait_for_capacity(self, *_: object, **__: object) -> None:
        """Nothing waits here."""

    def launch(self, spec: "ExecutionSpec") -> "LaunchResult":
        """Begin to answer one message."""
        from flwr.supercore.constant import TaskType
        from flwr.supercore.superexec.executor.types import LaunchResult

        if spec.task_type is not TaskType.CLIENT_APP:
            return LaunchResult.failed(f"the server asked for {spec.task_type}; a node runs none")
        if self._errand is not None:
            self._errand.given_up.set()
        errand = Errand(
            folder=self._folder,
            runtime=spec.runtime_api_address,
            token=spec.token,
            insecure=spec.insecure,
            root_certificates=spec.root_certificates_path,
        )
        self._errand, self._began = errand, time.monotonic()
        self._thread = Thread(target=self._run, args=(errand,), daemon=True)
        self._thread.start()
        return LaunchResult.accepted()

    def reconcile(self) -> None:
        """Called before each look for a task: a sign that the SuperNode still answers."""
        self._pulse.beat()

    def close(self) -> None:
        """Nothing is held."""

    @property
    def _waits_in_vain(self) -> bool:
        """Whether the message may be one of those that never come whole."""
        assert self._errand is not None
        return not self._errand.pulled.is_set() and time.monotonic() - self._began > _WHOLE_S

    def _run(self, errand: Errand) -> None:
        try:
            errand.run()
        except OldCode:
            self._old = True
        except Exception:
            _log.exception("a message could not be answered")

    def _end_if_old(self) -> None:
        """What is installed now takes the next task, and not what was when this began."""
        if time.monotonic() - self._looked > _CODE_S:
            self._looked, self._old = time.monotonic(), self._old or installed() != self._code
        if self._old:
            _log.warning("other code is installed now; starting again with it")
            raise SystemExit(0)


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
    forbid_programs()
    folder = Path(sys.argv.pop(1))
    executor = InstalledExecutor(folder, pulse_of(folder, NAME))
    check_flower()
    program = flower_superexec(executor)
    if str(folder) == TRIAL:
        raise SystemExit(0)
    keep_time(lambda: coordinators_time(folder))
    logging.getLogger("flwr").propagate = False  # it has a handler of its own
    sys.argv += await_node(folder, pulse_of(folder, NAME))
    program.flower_superexec()


if __name__ == "__main__":
    main()
