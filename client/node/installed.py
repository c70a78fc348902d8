"""A node runs the ClientApp that its hospital installed, whatever code a server ships.

Flower's executor starts a program by name from PATH for every message: `flwr-clientapp`, which
unpacks the bundle of the server and imports the app in it. `write_programs` makes a folder, to
stand first on the node's PATH, with a program of that name that runs this module instead: nothing
is unpacked, and the installed `client.app` answers. Flower knows other kinds of tasks, which would
run shipped code as well (an agent's, above all); their names are there too, and refuse.

This leans on Flower's internals. Where they are not as they were when this was written, nothing
runs at all: a message unanswered is better than foreign code beside patients' data.
"""

import importlib
import inspect
import logging
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

from irene_model.errors import IreneError
from irene_model.operations import private_folder, take_back, write_program

CLIENT_PROGRAM = "flwr-clientapp"
_RUNTIME = "flwr.supernode.runtime.run_clientapp"
_PROGRAM = "flwr.supernode.cli.flwr_clientapp"
_REPLACED = {
    "install_from_fab": ["fab_file", "skip_prompt"],
    "get_load_client_app_fn": ["default_app_ref", "app_path", "multi_app"],
    "install_app_dependencies": None,  # turned off by the node's environment; refused here as well
}
_REFUSAL = """\
#!/bin/sh
echo 'refused: the server asked for {name}; a hospital runs none' >&2
exit 1
"""


def write_programs(folder: Path) -> None:
    """Write the programs that Flower's executor is to find in `folder`, and no others."""
    from flwr.supercore.constant import TASK_TYPE_TO_COMMAND

    private_folder(folder)
    for old in folder.iterdir():
        old.unlink()
    for name in {*TASK_TYPE_TO_COMMAND.values(), CLIENT_PROGRAM}:
        path = folder / name
        if name == CLIENT_PROGRAM:
            write_program(path, "client.node.installed")
        else:
            path.write_text(_REFUSAL.format(name=name), encoding="utf-8")
            path.chmod(0o700)


def flower_runtime() -> ModuleType:
    """Flower's module that runs a ClientApp, after making sure that it is the one we know.

    Raises IreneError where a name that is replaced is not there, is not used, or has other
    parameters.
    """
    runtime, program = importlib.import_module(_RUNTIME), importlib.import_module(_PROGRAM)
    known = getattr(runtime, "run_clientapp", None)
    if known is None or getattr(program, "run_clientapp", None) is not known:
        raise _changed("run_clientapp")
    used = getattr(known, "__code__", _changed.__code__).co_names
    for name, parameters in _REPLACED.items():
        if name not in used or not callable(getattr(runtime, name, None)):
            raise _changed(name)
        found = list(inspect.signature(getattr(runtime, name)).parameters)
        if parameters is not None and [p for p in found if p in parameters] != parameters:
            raise _changed(name)
    return runtime


def main() -> None:
    """Answer one message with the installed app; the arguments are Flower's own."""
    from irene_model.operations import configure_logging

    configure_logging()
    logging.getLogger("flwr").propagate = False  # it has a handler of its own
    take_back()
    runtime = flower_runtime()

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


def _changed(name: str) -> IreneError:
    return IreneError(
        f"Flower's {name} is not the one that this version was made for, so that the server's code "
        "might run here; nothing was run. Install the versions in constraints.txt"
    )


if __name__ == "__main__":
    main()
