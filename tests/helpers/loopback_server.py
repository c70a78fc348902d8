"""A small TCP server on loopback, for what a test puts between a client and a server."""

import contextlib
import socket
import threading
from collections.abc import Callable


class LoopbackServer:
    """Each connection to `address` is given to `serve`, in a thread of its own, until `close`."""

    def __init__(self, serve: Callable[[socket.socket], None]) -> None:
        self._serve = serve
        self._listener = socket.create_server(("127.0.0.1", 0))
        threading.Thread(target=self._accept, daemon=True).start()

    @property
    def address(self) -> str:
        """HOST:PORT."""
        return f"127.0.0.1:{self._listener.getsockname()[1]}"

    def close(self) -> None:
        """No further connections."""
        self._listener.close()

    def _accept(self) -> None:
        while True:
            try:
                near, _ = self._listener.accept()
            except OSError:
                return
            threading.Thread(target=self._serve, args=(near,), daemon=True).start()


def join(near: socket.socket, far: socket.socket) -> None:
    """Pass bytes both ways, until both ends have ended."""
    back = threading.Thread(target=_pass, args=(far, near), daemon=True)
    back.start()
    _pass(near, far)
    back.join()


def _pass(one: socket.socket, other: socket.socket) -> None:
    """Bytes from `one` to `other`, until either ends."""
    with contextlib.suppress(OSError):
        while data := one.recv(2**16):
            other.sendall(data)
    for end in (one, other):
        with contextlib.suppress(OSError):
            end.shutdown(socket.SHUT_RDWR)
