"""A hospital's node: Flower's SuperNode, checked before it starts and kept alive for ever.

It dials out to the coordinator and listens on loopback alone. Its code is what is installed here
(`client.node.installed`), and its key is read by its own process only.
"""

import os
import random
import socket
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import partial
from pathlib import Path

from cryptography import x509

from client.consent import (
    Asked,
    Connection,
    Consent,
    Progress,
    follow,
    key_sha256,
    last_progress,
    log_file,
    node_folder,
    remember,
)
from client.gateway import explained
from client.node.installed import write_programs
from client.site import Site
from irene_model.errors import ConfigError, IreneError
from irene_model.operations import Service, Supervisor

NAME = "supernode"
_PORTS = range(9400, 9900)  # below those that the system gives to outgoing connections
_LONGEST_PAUSE_S = 15.0  # a killed node is refused for about a minute: don't miss its end by much
_LOOK_S = 1.0
_QUIET = {
    "FLWR_TELEMETRY_ENABLED": "0",
    "FLWR_DISABLE_UPDATE_CHECK": "1",
    "FLWR_DISABLE_RUNTIME_DEPENDENCY_INSTALLATION": "1",
}


def check_connection(connection: Connection) -> str:
    """The sha256 of the node's public key, after a look at key and CA; ConfigError names both."""
    try:
        certificates = x509.load_pem_x509_certificates(connection.ca.read_bytes())
    except OSError as error:
        raise ConfigError(f"{connection.ca}: can't be read ({error.strerror})") from None
    except ValueError:
        raise ConfigError(
            f"{connection.ca}: is no certificate in PEM form; ask the coordinator for ca.crt"
        ) from None
    ends = max(each.not_valid_after_utc for each in certificates)
    if ends < datetime.now(UTC):
        raise ConfigError(f"{connection.ca}: ended on {ends:%Y-%m-%d}; ask for the new one")
    return key_sha256(connection.key)


def free_ports(count: int) -> tuple[int, ...]:
    """Ports of loopback that nothing listens on. Raises IreneError where there are too few."""
    found: list[int] = []
    for port in random.sample(_PORTS, len(_PORTS)):  # two nodes of a machine may start at once
        with socket.socket() as probe:
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
        found.append(port)
        if len(found) == count:
            return tuple(found)
    raise IreneError(f"no free port on 127.0.0.1 between {_PORTS.start} and {_PORTS.stop - 1}")


def node_service(site: Site, site_file: Path, connection: Connection) -> Service:
    """The SuperNode as a service; writes the programs and the configuration that it reads."""
    folder = node_folder(site)
    programs, config = folder / "bin", folder / "node.toml"
    write_programs(programs)
    # A file, because Flower's own option can't take a path with quotes in it.
    config.write_text(
        f'site = "{_toml(str(site_file.resolve()))}"\nname = "{_toml(site.site)}"\n',
        encoding="utf-8",
    )

    def command() -> tuple[str, ...]:
        """With ports that are free at this start; the connection says which, for `status`."""
        health_port, runtime_port = free_ports(2)
        now = connection.model_copy(update={"health_port": health_port})
        remember(site, now)
        return (
            *(sys.executable, "-P", "-m", "client.node.supernode"),
            *("--superlink", now.server),
            *("--root-certificates", str(now.ca)),
            *("--auth-supernode-private-key", str(now.key)),
            *("--host", "127.0.0.1", "--port", str(runtime_port)),
            *("--health-server-address", now.health),
            *("--node-config", str(config)),
        )

    return Service(
        name=NAME,
        command=command,
        environment=_environment(programs, folder / "flower"),
        log=log_file(site),
        folder=folder,
        longest_pause_s=_LONGEST_PAUSE_S,
    )


def run_node(
    site: Site, site_file: Path, connection: Connection, observe: Callable[[str], None]
) -> None:
    """Keep the node alive until it is told to end; `observe` takes a line for people."""
    watch = Watch(
        log=log_file(site),
        consent=Consent.of(site),
        site=site_file,
        observe=observe,
        explain=partial(explained, site),
    )
    Supervisor(
        services=[node_service(site, site_file, connection)],
        state=node_folder(site),
        observe=observe,
        every=watch.look,
    ).run()


@dataclass(kw_only=True)
class Watch:
    """Tells people what changes: the connection, a study that waits for them, a pause."""

    log: Path
    consent: Consent
    site: Path
    observe: Callable[[str], None]
    explain: Callable[[Progress], Progress] = lambda progress: progress
    _progress: Progress = field(default_factory=Progress, init=False)
    _told: str = field(default="", init=False)
    _known: set[str] = field(default_factory=set, init=False)
    _complaint: str = field(default="", init=False)
    _offset: int = field(default=0, init=False)
    _next: float = field(default=0.0, init=False)

    def __post_init__(self) -> None:
        """Start at the log's end: what stands there is of earlier starts."""
        self._offset = self.log.stat().st_size if self.log.exists() else 0

    def look(self) -> None:
        """Look once a second at most."""
        if time.monotonic() < self._next:
            return
        self._next = time.monotonic() + _LOOK_S
        self._progress = follow(self._progress, self._new_lines())
        if self._progress.state not in ("starting", self._told):
            self._told = self._progress.state
            self.observe(self.explain(self._progress).sentence)
        for asked in self._requests():
            if asked.fingerprint not in self._known and not asked.approved:
                self.observe(
                    f"the study '{asked.study.name}' waits for your approval: "
                    f"irene-client approve {asked.fingerprint[:12]} {self.site}"
                )
            self._known.add(asked.fingerprint)

    def _requests(self) -> list[Asked]:
        """What cannot be read is told, and ends no node: it answers "failed" by itself."""
        try:
            return self.consent.requests()
        except IreneError as error:
            if str(error) != self._complaint:
                self._complaint = str(error)
                self.observe(self._complaint)
            return []

    def _new_lines(self) -> list[str]:
        """Whole lines since the last look; a log that was put aside is read from its beginning."""
        try:
            size = self.log.stat().st_size
            if size < self._offset:
                self._offset = 0
            with self.log.open("rb") as file:
                file.seek(self._offset)
                text = file.read(size - self._offset)
        except OSError:
            return []
        whole = text[: text.rfind(b"\n") + 1]
        self._offset += len(whole)
        return whole.decode("utf-8", "replace").splitlines()


def node_progress(site: Site) -> Progress:
    """How the connection of `site` goes, by its log."""
    return last_progress(log_file(site))


def _environment(programs: Path, flower_home: Path) -> Mapping[str, str]:
    """What the node inherits, with our programs first on PATH and Flower kept quiet."""
    inherited = {k: v for k, v in os.environ.items() if not k.startswith("FLWR_")}
    path = os.pathsep.join(
        [str(programs), str(Path(sys.executable).parent), inherited.get("PATH", os.defpath)]
    )
    return {**inherited, **_QUIET, "PATH": path, "FLWR_HOME": str(flower_home)}


def _toml(text: str) -> str:
    """`text` within a TOML string in double quotes."""
    if any(ord(character) < 32 for character in text):
        raise ConfigError("the path of site.yaml holds a control character; rename its folder")
    return text.replace("\\", "\\\\").replace('"', '\\"')
