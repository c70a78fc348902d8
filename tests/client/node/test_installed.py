"""The node's program runs installed code, and nothing where Flower is not the one we know."""

import hashlib
import importlib
import inspect
import logging
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from client.node import installed
from client.node.installed import CLIENT_PROGRAM, flower_runtime, main, write_programs
from irene_model.errors import IreneError

# `inspect.getsource` of Flower 1.41's run_clientapp: what was read when client/node/installed.py was
# written. Where this fails, read the new source: what does it unpack, import, run, before and
# after the two calls that are replaced? Then change this hash.
SOURCE = "6ce09559f3a2f5dcafb7d08f4b443585d76b9b53b9cb29ba1ec06a6982163443"


def test_flower_is_the_one_that_was_read() -> None:
    runtime = flower_runtime()
    source = inspect.getsource(runtime.run_clientapp)
    assert hashlib.sha256(source.encode()).hexdigest() == SOURCE


def test_every_program_that_flower_could_start_is_ours(tmp_path: Path) -> None:
    from flwr.supercore.constant import TASK_TYPE_TO_COMMAND

    (tmp_path / "bin").mkdir()
    (tmp_path / "bin" / "left-over").write_text("")
    write_programs(tmp_path / "bin")
    names = {path.name for path in (tmp_path / "bin").iterdir()}
    assert names == set(TASK_TYPE_TO_COMMAND.values()) and CLIENT_PROGRAM in names
    for name in names - {CLIENT_PROGRAM}:
        done = subprocess.run(
            [str(tmp_path / "bin" / name), "--token", "t"],
            capture_output=True, text=True, check=False,
        )  # fmt: skip
        assert done.returncode == 1 and f"refused: the server asked for {name}" in done.stderr


def test_the_tasks_token_is_in_no_list_of_processes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What the program becomes has it in its environment, and Flower finds it in sys.argv."""
    python = tmp_path / "a python"
    python.write_text('#!/bin/sh\nprintf "%s|" "$@"; echo "$IRENE_TASK_TOKEN"\n')
    python.chmod(0o700)
    monkeypatch.setattr(sys, "executable", str(python))
    write_programs(tmp_path / "bin")
    given = ["--runtime-api-address", "a b", "--token", "t4711", "--insecure", "--parent-pid", "7"]
    done = subprocess.run(
        [str(tmp_path / "bin" / CLIENT_PROGRAM), *given],
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert done.stdout == (
        "-P|-m|client.node.installed|--runtime-api-address|a b|--insecure|--parent-pid|7|t4711\n"
    )


@pytest.mark.slow
def test_the_program_speaks_flowers_command_line(tmp_path: Path) -> None:
    """And finds what is installed, wherever it is started and whatever lies there."""
    write_programs(tmp_path)
    (tmp_path / "client").mkdir()
    (tmp_path / "client" / "__init__.py").write_text("raise SystemExit('foreign code')")
    done = subprocess.run(
        [str(tmp_path / CLIENT_PROGRAM), "--help"],
        cwd=tmp_path, capture_output=True, text=True, check=False,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
    )  # fmt: skip
    assert done.returncode == 0 and "--runtime-api-address" in done.stdout, done.stderr


def test_the_bundle_is_neither_unpacked_nor_imported(monkeypatch: pytest.MonkeyPatch) -> None:
    from client.app import app

    runtime = flower_runtime()
    for name in installed._REPLACED:
        monkeypatch.setattr(runtime, name, getattr(runtime, name))  # to be put back
    program = importlib.import_module("flwr.supernode.cli.flwr_clientapp")
    monkeypatch.setattr(program, "flwr_clientapp", lambda: None)
    monkeypatch.setattr(logging.getLogger("flwr"), "propagate", True)
    monkeypatch.setattr(sys, "argv", ["program", "--insecure"])
    monkeypatch.setenv("IRENE_TASK_TOKEN", "t4711")
    main()
    assert sys.argv == ["program", "--insecure", "--token", "t4711"]
    assert "IRENE_TASK_TOKEN" not in os.environ
    assert runtime.install_from_fab(b"no zip at all", skip_prompt=True) is None
    load = runtime.get_load_client_app_fn(default_app_ref="", app_path=None, multi_app=True)
    assert load("publisher/name", "1.0", "hash") is app
    with pytest.raises(IreneError, match="installs nothing"):
        runtime.install_app_dependencies("/path", launch_id="t")


@pytest.fixture(autouse=True)
def _no_logging(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("irene_model.operations.console.configure_logging", lambda: None)


def test_what_can_not_be_imported_sends_no_text(monkeypatch: pytest.MonkeyPatch) -> None:
    from flwr.clientapp.client_app import LoadClientAppError

    monkeypatch.setitem(sys.modules, "client.app", None)
    with pytest.raises(LoadClientAppError):
        installed._installed_app("publisher/name", "1.0", "hash")


def _other_parameters(fab: object) -> None:
    """What a changed Flower might have."""


def _other_run() -> None:
    """A run_clientapp that uses none of the names."""


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("install_from_fab", None),
        ("get_load_client_app_fn", _other_parameters),
        ("run_clientapp", _other_run),
        ("run_clientapp", None),
    ],
)
def test_a_changed_flower_runs_nothing(
    monkeypatch: pytest.MonkeyPatch, name: str, value: Any
) -> None:
    runtime = flower_runtime()
    monkeypatch.setattr(runtime, name, value)
    if value is _other_run:
        program = importlib.import_module("flwr.supernode.cli.flwr_clientapp")
        monkeypatch.setattr(program, "run_clientapp", value)
    with pytest.raises(IreneError, match="nothing was run"):
        main()
