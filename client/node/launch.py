"""How the program that answers a message is started, so that no other program can be.

The interpreter is the one that runs this, by its absolute path, and the module is named: nothing is
looked for on PATH, and no file of the node's folder needs to be executable. The program is given
its task's token only when it has answered a number that was drawn for this start, with the file
that it runs; without the token Flower gives nobody the message or the server's bundle. So what was
removed, replaced or can't be executed answers nothing, and nothing runs in its place.

Both ends of that talk are here. It goes over the program's stdin, which is a socket, so that the
token is in no list of processes and no environment.
"""

import importlib.util
import os
import secrets
import socket
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from irene_model.errors import IreneError

MODULE = "client.node.installed"
NOWHERE = "/dev/null"
"""A PATH on which nothing can be found, and where nobody can put a program."""
TRIAL = "trial"
"""What a program gets in place of a token where only its start is tried."""

_PATIENCE_S = 60.0  # a cold disk; the program answers before it imports what is large
_LONGEST = 8192  # bytes of one line
_STARTS = ("subprocess.Popen", "os.exec", "os.posix_spawn", "os.spawn", "os.system", "pty.spawn")


class NotOurs(IreneError):  # noqa: N818  # a fact about what was started
    """What was started is not the installed client, or it could not be started at all."""


def command() -> tuple[str, ...]:
    """The program and the interpreter's own arguments."""
    return (sys.executable, "-P", "-m", MODULE)


def begin(
    arguments: Sequence[str], token: str, env: Mapping[str, str] | None = None
) -> subprocess.Popen[bytes]:
    """Start the program with Flower's `arguments`, and give it `token` once it has answered.

    env: the whole environment; None is that of this process.

    Raises NotOurs, with nothing left running, where it does not answer as it has to.
    """
    ours, theirs = socket.socketpair()
    with ours, theirs:
        ours.settimeout(_PATIENCE_S)
        try:
            process = subprocess.Popen([*command(), *arguments], stdin=theirs.fileno(), env=env)
        except OSError as error:
            raise NotOurs(f"{sys.executable}: can't be executed ({error.strerror})") from None
        theirs.close()
        try:
            _examine(ours)
            ours.sendall(f"{token}\n".encode())
        except (NotOurs, OSError) as error:
            process.kill()
            process.wait()
            why = error if isinstance(error, NotOurs) else "it did not answer"
            raise NotOurs(f"{' '.join(command())}: {why}") from None
    return process


def trial(env: Mapping[str, str] | None = None) -> None:
    """Start the program as for a message, and let it look at its Flower; NotOurs where it fails."""
    process = begin((), TRIAL, env)
    try:
        code = process.wait(_PATIENCE_S)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
        raise NotOurs(f"{' '.join(command())}: does not end its trial") from None
    if code != 0:
        raise NotOurs(f"{' '.join(command())}: its trial failed; its own words are above")


def prove(file: str) -> str:
    """The program's side: answer with the `file` that runs, and return the task's token.

    Raises NotOurs where no node asks.
    """
    try:
        parent = socket.socket(fileno=os.dup(0))
    except OSError:
        raise NotOurs(f"{MODULE} is started by a node, and by nobody else") from None
    with parent:
        parent.settimeout(_PATIENCE_S)
        number = _line(parent)
        parent.sendall(f"{number} {Path(file).resolve()}\n".encode())
        token = _line(parent)
    with open(os.devnull, "rb") as nothing:  # noqa: PTH123  # a descriptor is what is needed
        os.dup2(nothing.fileno(), 0)
    return token


def forbid_programs() -> None:
    """From now on this process starts no program but the node's own; nothing takes that back."""
    sys.addaudithook(_judge)


def _judge(event: str, arguments: tuple[object, ...]) -> None:
    if event not in _STARTS:
        return
    if event == "subprocess.Popen":
        program, words = arguments[0], arguments[1]
        ours = isinstance(words, list | tuple) and tuple(words[: len(command())]) == command()
        if ours and program == sys.executable:
            return
    raise PermissionError(f"a node starts no program but its own: {event} was refused")


def _examine(program: socket.socket) -> None:
    """NotOurs unless `program` answers a new number with the file that is installed here."""
    spec = importlib.util.find_spec(MODULE)
    if spec is None or spec.origin is None:
        raise NotOurs("is not installed any more")
    number = secrets.token_hex(16)
    program.sendall(f"{number}\n".encode())
    if _line(program) != f"{number} {Path(spec.origin).resolve()}":
        raise NotOurs("something else answered")


def _line(peer: socket.socket) -> str:
    """One line, without its end; NotOurs where the other side has gone or says too much."""
    said = b""
    while not said.endswith(b"\n"):
        byte = peer.recv(1)
        if not byte or len(said) >= _LONGEST:
            raise NotOurs("it did not answer")
        said += byte
    return said[:-1].decode("utf-8", "replace")


def another_flower(name: str) -> IreneError:
    """Where Flower's `name` is not as it was when this was written: nothing runs."""
    return IreneError(
        f"Flower's {name} is not the one that this version was made for, so that the server's code "
        "might run here; nothing was run. Install the versions in constraints.txt"
    )
