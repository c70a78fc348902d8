"""SuperExec answers one kind of task in one way, and gives signs of life."""

import hashlib
import importlib
import inspect
import json
import os
import socket
import threading
import time
from pathlib import Path
from typing import Any

import pytest

from client.gateway.connection import Connection, node_folder, remember
from client.node import superexec
from client.node.errand import Errand, _Pulling
from client.node.pulse import Pulse, pulse_of
from client.node.superexec import InstalledExecutor, await_node, flower_superexec
from client.trainer.handover import OldCode, TrainerLost
from irene_model.errors import IreneError
from irene_model.operations.orphans import born
from tests.helpers.hospital_folder import HospitalFolder

# `inspect.getsource` of Flower 1.41's run_superexec, as it was read when superexec.py was
# written. Where this fails, read the new source: how does it start things, and what else does it
# do? Then change this hash.
SOURCE = "d11f4e7fbc8f0b121804772495484fae8987b2b52af8b2baa70baf40d5929e26"


def executor(folder: Path) -> InstalledExecutor:
    return InstalledExecutor(folder, pulse_of(folder, "superexec"))


def spec(task: Any) -> Any:
    from flwr.supercore.superexec.executor.types import ExecutionSpec

    return ExecutionSpec(
        task_type=task, runtime_api_address="127.0.0.1:1", token="t4711", insecure=True,
        root_certificates_path=None, runtime_dependency_install=True, parent_pid=7,
        suppress_output=False, task_id=1,
    )  # fmt: skip


def test_flower_is_the_one_that_was_read() -> None:
    run = importlib.import_module("flwr.supercore.superexec.run_superexec")
    source = inspect.getsource(run.run_superexec)
    assert hashlib.sha256(source.encode()).hexdigest() == SOURCE


def test_one_kind_of_task_is_answered_and_all_others_are_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from flwr.supercore.constant import TaskType
    from flwr.supercore.superexec.executor.types import LaunchResultStatus

    run: list[Errand] = []

    def noted(errand: Errand) -> None:
        run.append(errand)

    monkeypatch.setattr(Errand, "run", noted)
    ours = executor(tmp_path)
    assert ours.get_eligible_capacity(set(TaskType), insecure=True) == (set(TaskType), set())
    said = {task: ours.launch(spec(task)) for task in TaskType}
    accepted = [task for task, one in said.items() if one.status == LaunchResultStatus.ACCEPTED]
    assert accepted == [TaskType.CLIENT_APP]
    assert all("a node runs none" in (said[t].message or "") for t in set(TaskType) - {*accepted})
    assert ours._thread is not None
    ours._thread.join(10)
    (errand,) = run  # nothing is installed for a server
    assert (errand.folder, errand.runtime, errand.token) == (tmp_path, "127.0.0.1:1", "t4711")
    assert "t4711" not in repr(errand)


