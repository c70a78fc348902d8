"""The trainer's Unix socket: its file is the owner's alone, and both ends look who the other is.

The kernel says which process is at the other end (SO_PEERCRED, unix(7)). It must be this user's,
and the one that the node's supervisor started and wrote down under its name: the trainer hands
nothing to, and takes nothing from, anybody else.
"""

import contextlib
import os
import socket
import struct
from collections.abc import Iterator
from pathlib import Path

from irene_model.errors import IreneError
from irene_model.journal import private_folder
from irene_model.operations import Health, running

SOCKET = "trainer.sock"
_CREDENTIALS = struct.Struct("3i")  # pid, uid, gid
_WAITING = 8  # connections that nobody has looked at yet


class Stranger(IreneError):  # noqa: N818  # a fact about the other side
    """The other end is not the node's process that it should be."""


def listen(folder: Path) -> socket.socket:
    """The trainer's end, in the node's `folder`; what an earlier trainer left there is replaced."""
    private_folder(folder)
    (folder / SOCKET).unlink(missing_ok=True)
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    before = os.umask(0o177)  # from its first moment on it is mode 0600
    try:
        with _short(folder) as path:
            listener.bind(path)
        listener.listen(_WAITING)
    except OSError:
        listener.close()
        raise
    finally:
        os.umask(before)
    return listener


def connect(folder: Path, *, timeout_s: float) -> socket.socket:
    """A connection to the trainer of the node in `folder`; OSError where nobody listens."""
    peer = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    peer.settimeout(timeout_s)
    try:
        with _short(folder) as path:
            peer.connect(path)
    except OSError:
        peer.close()
        raise
    return peer


def check_peer(peer: socket.socket, folder: Path, name: str) -> int:
    """The pid at the other end; Stranger unless it is the node's process `name`, of this user."""
    credentials = peer.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _CREDENTIALS.size)
    pid, uid, _ = _CREDENTIALS.unpack(credentials)
    known = running(folder).get(name)
    if uid != os.geteuid() or known is None or not known.alive or known.pid != pid:
        raise Stranger(f"process {pid} is not the node's {name}")
    return int(pid)


def answers(folder: Path) -> Health:
    """Whether the trainer of the node in `folder` takes messages, or will when it has begun."""
    try:
        with connect(folder, timeout_s=2.0) as peer:
            check_peer(peer, folder, "trainer")
    except OSError:
        return "unreachable"
    except Stranger:
        return "not serving"
    return "serving"


@contextlib.contextmanager
def _short(folder: Path) -> Iterator[str]:
    """The socket's path by way of an open folder: a Unix socket's own may have 107 bytes."""
    descriptor = os.open(folder, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        yield f"/proc/self/fd/{descriptor}/{SOCKET}"
    finally:
        os.close(descriptor)
