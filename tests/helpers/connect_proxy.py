"""A house's proxy for tests: CONNECT to names that only it can resolve, and no other request."""

import base64
import contextlib
import socket
from collections.abc import Mapping
from dataclasses import dataclass, field

from tests.helpers.loopback_server import LoopbackServer, join


@dataclass(kw_only=True)
class ConnectProxy:
    """`names`: HOST:PORT as it is asked for -> where that is. `asked` keeps every first line."""

    names: Mapping[str, tuple[str, int]]
    login: str = ""
    asked: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._server = LoopbackServer(self._serve)

    @property
    def address(self) -> str:
        return self._server.address

    def close(self) -> None:
        self._server.close()

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
                    join(near, far)
