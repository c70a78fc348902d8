"""A hospital's node: SuperNode, SuperExec and trainer, checked before they start and kept alive.

The SuperNode dials out to the coordinator and listens on loopback alone; SuperExec hands each
message to the trainer, which is the installed client (`client.node.superexec`, `client.trainer`).
No process of the node finds a program on its PATH or uses a proxy that the site did not name.
"""

import os
import random
import secrets
import socket
import sys
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from pathlib import Path

from cryptography import x509

from client.consent import key_sha256
from client.gateway import (
    Connection,
    log_file,
    node_folder,
    read_clock,
    remember,
    remembered,
    way_out,
)
from client.node import superexec, supernode
from client.node.launch import NOWHERE, NotOurs, superexec_command, trial
from client.node.pulse import pulse_of
from client.node.watch import Watch
from client.site import Site
from client.trainer import NAME as TRAINER
from client.trainer import command as trainer_command
from irene_model.errors import ConfigError, IreneError
from irene_model.journal import private_folder, write_private
from irene_model.operations import Service, Supervisor, without_proxies

_PORTS = range(9400, 9900)  # below those that the system gives to outgoing connections
_LONGEST_PAUSE_S = 15.0  # a killed node is refused for about a minute: don't miss its end by much
_QUIET = {
    "FLWR_TELEMETRY_ENABLED": "0",
    "FLWR_DISABLE_UPDATE_CHECK": "1",
    "FLWR_DISABLE_RUNTIME_DEPENDENCY_INSTALLATION": "1",
    "FLWR_SUPEREXEC_TASK_POLL_INTERVAL": "0.25",  # seconds; it asks the SuperNode beside it
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
    ends, now = max(each.not_valid_after_utc for each in certificates), datetime.now(UTC)
    if ends < now:
        raise ConfigError(
            f"{connection.ca}: ended on {ends:%Y-%m-%d}, and this machine's clock says "
            f"{now:%Y-%m-%d}; ask for the new one, or set the clock"
        )
    return key_sha256(connection.key)


def free_ports(count: int) -> tuple[int, ...]:
    """Ports of loopback that nothing listens on. Raises IreneError where there are too few."""
    found: list[int] = []
    for port in random.sample(_PORTS, len(_PORTS)):  # two nodes of a machine may start at once
        if not _is_free(port):
            continue
        found.append(port)
        if len(found) == count:
            return tuple(found)
    raise IreneError(f"no free port on 127.0.0.1 between {_PORTS.start} and {_PORTS.stop - 1}")


def _is_free(port: int) -> bool:
    with socket.socket() as probe:
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True


def node_services(site: Site, site_file: Path, connection: Connection) -> tuple[Service, ...]:
    """SuperNode, SuperExec and trainer as services; writes the configuration that they read."""
    folder = node_folder(site)
    proxy = way_out(connection.proxy, connection.server)
    private_folder(folder)
    config, secret = folder / "node.toml", folder / "superexec.secret"
    # A file, because Flower's own option can't take a path with quotes in it.
    named = f'site = "{_toml(str(site_file.resolve()))}"\nname = "{_toml(site.site)}"\n'
    write_private(config, named.encode())
    _write_secret(secret)
    quiet = _environment(folder / "flower")

    def node_command() -> tuple[str, ...]:
        """With ports that are free at this start; the connection says which, for the others."""
        names = ("health_port", "runtime_port", "superexec_port")
        now = connection.model_copy(update=dict(zip(names, free_ports(len(names)), strict=True)))
        remember(site, now)
        pulse_of(folder, supernode.NAME).beat()
        return (
            *(sys.executable, "-P", "-m", "client.node.supernode", str(folder)),
            *("--superlink", now.server),
            *("--root-certificates", str(now.ca)),
            *("--auth-supernode-private-key", str(now.key)),
            *("--isolation", "process"),
            *("--superexec-auth-secret-file", str(secret)),
            *("--host", "127.0.0.1", "--port", str(now.runtime_port)),
            *("--health-server-address", now.health),
            *("--node-config", str(config)),
        )

    def executor_command() -> tuple[str, ...]:
        """It waits for the SuperNode that runs, and ends with it."""
        pulse_of(folder, superexec.NAME).beat()
        now = remembered(site)
        if now is not None and not _is_free(now.superexec_port or 0):
            # It was chosen when the SuperNode began, and another program has taken it since.
            (port,) = free_ports(1)
            remember(site, now.model_copy(update={"superexec_port": port}))
        return (
            *superexec_command(str(folder)),
            *("--insecure", "--superexec-auth-secret-file", str(secret)),
        )

    return (
        Service(
            name=supernode.NAME,
            command=node_command,
            environment=quiet if proxy is None else {**quiet, supernode.PROXY: proxy},
            log=log_file(site, supernode.NAME),
            folder=folder,
            longest_pause_s=_LONGEST_PAUSE_S,
        ),
        Service(
            name=superexec.NAME,
            command=executor_command,
            environment=quiet,
            log=log_file(site, superexec.NAME),
            folder=folder,
            longest_pause_s=_LONGEST_PAUSE_S,
        ),
        Service(
            name=TRAINER,
            command=trainer_command(folder),
            environment=quiet,
            log=log_file(site, TRAINER),
            folder=folder,
            longest_pause_s=_LONGEST_PAUSE_S,
        ),
    )


def run_node(
    site: Site, site_file: Path, connection: Connection, observe: Callable[[str], None]
) -> None:
    """Keep the node alive until it is told to end; `observe` takes a line for people.

    Raises ConfigError where this machine can't start the installed client, before anything is
    connected.
    """
    services = node_services(site, site_file, connection)
    try:
        trial(services[-1].environment)
    except NotOurs as error:
        raise ConfigError(
            f"what answers messages can't be started here, and nothing is connected: "
            f"{error}. Is the disk of this installation mounted noexec, or did a scanner remove a "
            "file of it? Install federated-irene again"
        ) from None
    watch = Watch(site=site, site_file=site_file, observe=observe)
    proxy = way_out(connection.proxy, connection.server)
    watch.tell_clock(read_clock(connection.server, connection.ca, proxy))
    Supervisor(services=services, state=node_folder(site), observe=observe, every=watch.look).run()


def _write_secret(path: Path) -> None:
    """What SuperExec shows the SuperNode, new at each start: no other user may take its tasks."""
    path.unlink(missing_ok=True)
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
        file.write(secrets.token_hex(32))


def _environment(flower_home: Path) -> Mapping[str, str]:
    """What the node inherits: no programs to be found, no proxy, and Flower kept quiet."""
    inherited = {k: v for k, v in os.environ.items() if not k.startswith("FLWR_")}
    return {
        **without_proxies(inherited),
        **_QUIET,
        "PATH": NOWHERE,
        "FLWR_HOME": str(flower_home),
    }


def _toml(text: str) -> str:
    """`text` within a TOML string in double quotes."""
    if any(ord(character) < 32 for character in text):
        raise ConfigError("the path of site.yaml holds a control character; rename its folder")
    return text.replace("\\", "\\\\").replace('"', '\\"')
