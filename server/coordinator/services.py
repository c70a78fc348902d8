"""The processes of a federation's coordinator, as the supervisor starts them."""

import os
import socket
import sys
from collections.abc import Mapping
from functools import partial
from pathlib import Path

from irene_model.errors import ConfigError
from irene_model.operations import Service, loopback_direct, running, supervisor_of, write_program
from server.coordinator import database, gateway
from server.coordinator.certificates import days_left, now, read_certificate
from server.coordinator.coordinator import Coordinator

QUIET: Mapping[str, str] = {
    "FLWR_TELEMETRY_ENABLED": "0",
    "FLWR_DISABLE_UPDATE_CHECK": "1",
    "FLWR_DISABLE_RUNTIME_DEPENDENCY_INSTALLATION": "1",
    "RAY_USAGE_STATS_ENABLED": "0",
}
"""Flower calls nobody and installs nothing."""

_BIN = Path(sys.executable).parent  # not resolved: a virtual environment's python is a link
_INHERITED = os.environ.get("PATH", os.defpath)
_RENEW_DAYS = 30


def program(name: str) -> str:
    """The path of a command that was installed beside this Python."""
    return str(_BIN / name)


def environment(coordinator: Coordinator) -> dict[str, str]:
    """What all processes of Flower get here; none of it is secret."""
    inherited = {name: value for name, value in os.environ.items() if name != "FLWR_HOME"}
    return {
        # A proxy of the house has no business between processes of one machine.
        **loopback_direct(inherited),
        **QUIET,
        "FLWR_HOME": str(coordinator.flower_home),
        # Where SuperExec finds flwr-serverapp.
        "PATH": os.pathsep.join(map(str, (coordinator.programs, _BIN, _INHERITED))),
    }


def services_of(coordinator: Coordinator) -> tuple[Service, ...]:
    """SuperLink, SuperExec, gateway, live page and keeper, in the order of their start.

    SuperExec is a process of its own, and the SuperLink keeps its state in a database: so a run
    outlives the SuperLink. Raises ConfigError where nginx is missing or refuses its configuration.
    """
    coordinator.programs.mkdir(mode=0o700, parents=True, exist_ok=True)
    write_program(coordinator.programs / "flwr-serverapp", "server.serverapp")
    nginx = gateway.find_nginx()
    gateway.check(nginx, coordinator)
    loopback, certificates = coordinator.settings.loopback, coordinator.certificates
    flowers = environment(coordinator)

    def service(
        name: str, *command: str, port: int | None = None, folder: Path = coordinator.path
    ) -> Service:
        """It serves once something listens on `port`; without one, from its start."""
        return Service(
            name=name,
            command=command,
            environment=flowers,
            log=coordinator.logs / f"{name}.log",
            ready=None if port is None else partial(listens, port),
            folder=folder,
        )

    return (
        service(
            "superlink",
            program("flower-superlink"),
            *("--host", "127.0.0.1", "--port", str(loopback.superlink)),
            *("--ssl-ca-certfile", str(certificates / "ca.crt")),
            *("--ssl-certfile", str(certificates / "superlink.crt")),
            *("--ssl-keyfile", str(certificates / "superlink.key")),
            "--enable-supernode-auth",
            *("--database", str(coordinator.database)),
            *("--isolation", "process"),
            *("--superexec-auth-secret-file", str(coordinator.secret)),
            *("--health-server-address", f"127.0.0.1:{loopback.superlink_health}"),
            port=loopback.superlink,
        ),
        service(
            "superexec",
            program("flower-superexec"),
            *("--runtime-api-address", f"localhost:{loopback.superlink}"),
            *("--root-certificates", str(certificates / "ca.crt")),
            *("--superexec-auth-secret-file", str(coordinator.secret)),
            *("--health-server-address", f"127.0.0.1:{loopback.superexec_health}"),
            port=loopback.superexec_health,
        ),
        service(
            "gateway",
            *gateway.command(nginx, coordinator),
            port=coordinator.settings.port,
            folder=coordinator.gateway,
        ),
        service(
            "web",
            *(sys.executable, "-P", "-m", "server.watch.web"),
            *(str(coordinator.path), str(loopback.web)),
            port=loopback.web,
        ),
        service(
            "keeper",
            *(sys.executable, "-P", "-m", "server.submission.keeper", str(coordinator.path)),
        ),
    )


def check_start(coordinator: Coordinator) -> list[str]:
    """Refuse a start that could not succeed; returns warnings for people.

    Raises ConfigError where another supervisor has the folder, others can read a key, a
    certificate has ended, the SuperLink's database is damaged, or, before the first start,
    something else listens on a port.
    """
    if supervisor_of(coordinator.state) is not None:
        raise ConfigError(f"{coordinator.path}: is already started; irene-server stop ends it")
    coordinator.check_modes()
    warnings = []
    for name in ("ca", "server", "superlink"):
        path = coordinator.certificates / f"{name}.crt"
        left = days_left(read_certificate(path), now())
        # The authority's successor needs a new folder and new files at every hospital.
        remedy = "make a new folder" if name == "ca" else f"irene-server renew {coordinator.path}"
        if left <= 0:
            raise ConfigError(f"{path}: has ended; {remedy}")
        if left < _RENEW_DAYS:
            warnings.append(f"{path}: ends in {left:.0f} days; {remedy}")
    damaged = database.problem_of(coordinator.database)
    if damaged is not None:
        raise ConfigError(damaged)
    if not running(coordinator.state):  # later, it may be what an earlier start left behind
        _check_ports(coordinator)
    if os.geteuid() == 0:
        warnings.append("running as root; an account of its own is safer and is all it needs")
    return warnings


def require_started(coordinator: Coordinator) -> None:
    """A ConfigError with the remedy where the SuperLink can't be reached."""
    if supervisor_of(coordinator.state) is None:
        raise ConfigError(
            f"{coordinator.path}: is not started; run irene-server start {coordinator.path} in "
            "another terminal, or its systemd unit"
        )
    if not listens(coordinator.settings.loopback.superlink):
        raise ConfigError(
            f"the SuperLink does not answer yet; try again in a few seconds, or see "
            f"{coordinator.logs / 'superlink.log'}"
        )


def listens(port: int) -> bool:
    """Whether something accepts connections on this machine's `port`."""
    with socket.socket() as probe:
        probe.settimeout(1.0)
        return probe.connect_ex(("127.0.0.1", port)) == 0


def _check_ports(coordinator: Coordinator) -> None:
    settings = coordinator.settings
    ports = {"port": settings.port}
    ports |= {f"loopback.{name}": port for name, port in settings.loopback.model_dump().items()}
    for key, port in ports.items():
        if listens(port):
            raise ConfigError(
                f"coordinator.yaml: {key}: something else listens on {port} already; make the "
                "folder anew with irene-server init --port or --loopback-port"
            )
