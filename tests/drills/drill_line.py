"""A network line to one place, which can be cut: a forwarder of TCP connections on loopback."""

import contextlib
import socket
import threading

from tests.helpers.loopback_server import LoopbackServer, join


class Line:
    """`address` leads to `there`; while it is cut, connections break and new ones are refused."""

    def __init__(self, there: tuple[str, int]) -> None:
        self._there = there
        self._open: set[socket.socket] = set()
        self._lock = threading.Lock()
        self._cut = False
        self.connections = 0
        self._server = LoopbackServer(self._lead)

    @property
    def address(self) -> str:
        """HOST:PORT."""
        return self._server.address

    def cut(self) -> None:
        """Break all that is open; nothing passes until `mend`."""
        with self._lock:
            self._cut = True
            for end in self._open:
                with contextlib.suppress(OSError):
                    end.shutdown(socket.SHUT_RDWR)

    def mend(self) -> None:
        """Let everything pass again."""
        with self._lock:
            self._cut = False

    def close(self) -> None:
        """Cut for good."""
        self.cut()
        self._server.close()

    def _lead(self, near: socket.socket) -> None:
        with near, contextlib.suppress(OSError), socket.create_connection(self._there, 10) as far:
            with self._lock:
                if self._cut:
                    return
                self.connections += 1
                self._open |= {near, far}
            join(near, far)
            with self._lock:
                self._open -= {near, far}
