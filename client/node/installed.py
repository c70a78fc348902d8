"""A node runs the ClientApp that its hospital installed, whatever code a server ships.

Flower's own program for a message, `flwr-clientapp`, unpacks the bundle of the server and imports
the app in it. `superexec` starts this module instead (see `launch`): nothing is unpacked, and the
installed `client.app` answers.

This leans on Flower's internals. Where they are not as they were when this was written, nothing
runs at all: a message unanswered is better than foreign code beside patients' data.
"""

import importlib
import inspect
import logging
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

from client.gateway import coordinators_time, keep_time
from client.node.launch import TRIAL, another_flower, prove
from irene_model.errors import IreneError

_RUNTIME = "flwr.supernode.runtime.run_clientapp"
_PROGRAM = "flwr.supernode.cli.flwr_clientapp"
_REPLACED = {
    "install_from_fab": ["fab_file", "skip_prompt"],
    "get_load_client_app_fn": ["default_app_ref", "app_path", "multi_app"],
    "install_app_dependencies": None,  # turned off by the node's environment; refused here as well
}


def flower_runtime() -> ModuleType:
    """Flower's module that runs a ClientApp, after making sure that it is the one we know.

    Raises IreneError where a name that is replaced is not there, is not used, or has other
    parameters.
    """
    runtime, program = importlib.import_module(_RUNTIME), importlib.import_module(_PROGRAM)
    known = getattr(runtime, "run_clientapp", None)
    if known is None or getattr(program, "run_clientapp", None) is not known:
        raise another_flower("run_clientapp")
    used = getattr(known, "__code__", another_flower.__code__).co_names
    for name, parameters in _REPLACED.items():
        if name not in used or not callable(getattr(runtime, name, None)):
            raise another_flower(name)
        found = list(inspect.signature(getattr(runtime, name)).parameters)
        if parameters is not None and [p for p in found if p in parameters] != parameters:
            raise another_flower(name)
    return runtime


def main() -> None:
    """Answer one message with the installed app, or try whether that could be done.

    The arguments are the node's folder and Flower's own, but for the token (`client.node.launch`).
    """
    from irene_model.console import configure_logging

    configure_logging()
    logging.getLogger("flwr").propagate = False  # it has a handler of its own
    try:
        token = prove(__file__)
        runtime = flower_runtime()
    except IreneError as error:
        logging.getLogger(__name__).error("%s", error)
        raise SystemExit(1) from None
    if token == TRIAL:
        return
    folder = Path(sys.argv.pop(1))
    sys.argv += ["--token", token]  # which nobody else sees
    keep_time(lambda: coordinators_time(folder))

    def unpack_nothing(*_: object, **__: object) -> None:
        """In place of unpacking the server's bundle."""

    def load_installed(*_: object, **__: object) -> Callable[..., object]:
        """In place of importing from the bundle."""
        return _installed_app

    def refuse(*_: object, **__: object) -> None:
        raise IreneError("a node installs nothing for a server")

    for name, ours in zip(_REPLACED, (unpack_nothing, load_installed, refuse), strict=True):
        setattr(runtime, name, ours)
    importlib.import_module(_PROGRAM).flwr_clientapp()


def _installed_app(*_: object) -> object:
    """Imported only now: it takes seconds, and Flower gives a process up that says nothing."""
    try:
        from client.app import app
    except Exception as error:
        logging.getLogger(__name__).exception("the installed client can't be imported")
        from flwr.clientapp.client_app import LoadClientAppError

        # Flower sends the text of any other error to the coordinator.
        raise LoadClientAppError("the installed client can't be imported") from error
    return app


if __name__ == "__main__":
    main()
