"""Which programs a node's processes may start: none.

All of them are started by the node's supervisor, each by the absolute path of the interpreter that
runs this and by the name of an installed module: nothing is looked for on PATH, and no file of the
node's folder needs to be executable. What was removed, replaced or can't be executed answers
nothing, and nothing runs in its place.
"""

import subprocess
import sys
from collections.abc import Mapping

from client.trainer import command as trainer_command
from irene_model.errors import IreneError

NOWHERE = "/dev/null"
"""A PATH on which nothing can be found, and where nobody can put a program."""
TRIAL = "trial"
"""What a program gets in place of its folder where only its start is tried."""

_PATIENCE_S = 60.0  # a cold disk; a trial imports nothing that is large
_STARTS = ("subprocess.Popen", "os.exec", "os.posix_spawn", "os.spawn", "os.system", "pty.spawn")


class NotOurs(IreneError):  # noqa: N818  # a fact about what was started
    """A program of the node could not be started, or failed its trial."""


def superexec_command(folder: str) -> tuple[str, ...]:
    """What starts the SuperExec of the node in `folder`, but for Flower's own arguments."""
    return (sys.executable, "-P", "-m", "client.node.superexec", folder)


def trial(env: Mapping[str, str] | None = None) -> None:
    """Start what takes messages and what answers them, as for a trial; NotOurs where one fails.

    Each looks at what it needs of Flower. env: the whole environment; None is that of this process.
    """
    for command in (superexec_command(TRIAL), trainer_command(TRIAL)):
        words = " ".join(command[:-1])
        try:
            done = subprocess.run(
                command, stdin=subprocess.DEVNULL, env=env, timeout=_PATIENCE_S, check=False
            )
        except OSError as error:
            raise NotOurs(f"{words}: can't be executed ({error.strerror})") from None
        except subprocess.TimeoutExpired:
            raise NotOurs(f"{words}: does not end its trial") from None
        if done.returncode != 0:
            raise NotOurs(f"{words}: its trial failed; its own words are above")


def forbid_programs() -> None:
    """From now on this process starts no program; nothing takes that back."""
    sys.addaudithook(_judge)


def _judge(event: str, _arguments: tuple[object, ...]) -> None:
    if event in _STARTS:
        raise PermissionError(f"this process of a node starts no program: {event} was refused")


def another_flower(name: str) -> IreneError:
    """Where Flower's `name` is not as it was when this was written: nothing runs."""
    return IreneError(
        f"Flower's {name} is not the one that this version was made for, so that the server's code "
        "might run here; nothing was run. Install the versions in constraints.txt"
    )
