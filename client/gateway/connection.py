"""How a site's node reaches its coordinator, and what its log says about how it goes.

`start` writes the connection beside site.yaml, so that `status` finds the node and the next start
needs no options. It names files and holds no secret.
"""

import json
import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field, field_validator

from client.gateway.proxy import checked
from client.site import Site
from irene_model.errors import ConfigError
from irene_model.journal import private_folder, write_private
from irene_model.study import Settings, parse

State = Literal["starting", "connected", "refused", "untrusted", "unreachable", "ended"]
_SIGNS: tuple[tuple[str, State], ...] = (
    ("Starting Flower SuperNode", "starting"),
    ("SuperNode ID:", "connected"),
    ("Connection successful after", "connected"),
    ("[code: 2004]", "refused"),  # Flower's code for a key that may not activate its node
    ("SSL/TLS handshake error", "untrusted"),
)
_IN_BRACKETS = re.compile(r"\[[0-9A-Fa-f:.]+\]")
_TERMINAL_COLOUR = re.compile(r"\x1b\[[0-9;]*m")
_TRIES = 3  # failed attempts in a row before the server counts as out of reach
_TAIL = 100_000  # bytes of the log that tell how it goes now


Port = Annotated[int, Field(ge=1, le=65535)]


class Connection(Settings):
    """`server` as HOST:PORT; `ca` and `key` are absolute paths; `proxy` is as in
    `client.gateway.proxy`.

    The ports, on loopback, are those of the node that runs now: where SuperNode and SuperExec can
    be asked for their health, and where SuperExec finds the SuperNode.
    """

    server: str
    ca: Path
    key: Path
    proxy: str | None = None
    health_port: Port | None = None
    runtime_port: Port | None = None
    superexec_port: Port | None = None

    @field_validator("server")
    @classmethod
    def _host_and_port(cls, server: str) -> str:
        host, _, port = server.rpartition(":")
        if not host or "/" in server or not port.isdecimal() or not 1 <= int(port) <= 65535:
            raise ValueError("expected HOST:PORT, as irene.example.org:443")
        if ":" in host and not _IN_BRACKETS.fullmatch(host):
            raise ValueError("an IPv6 address stands in brackets, as [2001:db8::1]:443")
        return server

    @field_validator("proxy")
    @classmethod
    def _known_way(cls, proxy: str | None) -> str | None:
        return None if proxy is None else checked(proxy)

    @property
    def health(self) -> str:
        """Where the SuperNode's health can be asked, by the gRPC protocol; port 0 is nowhere."""
        return f"127.0.0.1:{self.health_port or 0}"

    @property
    def superexec_health(self) -> str:
        """The same of SuperExec."""
        return f"127.0.0.1:{self.superexec_port or 0}"

    @property
    def runtime(self) -> str:
        """Where SuperExec and the programs that answer find the SuperNode."""
        return f"127.0.0.1:{self.runtime_port or 0}"


@dataclass(frozen=True, kw_only=True)
class Progress:
    """How the connection goes, as the node's log tells it; `failures` in a row until now.

    detail: what was found to be wrong (`client.gateway.trouble`), in place of what the log allows
    to say.
    """

    state: State = "starting"
    failures: int = 0
    detail: str = ""

    @property
    def sentence(self) -> str:
        """For people, with what to do."""
        return self.detail or _SENTENCES[self.state]


_SENTENCES: dict[State, str] = {
    "starting": "connecting",
    "connected": "connected to the coordinator",
    "refused": (
        "refused: the coordinator has not enrolled this key, or an earlier connection of it still "
        "counts, for about a minute; trying again"
    ),
    "untrusted": (
        "the server's certificate is not one of the CA given by --ca, or is for another name: ask "
        "the coordinator for ca.crt and compare its sha256; trying again"
    ),
    "unreachable": "the coordinator can't be reached; trying again",
    "ended": "the node's process ended; starting it again",
}


def host_and_port(server: str) -> tuple[str, int]:
    """The two parts of a connection's `server`, the host without brackets."""
    host, _, port = server.rpartition(":")
    return host.strip("[]"), int(port)


def node_folder(site: Site) -> Path:
    """Where the node of `site` keeps its state."""
    return site.folder / ".irene" / "node"


def log_file(site: Site, name: str = "supernode") -> Path:
    """What the node's process `name` says."""
    return node_folder(site) / "logs" / f"{name}.log"


def remembered(site: Site) -> Connection | None:
    """The connection of the last start, or None. Raises ConfigError where it can't be read."""
    return connection_in(node_folder(site))


def connection_in(folder: Path) -> Connection | None:
    """`remembered` of the node in `folder`."""
    path = folder / "connection.json"
    try:
        document = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return None
    except (OSError, ValueError, RecursionError):
        raise ConfigError(f"{path}: can't be read; remove it, and start with all options") from None
    return parse(Connection, document, path)


def remember(site: Site, connection: Connection) -> None:
    """Keep `connection` for `remembered`."""
    private_folder(site.folder / ".irene")
    folder = private_folder(node_folder(site))
    text = connection.model_dump_json(indent=1) + "\n"
    write_private(folder / "connection.json", text.encode())


def forget(site: Site) -> None:
    """Forget the connection."""
    (node_folder(site) / "connection.json").unlink(missing_ok=True)


def follow(progress: Progress, lines: Iterable[str]) -> Progress:
    """`progress` after further lines of Flower's log. Pure."""
    for line in lines:
        progress = _after(progress, _TERMINAL_COLOUR.sub("", line))
    return progress


def last_progress(log: Path) -> Progress:
    """How the connection goes by the log's end; "starting" where there is no log."""
    try:
        with log.open("rb") as file:
            file.seek(max(0, log.stat().st_size - _TAIL))
            text = file.read().decode("utf-8", "replace")
    except OSError:
        return Progress()
    return follow(Progress(), text.splitlines())


def _after(now: Progress, line: str) -> Progress:
    for sign, state in _SIGNS:
        if sign in line:
            return Progress(state=state)
    if now.state in ("refused", "untrusted", "ended"):
        return now  # what else a failing process says is no news, until it starts again
    if "Connection attempt failed" in line:
        failures = now.failures + 1
        state = "unreachable" if failures >= _TRIES else now.state
        return Progress(state=state, failures=failures)
    ended = any(sign in line for sign in ("Exit Code: ", "SuperNode terminated"))
    return Progress(state="ended") if ended else now
