"""The node's program runs installed code, and nothing where Flower is not the one we know."""

import hashlib
import importlib
import inspect
import logging
import sys
from typing import Any

import pytest

from client.node import installed
from client.node.installed import flower_runtime, main
from irene_model.errors import IreneError

# `inspect.getsource` of Flower 1.41's run_clientapp: what was read when `client.node.installed` was
# written. Where this fails, read the new source: what does it unpack, import, run, before and
# after the two calls that are replaced? Then change this hash.
SOURCE = "6ce09559f3a2f5dcafb7d08f4b443585d76b9b53b9cb29ba1ec06a6982163443"


def test_flower_is_the_one_that_was_read() -> None:
    runtime = flower_runtime()
    source = inspect.getsource(runtime.run_clientapp)
    assert hashlib.sha256(source.encode()).hexdigest() == SOURCE


@pytest.fixture(autouse=True)
def _in_this_process(monkeypatch: pytest.MonkeyPatch) -> None:
    """No other side to prove anything to, and Flower's clock stays as it is."""
    monkeypatch.setattr(installed, "prove", lambda file: "t4711")
    monkeypatch.setattr(installed, "keep_time", lambda now: None)
    monkeypatch.setattr("irene_model.console.console.configure_logging", lambda: None)
    monkeypatch.setattr(sys, "argv", ["program", "/folder", "--insecure"])


def test_the_bundle_is_neither_unpacked_nor_imported(monkeypatch: pytest.MonkeyPatch) -> None:
    from client.app import app

    runtime = flower_runtime()
    for name in installed._REPLACED:
        monkeypatch.setattr(runtime, name, getattr(runtime, name))  # to be put back
    program = importlib.import_module("flwr.supernode.cli.flwr_clientapp")
    monkeypatch.setattr(program, "flwr_clientapp", lambda: None)
    monkeypatch.setattr(logging.getLogger("flwr"), "propagate", True)
    main()
    assert sys.argv == ["program", "--insecure", "--token", "t4711"]
    assert runtime.install_from_fab(b"no zip at all", skip_prompt=True) is None
    load = runtime.get_load_client_app_fn(default_app_ref="", app_path=None, multi_app=True)
    assert load("publisher/name", "1.0", "hash") is app
    with pytest.raises(IreneError, match="installs nothing"):
        runtime.install_app_dependencies("/path", launch_id="t")


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
        flower_runtime()
    with pytest.raises(SystemExit) as ended:
        main()
    assert ended.value.code == 1