def test_one_message_at_a_time(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from flwr.supercore.constant import TaskType

    done = threading.Event()
    monkeypatch.setattr(Errand, "run", lambda _: done.wait(30))
    ours = executor(tmp_path)
    ours.launch(spec(TaskType.CLIENT_APP))
    assert ours.get_eligible_capacity(set(TaskType)) == (set(), set())
    done.set()
    until = time.monotonic() + 30
    while ours.get_eligible_capacity(set(TaskType)) == (set(), set()):
        assert time.monotonic() < until
    ours.close()


def test_a_message_that_never_comes_whole_holds_up_no_other(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its run ended while the SuperNode received it, which Flower has made a task of by then."""
    from flwr.supercore.constant import TaskType

    monkeypatch.setattr(Errand, "run", lambda errand: errand.given_up.wait(30))
    ours = executor(tmp_path)
    ours.launch(spec(TaskType.CLIENT_APP))
    first = ours._errand
    assert ours.get_eligible_capacity(set(TaskType)) == (set(), set())
    monkeypatch.setattr(superexec, "_WHOLE_S", 0.0)
    assert ours.get_eligible_capacity(set(TaskType)) == (set(TaskType), set())
    ours.launch(spec(TaskType.CLIENT_APP))
    second = ours._errand
    assert first is not None and second is not None
    assert first.given_up.is_set() and not second.given_up.is_set()
    second.pulled.set()  # one that is here is not given up for its length
    assert ours.get_eligible_capacity(set(TaskType)) == (set(), set())
    second.given_up.set()


def test_what_was_given_up_is_asked_for_no_more() -> None:
    class Node:
        def PullObject(self, request: str) -> str:  # noqa: N802
            return request

    given_up = threading.Event()
    pulling = _Pulling(Node(), given_up)  # type: ignore[arg-type]
    assert pulling.PullObject("object") == "object"
    given_up.set()
    with pytest.raises(TrainerLost, match="ended while it was received"):
        pulling.PullObject("object")


@pytest.mark.parametrize("how", ["seen", "told"])
def test_other_code_than_runs_takes_the_next_task(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, how: str
) -> None:
    """It ends before it takes one, for its supervisor to start what is installed."""
    from flwr.supercore.constant import TaskType

    ours = executor(tmp_path)
    if how == "seen":
        monkeypatch.setattr(superexec, "installed", lambda: "another")
        monkeypatch.setattr(superexec, "_CODE_S", -1.0)
    else:

        def old(_: Errand) -> None:
            raise OldCode("other code is installed than runs here")

        monkeypatch.setattr(Errand, "run", old)
        ours.launch(spec(TaskType.CLIENT_APP))
    with pytest.raises(SystemExit) as ended:
        for _ in range(100):
            ours.get_eligible_capacity(set(TaskType))
            time.sleep(0.05)
    assert ended.value.code == 0


def test_each_look_for_a_task_is_a_sign_of_life(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = [1000.0]
    monkeypatch.setattr("client.node.pulse.time.monotonic", lambda: clock[0])
    pulse = pulse_of(tmp_path, "superexec")
    assert pulse.silent_s() is None
    ours = executor(tmp_path)
    ours.reconcile()
    clock[0] += 1
    ours.reconcile()  # not written again so soon
    assert pulse.silent_s() == 1.0
    clock[0] += 99
    assert pulse.silent_s() == 100.0
    ours.reconcile()
    assert pulse.silent_s() == 0.0
    clock[0] = 5.0  # after a reboot
    assert pulse.silent_s() is None
    assert Pulse(path=tmp_path / "none").silent_s() is None


def test_flower_starts_things_by_our_executor_or_not_at_all(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = importlib.import_module("flwr.supercore.superexec.run_superexec")
    monkeypatch.setattr(run, "get_executor", run.get_executor)  # to be put back
    asked = run.get_executor
    ours = executor(tmp_path)
    assert flower_superexec(ours).run_superexec is run.run_superexec
    assert run.get_executor("kubernetes", executor_config=None) is ours

    def other(executor_type: object) -> None: ...

    for name, value in (("get_executor", other), ("get_executor", None), ("run_superexec", other)):
        monkeypatch.setattr(run, "get_executor", asked)
        with monkeypatch.context() as changed:
            changed.setattr(run, name, value)
            with pytest.raises(IreneError, match=f"{name} is not the one.*nothing was run"):
                flower_superexec(ours)


def test_superexec_waits_for_a_supernode_that_listens(hospital: HospitalFolder) -> None:
    folder = node_folder(hospital.site)
    pulse = pulse_of(folder, "superexec")
    connection = Connection(server="h:1", ca=Path("/ca"), key=Path("/key"), superexec_port=9403)
    listener = socket.create_server(("127.0.0.1", 0))
    port = listener.getsockname()[1]
    listener.close()
    remember(hospital.site, connection.model_copy(update={"runtime_port": port}))
    found: list[list[str]] = []
    waiting = threading.Thread(target=lambda: found.append(await_node(folder, pulse)), daemon=True)
    waiting.start()
    time.sleep(1.2)
    assert not found and pulse.silent_s() is not None  # it lives, and there is no SuperNode
    node = {"pid": os.getpid(), "started": "2026-01-01", "restarts": 0, "born": born(os.getpid())}
    (folder / "supernode.json").write_text(json.dumps(node))
    time.sleep(1.2)
    assert not found  # it runs and does not listen yet
    with socket.create_server(("127.0.0.1", port)):
        waiting.join(10)
    (words,) = found
    assert words == [
        "--runtime-api-address", f"127.0.0.1:{port}",
        "--health-server-address", "127.0.0.1:9403", "--parent-pid", str(os.getpid()),
    ]  # fmt: skip
