"""Ports for servers that a test starts.

A port that the system hands out (bind to 0) lies among those of outgoing connections: between its
choice and the server's start, or between the server's end and its start after a kill, any other
connection of a busy machine may sit on it. These lie below.
"""

import random
import socket

_BELOW_OUTGOING = range(10_000, 30_000)


def free_ports(count: int) -> list[int]:
    """So many ports of loopback that nothing uses."""
    found: list[int] = []
    while len(found) < count:
        port = free_row(1)
        if port not in found:
            found.append(port)
    return found


def free_port() -> int:
    return free_row(1)


def free_row(count: int) -> int:
    """The first of `count` consecutive ports of loopback that nothing uses."""
    while True:
        first = random.choice(_BELOW_OUTGOING)
        if all(map(_is_free, range(first, first + count))):
            return first


def _is_free(port: int) -> bool:
    with socket.socket() as probe:
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
        return True
