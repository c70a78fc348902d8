"""A house's proxy for tests: CONNECT to names that only it can resolve, and no other request."""

import base64
import contextlib
import socket
import threading
from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(kw_only=True)
class ConnectProxy:
    """`names`: HOST:PORT as it is asked for -> where that is. `asked` keeps every first line."""

    names: Mapping[str, tuple[str, int]]
    login: str = ""
    asked: list[str] = field(default_factory=list)
    _listener: socket.socket = field(default_factory=lambda: socket.create_server(("127.0.0.1", 0)))

    def __post_init__(self) -> None:
        threading.Thread(target=self._accept, daemon=True).start()

    @property
    def address(self) -> str:
        return f"127.0.0.1:{self._listener.getsockname()[1]}"

    def close(self) -> None:
        self._listener.close()

    def _accept(self) -> None:
        while True:
            try:
                near, _ = self._listener.accept()
            except OSError:
                return
            threading.Thread(target=self._serve, args=(near,), daemon=True).start()

    def _serve(self, near: socket.socket) -> None:
        with near, contextlib.suppress(OSError):
            head = b""
            while b"\r\n\r\n" not in head:
                if not (more := near.recv(4096)):
                    return
                head += more
            first, *headers = head.decode().split("\r\n")
            self.asked.append(first)
            method, where, _ = first.split()
            secret = base64.b64encode(self.login.encode()).decode()
            if self.login and f"Proxy-Authorization: Basic {secret}" not in headers:
                near.sendall(b"HTTP/1.1 407 Proxy Authentication Required\r\n\r\n")
            elif method != "CONNECT" or where not in self.names:
                near.sendall(b"HTTP/1.1 403 Forbidden\r\n\r\n")
            else:
                with socket.create_connection(self.names[where], 10) as far:
                    near.sendall(b"HTTP/1.1 200 OK\r\n\r\n")
                    back = threading.Thread(target=_pass, args=(far, near), daemon=True)
                    back.start()
                    _pass(near, far)
                    back.join(60)


def _pass(one: socket.socket, other: socket.socket) -> None:
    with contextlib.suppress(OSError):
        while data := one.recv(2**16):
            other.sendall(data)
    for end in (one, other):
        with contextlib.suppress(OSError):
            end.shutdown(socket.SHUT_RDWR)
