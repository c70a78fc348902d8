"""Is the gateway there, as a hospital would find it? One request through TLS, by the private CA."""

import http.client
import socket
import ssl
from pathlib import Path
from typing import Literal

Reach = Literal["serving", "up without its SuperLink", "not trusted by its CA", "unreachable"]
_TIMEOUT_S = 3.0


def reach(host: str, port: int, ca: Path) -> Reach:
    """Ask the gateway at this machine's `port` for its health, as `host` and trusting `ca` alone.

    It is asked over loopback: whether a router or firewall lets hospitals in can't be told here.
    """
    try:
        context = ssl.create_default_context(cafile=str(ca))
        with (
            socket.create_connection(("127.0.0.1", port), timeout=_TIMEOUT_S) as plain,
            context.wrap_socket(plain, server_hostname=host) as secure,
        ):
            secure.sendall(
                f"GET /health HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n".encode()
            )
            answer = http.client.HTTPResponse(secure)
            answer.begin()
            return "serving" if answer.status == http.client.OK else "up without its SuperLink"
    except ssl.SSLError:
        return "not trusted by its CA"
    except (OSError, http.client.HTTPException):
        return "unreachable"
