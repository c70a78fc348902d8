"""A node's processes start no program, and its start tries what will answer."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from client.node import launch
from client.node.launch import NotOurs, trial

CHECKOUT = Path(__file__).resolve().parents[3]


def installation(folder: Path) -> tuple[Path, dict[str, str]]:
    """A copy of what is installed, and the environment in which it is found first."""
    copy = folder / "installation"
    for package in ("client", "irene_model"):
        shutil.copytree(CHECKOUT / package, copy / package)
    return copy, {**os.environ, "PYTHONPATH": str(copy), "PATH": launch.NOWHERE}


def test_the_trial_starts_what_is_installed() -> None:
    trial({**os.environ, "PATH": launch.NOWHERE})


@pytest.mark.parametrize("gone", ["client/trainer/trainer.py", "client/node/errand.py"])
def test_the_trial_fails_where_a_file_was_removed(tmp_path: Path, gone: str) -> None:
    copy, environment = installation(tmp_path)
    (copy / gone).unlink()
    for name in ("flwr-clientapp", "python", Path(sys.executable).name):
        (tmp_path / name).write_text(f"#!/bin/sh\ntouch {tmp_path / 'marker'}\n")
        (tmp_path / name).chmod(0o755)
    with pytest.raises(NotOurs, match="its trial failed; its own words are above"):
        trial({**environment, "PATH": str(tmp_path)})
    assert not (tmp_path / "marker").exists()


def test_the_trial_fails_where_flower_is_another(tmp_path: Path) -> None:
    """As where `pull_task_input` asks for more than it did."""
    stand_in = tmp_path / "sitecustomize.py"
    stand_in.write_text(
        "import sys\n"
        "if 'client.node.superexec' in sys.orig_argv:\n"
        "    import flwr.supernode.runtime.run_clientapp as runtime\n"
        "    runtime.pull_task_input = lambda client, agent: None\n"
    )
    with pytest.raises(NotOurs, match=r"client\.node\.superexec: its trial failed"):
        trial({**os.environ, "PYTHONPATH": f"{tmp_path}:{CHECKOUT}"})


def test_what_can_not_be_executed_is_said(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    forbidden = tmp_path / "not-executable"
    forbidden.write_text("#!/bin/sh\n")
    monkeypatch.setattr(sys, "executable", str(forbidden))
    with pytest.raises(NotOurs, match=r"not-executable.*can't be executed \(Permission denied\)"):
        trial()


FORBIDDEN = """
import os, subprocess, sys
from client.node.launch import forbid_programs, superexec_command
forbid_programs()
tries = [
    lambda: subprocess.Popen(["flwr-clientapp"]),
    lambda: subprocess.run("true", shell=True),
    lambda: subprocess.Popen([sys.executable, "-P", "-m", "flwr.supernode.cli"]),
    lambda: subprocess.Popen(superexec_command("folder")),
    lambda: os.system("true"),
    lambda: os.posix_spawn("/bin/true", ["true"], {}),
    lambda: os.execv("/bin/true", ["true"]),
    lambda: os.spawnv(os.P_WAIT, "/bin/true", ["true"]),
]
for number, each in enumerate(tries):
    try:
        each()
    except PermissionError as error:
        assert "starts no program" in str(error)
    else:
        print("started", number)
print("end")
"""


def test_a_process_of_the_node_can_start_nothing() -> None:
    done = subprocess.run(
        [sys.executable, "-c", FORBIDDEN], capture_output=True, text=True, check=False
    )
    # A child of os.spawnv would have ended with 127, refused itself.
    assert done.stdout.replace("started 7\n", "") == "end\n", done.stdout + done.stderr
