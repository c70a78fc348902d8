"""Only the installed client is started, and only it is given a task."""

import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import pytest

from client.node import launch
from client.node.launch import NotOurs, begin, forbid_programs, trial

TOKEN = "t4711"
# Programs in the place of ours; each notes what it was given after its answer.
SILENT = "raise SystemExit(0)"
LOUD = "import os; os.write(0, b'x' * 10_000)"
ECHO = """
import os
number = os.read(0, 100)
os.write(0, number)
open({note!r}, "wb").write(os.read(0, 100))
"""
OURS = """
import os
from client.node.launch import prove
token = prove({claimed})
shown = open("/proc/self/cmdline").read() + open("/proc/self/environ").read()
assert os.read(0, 10) == b""
open({note!r}, "w").write(f"{{token}} {{token in shown}}")
"""


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder whose module `stand_in` takes the place of the client."""
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.setattr(launch, "MODULE", "stand_in")
    return tmp_path


def started(place: Path, text: str, **names: object) -> str:
    """What the stand-in noted."""
    note = place / "note"
    (place / "stand_in.py").write_text(text.format(note=str(note), **names))
    env: Mapping[str, str] = {**os.environ, "PYTHONPATH": f"{place}:{Path.cwd()}"}
    begin(["--insecure"], TOKEN, env).wait(30)
    return note.read_text()


def test_the_token_goes_to_what_answers_and_is_seen_by_nobody(place: Path) -> None:
    assert started(place, OURS, claimed="__file__") == f"{TOKEN} False"


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (SILENT, "did not answer"),
        (LOUD, "did not answer"),
        (ECHO, "something else answered"),
        (OURS.replace("{claimed}", "'/elsewhere/client/installed.py'"), "something else answered"),
    ],
)
def test_what_is_not_ours_is_ended_without_the_token(place: Path, text: str, said: str) -> None:
    with pytest.raises(NotOurs, match=said):
        started(place, text)
    assert not (place / "note").exists() or TOKEN not in (place / "note").read_text()


def test_what_hangs_is_ended(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(launch, "_PATIENCE_S", 2.0)
    with pytest.raises(NotOurs, match="did not answer"):
        started(place, "import time; time.sleep(1000)")


def test_a_program_that_was_removed_is_replaced_by_nothing(
    place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Not even where a folder of PATH holds one of Flower's names, and where python is one."""
    marker = place / "marker"
    for name in ("flwr-clientapp", "python", Path(sys.executable).name):
        (place / name).write_text(f"#!/bin/sh\ntouch {marker}\n")
        (place / name).chmod(0o755)
    monkeypatch.setenv("PATH", str(place))
    with pytest.raises(NotOurs, match=r"did not answer|not installed"):
        begin([], TOKEN)
    forbidden = place / "not-executable"
    forbidden.write_text("#!/bin/sh\n")
    monkeypatch.setattr(sys, "executable", str(forbidden))
    with pytest.raises(NotOurs, match=r"not-executable: can't be executed \(Permission denied\)"):
        begin([], TOKEN)
    assert not marker.exists()


def test_the_trial_starts_the_installed_client() -> None:
    trial({**os.environ, "PATH": launch.NOWHERE})


def test_nobody_else_starts_the_client() -> None:
    done = subprocess.run(
        launch.command(), stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False
    )
    assert done.returncode == 1 and "is started by a node, and by nobody else" in done.stderr
    assert "Traceback" not in done.stderr


def test_the_trial_is_failed_where_the_program_fails(
    place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PYTHONPATH", f"{place}:{Path.cwd()}")
    text = "from client.node.launch import prove\nprove(__file__)\nraise SystemExit(3)\n"
    (place / "stand_in.py").write_text(text)
    with pytest.raises(NotOurs, match="its trial failed"):
        trial()


FORBIDDEN = """
import os, subprocess, sys
from client.node.launch import command, forbid_programs
forbid_programs()
ours = list(command())
tries = [
    lambda: subprocess.Popen(["flwr-clientapp"]),
    lambda: subprocess.run("true", shell=True),
    lambda: subprocess.Popen([sys.executable, "-P", "-m", "flwr.supernode.cli"]),
    lambda: subprocess.Popen(ours, executable="/bin/true"),
    lambda: os.system("true"),
    lambda: os.posix_spawn("/bin/true", ["true"], {}),
    lambda: os.execv("/bin/true", ["true"]),
    lambda: os.spawnv(os.P_WAIT, "/bin/true", ["true"]),
]
for number, each in enumerate(tries):
    try:
        each()
    except PermissionError as error:
        assert "no program but its own" in str(error)
    else:
        print("started", number)
subprocess.Popen(ours, stdin=subprocess.DEVNULL, stderr=subprocess.DEVNULL).wait()
print("end")
"""


def test_a_process_of_the_node_can_start_nothing_else() -> None:
    assert callable(forbid_programs)
    done = subprocess.run(
        [sys.executable, "-c", FORBIDDEN], capture_output=True, text=True, check=False
    )
    # A child of os.spawnv would have ended with 127, refused itself.
    assert done.stdout.replace("started 7\n", "") == "end\n", done.stdout + done.stderr
