"""Who answers at a gateway's address? One TLS connection, which tells one trouble from another.

A wrong port, a wrong name, a wrong CA and a clock or certificate out of date each have a remedy of
their own, and a client that tries again for ever shows none of them.
"""

import http.client
import ipaddress
import socket
import ssl
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

Reach = Literal[
    "serving",
    "up without its SuperLink",
    "unreachable",
    "not there: nothing listens on the port",
    "no gateway: what listens on the port speaks no TLS",
    "no gateway: what listens on the port is another service of its CA",
    "not trusted by its CA",
    "not the one that its certificate names",
    "out of date: its certificate has ended, or this machine's clock is wrong",
    "too new: its certificate is not valid yet, or this machine's clock is wrong",
]
# OpenSSL's X509_V_ERR_*: what a certificate is refused for once its chain ends at the CA.
_REFUSED: dict[int, Reach] = {
    9: "too new: its certificate is not valid yet, or this machine's clock is wrong",
    10: "out of date: its certificate has ended, or this machine's clock is wrong",
    62: "not the one that its certificate names",
    64: "not the one that its certificate names",
}
_WITHOUT = (http.client.BAD_GATEWAY, http.client.SERVICE_UNAVAILABLE, http.client.GATEWAY_TIMEOUT)
_TIMEOUT_S = 3.0
_MOST_NAMES, _LONGEST_NAME = 8, 100


@dataclass(frozen=True, kw_only=True)
class Reached:
    """names: those of the certificate, where it is of the CA and for another name."""

    state: Reach
    names: tuple[str, ...] = ()


def reach(host: str, port: int, ca: Path, *, through: str | None = None) -> Reached:
    """Ask `host`, a name or address without brackets, for its health, trusting `ca` alone.

    through: the address that is connected to; else that of `host`.
    """
    try:
        context = ssl.create_default_context(cafile=str(ca))
        plain = socket.create_connection((through or host, port), timeout=_TIMEOUT_S)
    except ConnectionRefusedError:
        return Reached(state="not there: nothing listens on the port")
    except (OSError, UnicodeError):
        return Reached(state="unreachable")
    with plain:
        try:
            with context.wrap_socket(plain, server_hostname=host) as secure:
                return Reached(state=_health(secure, host))
        except ssl.SSLCertVerificationError as error:
            state = _REFUSED.get(error.verify_code, "not trusted by its CA")
        except (ssl.SSLError, OSError, ValueError):
            # Also silence: a service of another kind waits for its client to speak.
            return Reached(state="no gateway: what listens on the port speaks no TLS")
    named = state == "not the one that its certificate names"
    return Reached(state=state, names=_names((through or host, port), context) if named else ())


def _health(secure: ssl.SSLSocket, host: str) -> Reach:
    name = f"[{host}]" if ":" in host else host
    secure.sendall(f"GET /health HTTP/1.1\r\nHost: {name}\r\nConnection: close\r\n\r\n".encode())
    try:
        answer = http.client.HTTPResponse(secure)
        answer.begin()
    except (OSError, http.client.HTTPException):
        return "no gateway: what listens on the port is another service of its CA"
    if answer.status == http.client.OK:
        return "serving"
    if answer.status in _WITHOUT:
        return "up without its SuperLink"
    return "no gateway: what listens on the port is another service of its CA"


def _names(address: tuple[str, int], context: ssl.SSLContext) -> tuple[str, ...]:
    """The names in a certificate of the CA, for people: bounded, since another side wrote them."""
    context.check_hostname = False
    try:
        with (
            socket.create_connection(address, timeout=_TIMEOUT_S) as plain,
            context.wrap_socket(plain) as secure,
        ):
            told = (secure.getpeercert() or {}).get("subjectAltName", ())
    except (OSError, ValueError):
        return ()
    names = [_short(*map(str, each)) for each in told if isinstance(each, tuple) and len(each) == 2]
    return tuple(name[:_LONGEST_NAME] for name in names if name.isprintable())[:_MOST_NAMES]


def _short(kind: str, name: str) -> str:
    """An address in its short form; a name as it stands."""
    try:
        return str(ipaddress.ip_address(name)) if kind == "IP Address" else name
    except ValueError:
        return name
