"""Supervision of real processes: restarts, leftovers, one supervisor a folder, a clean end."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from irene_model.errors import ConfigError
from irene_model.operations.orphans import born, this_boot
from irene_model.operations.supervised import running, stop, supervisor_of
from irene_model.operations.supervisor import Service, Supervisor

CHECKOUT = Path(__file__).resolve().parents[3]
PATIENCE_S = 20
# A supervisor of shell commands, as a process of its own: NAME=COMMAND after the folder of state.
PROGRAM = """
import os, sys
from pathlib import Path
from irene_model.operations.supervisor import Service, Supervisor
state = Path(sys.argv[1])
services = [
    Service(
        name=name, command=("/bin/sh", "-c", command), environment=dict(os.environ),
        log=state / "logs" / f"{name}.log",
        ready=(state / f"{name}.ready").exists if name.startswith("slow") else None,
    )
    for name, _, command in (argument.partition("=") for argument in sys.argv[2:])
]
Supervisor(services=services, state=state, observe=lambda line: print(line, flush=True)).run()
"""
Start = Callable[..., subprocess.Popen[str]]


@pytest.fixture
def supervise(tmp_path: Path) -> Iterator[Start]:
    started = []

    def start(*services: str) -> subprocess.Popen[str]:
        process = subprocess.Popen(
            [sys.executable, "-c", PROGRAM, str(tmp_path / "state"), *services],
            cwd=CHECKOUT,
            stdout=subprocess.PIPE,
            text=True,
        )
        started.append(process)
        return process

    yield start
    for process in started:
        process.terminate()
        process.communicate(timeout=PATIENCE_S)
    assert not any(entry.alive for entry in running(tmp_path / "state").values())


def wait_until(true: Callable[[], object]) -> None:
    deadline = time.monotonic() + PATIENCE_S
    while not true():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def alive(state: Path, name: str) -> bool:
    return name in running(state) and running(state)[name].alive


def test_what_is_killed_comes_back_and_stop_ends_all(tmp_path: Path, supervise: Start) -> None:
    state = tmp_path / "state"
    assert running(state) == {} and supervisor_of(state) is None and not stop(state)
    process = supervise("one=echo hello; exec sleep 1000")
    wait_until(lambda: alive(state, "one"))
    first = running(state)["one"]
    assert first.restarts == 0 and supervisor_of(state) == process.pid
    os.kill(first.pid, signal.SIGKILL)
    wait_until(lambda: running(state)["one"].restarts == 1 and alive(state, "one"))
    assert running(state)["one"].pid != first.pid
    assert stop(state)
    assert process.wait(PATIENCE_S) == 0 and process.stdout is not None
    said = process.stdout.read().splitlines()
    assert said[0] == "one: started" and said[-1] == "one: stopped"
    assert said[1].startswith("one: ended (killed by SIGKILL); starting again in 1 s")
    log = state / "logs" / "one.log"
    assert log.read_text() == "hello\nhello\n" and log.stat().st_mode & 0o777 == 0o600
    assert not alive(state, "one") and supervisor_of(state) is None


def test_pauses_grow_when_it_keeps_ending(tmp_path: Path, supervise: Start) -> None:
    process = supervise("one=exit 3")
    assert process.stdout is not None
    said = [process.stdout.readline() for _ in range(4)]
    pauses = [float(line.split("again in ")[1].split(" s")[0]) for line in said[1::2]]
    assert all("ended (exit code 3)" in line for line in said[1::2])
    assert pauses == [1, 2]


def test_a_service_waits_for_those_before_it_to_be_ready(tmp_path: Path, supervise: Start) -> None:
    state = tmp_path / "state"
    supervise("slow=exec sleep 1000", "next=exec sleep 1000")
    wait_until(lambda: alive(state, "slow"))
    time.sleep(0.5)
    assert "next" not in running(state)
    (state / "slow.ready").touch()
    wait_until(lambda: alive(state, "next"))


def test_a_folder_has_one_supervisor(tmp_path: Path, supervise: Start) -> None:
    state = tmp_path / "state"
    supervise("one=exec sleep 1000")
    wait_until(lambda: alive(state, "one"))
    other = Supervisor(services=(), state=state, observe=lambda _: None)
    with pytest.raises(ConfigError, match="is already started"):
        other.run()


def test_children_end_with_a_killed_supervisor(tmp_path: Path, supervise: Start) -> None:
    state = tmp_path / "state"
    process = supervise("one=exec sleep 1000")
    wait_until(lambda: alive(state, "one"))
    process.kill()
    wait_until(lambda: not alive(state, "one"))
    assert supervisor_of(state) is None


def test_the_next_supervisor_ends_what_outlived_the_last(tmp_path: Path, supervise: Start) -> None:
    """A child that hears no signal, with a grandchild in a session of its own."""
    state = tmp_path / "state"
    deaf = f"trap '' TERM; setsid sleep 1000 & echo $! > {tmp_path}/own; sleep 1000; sleep 1000"
    process = supervise(f"one={deaf}")
    wait_until(lambda: (tmp_path / "own").exists() and (tmp_path / "own").read_text().strip())
    wait_until(lambda: alive(state, "one"))
    child, grandchild = running(state)["one"], int((tmp_path / "own").read_text())
    born_then = born(grandchild)
    process.kill()
    process.wait()
    time.sleep(0.3)
    assert born(child.pid) == child.born and born(grandchild) == born_then != ""
    supervise("one=exec sleep 1000")
    wait_until(lambda: alive(state, "one") and running(state)["one"].pid != child.pid)
    assert born(child.pid) != child.born and born(grandchild) != born_then


def test_workers_of_a_killed_leader_are_ended_without_their_mark(
    tmp_path: Path, supervise: Start
) -> None:
    """As nginx's, which write their titles over the environment."""
    state = tmp_path / "state"
    supervise(f"one=env -i sleep 1000 & echo $! > {tmp_path}/worker; wait")
    wait_until(lambda: (tmp_path / "worker").exists() and (tmp_path / "worker").read_text().strip())
    worker = int((tmp_path / "worker").read_text())
    assert born(worker)
    wait_until(lambda: alive(state, "one"))  # it is noted a moment after it began
    os.kill(running(state)["one"].pid, signal.SIGKILL)
    wait_until(lambda: not born(worker))


def test_a_command_that_is_not_there_is_tried_again(tmp_path: Path) -> None:
    said: list[str] = []
    service = Service(
        name="one", command=("/nowhere/at-all",), environment={"SECRET": "4711"},
        log=tmp_path / "one.log",
    )  # fmt: skip
    supervisor = Supervisor(services=[service], state=tmp_path / "state", observe=said.append)
    supervisor.every = lambda: supervisor.end() if len(said) > 1 else None
    supervisor.run()
    assert said[0].startswith("one: can't be started (No such file or directory); starting again")
    assert "4711" not in repr(service)


def test_births_name_a_process_and_its_boot() -> None:
    assert born(os.getpid()) and this_boot(born(os.getpid()))
    assert not this_boot("another-boot 1")
    assert born(2**22 + 1) == ""  # above the kernel's largest pid
