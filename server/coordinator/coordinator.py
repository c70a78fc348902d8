"""The coordinator's folder: its settings, what lies where in it, and how it is made."""

import getpass
import ipaddress
import os
import re
import secrets
import shutil
import socket
import stat
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Self

from jinja2 import Environment, PackageLoader, StrictUndefined
from pydantic import AfterValidator, Field, model_validator

from irene_model import __version__
from irene_model.errors import ConfigError
from irene_model.journal import Journal
from irene_model.study import Settings, read
from server.coordinator.certificates import Signed, issue, new_authority, now, write_private
from server.coordinator.run_config import RUN_CONFIG

LOOPBACK = ("localhost", "127.0.0.1")
_SETTINGS = "coordinator.yaml"
_NUMBERS = re.compile(r"[0-9.]+")  # an address that is mistyped
_DOMAIN = re.compile(r"(?!-)[A-Za-z0-9-]{1,63}(?<!-)(\.(?!-)[A-Za-z0-9-]{1,63}(?<!-))*")


def _is_host(host: str) -> str:
    if "%" in host:
        raise ValueError("an address with a zone is reached from its own network alone")
    try:
        return str(ipaddress.ip_address(host))  # in its short form, as certificates compare it
    except ValueError:
        if len(host) > 253 or not _DOMAIN.fullmatch(host) or _NUMBERS.fullmatch(host):
            raise ValueError(
                "expected a host name or an address, without port, brackets or https://"
            ) from None
    return host


def _not_empty(hosts: tuple[str, ...]) -> tuple[str, ...]:
    if not hosts:
        raise ValueError("name at least one host")
    return hosts


Hosts = Annotated[tuple[Annotated[str, AfterValidator(_is_host)], ...], AfterValidator(_not_empty)]
Port = Annotated[int, Field(ge=1, le=65535)]


class Loopback(Settings):
    """Ports on 127.0.0.1. `superlink` has Flower's Control API, which asks nobody who he is."""

    superlink: Port = 9180
    superlink_health: Port = 9181
    superexec_health: Port = 9182
    web: Port = 9183

    @classmethod
    def starting_at(cls, first: int) -> Self:
        """Consecutive ports from `first` on."""
        return cls(**{name: first + index for index, name in enumerate(cls.model_fields)})


class CoordinatorSettings(Settings):
    """coordinator.yaml: `hosts` are what hospitals call the gateway, at `port`."""

    hosts: Hosts
    port: Port = 8443
    loopback: Loopback = Loopback()

    @property
    def address(self) -> str:
        """What hospitals type: the first host and the port, as host:port or [2001:db8::1]:port."""
        host = self.hosts[0]
        return f"[{host}]:{self.port}" if ":" in host else f"{host}:{self.port}"

    @model_validator(mode="after")
    def _ports_differ(self) -> Self:
        ports = [self.port, *self.loopback.model_dump().values()]
        if len(set(ports)) != len(ports):
            raise ValueError("port and the loopback ports must all differ")
        return self


@dataclass(frozen=True, kw_only=True)
class Coordinator:
    """A coordinator's folder. Use `create` or `open`; `path` is absolute."""

    path: Path
    settings: CoordinatorSettings

    @classmethod
    def open(cls, path: Path) -> Self:
        """The folder that `create` made; else a ConfigError."""
        path = path.resolve()
        if not (path / _SETTINGS).is_file():
            raise ConfigError(
                f"{path}: holds no {_SETTINGS}; make a coordinator's folder with irene-server init"
            )
        return cls(path=path, settings=read(CoordinatorSettings, path / _SETTINGS))

    @classmethod
    def create(cls, path: Path, settings: CoordinatorSettings) -> Self:
        """Make the folder: authority, certificates, secret, and all files to start from.

        It appears whole or not at all. A folder that already holds something is refused.
        """
        path = path.resolve()
        addresses = [host for host in settings.hosts if ":" in host]
        if addresses and not speaks_ipv6():
            raise ConfigError(
                f"--host {addresses[0]}: this machine has no IPv6, so nothing could listen there; "
                "turn it on, or name a host that is reached by IPv4"
            )
        if path.exists() and (not path.is_dir() or any(path.iterdir())):
            raise ConfigError(
                f"{path}: exists and is not empty, and nothing is overwritten; name a new folder"
            )
        if not path.parent.is_dir():
            raise ConfigError(f"{path.parent}: does not exist; make it first")
        unfinished = path.with_name(f".{path.name}.{secrets.token_hex(4)}")
        try:
            unfinished.mkdir(mode=0o700)
            cls(path=unfinished, settings=settings)._fill(path)
            unfinished.rename(path)
        except OSError as error:
            raise ConfigError(f"{path}: can't be written ({error.strerror})") from None
        finally:
            shutil.rmtree(unfinished, ignore_errors=True)
        return cls(path=path, settings=settings)

    @property
    def certificates(self) -> Path:
        """ca, server (the gateway's) and superlink, each as .crt and .key."""
        return self.path / "certificates"

    @property
    def secret(self) -> Path:
        """What SuperExec shows the SuperLink; passed as a file, never on a command line."""
        return self.path / "superexec.secret"

    @property
    def gateway(self) -> Path:
        """The folder that nginx runs in."""
        return self.path / "gateway"

    @property
    def programs(self) -> Path:
        """What Flower's executor finds before its own program of the same name."""
        return self.path / "state" / "bin"

    @property
    def app(self) -> Path:
        """The bundle that Flower sends to hospitals: one file, and no code."""
        return self.path / "app"

    @property
    def flower_home(self) -> Path:
        """FLWR_HOME of all that is started here."""
        return self.path / "flower"

    @property
    def database(self) -> Path:
        """What the SuperLink must remember over a crash."""
        return self.path / "superlink.sqlite"

    @property
    def state(self) -> Path:
        """The supervisor's."""
        return self.path / "state"

    @property
    def logs(self) -> Path:
        """A log for each process."""
        return self.path / "logs"

    @property
    def runs(self) -> Path:
        """The run folders."""
        return self.path / "runs"

    @property
    def runs_lock(self) -> Path:
        """Held by whoever hands a run to Flower or ends it."""
        return self.path / "runs.lock"

    @property
    def enrolled(self) -> Path:
        """Which site has which key; see `server.coordinator.enrolment`."""
        return self.path / "enrolled.json"

    @property
    def journal(self) -> Journal:
        """Who did what and when."""
        return Journal(self.path / "journal.jsonl")

    @property
    def superlink(self) -> str:
        """The SuperLink's own address, which only this machine reaches."""
        return f"127.0.0.1:{self.settings.loopback.superlink}"

    def renew(self) -> None:
        """New keys and certificates for gateway and SuperLink, signed by the same authority."""
        authority = Signed.load(self.certificates, "ca")
        ends = authority.certificate.not_valid_after_utc
        if ends <= now():
            raise ConfigError(
                f"{self.certificates / 'ca.crt'}: ended on {ends:%Y-%m-%d}, and nobody trusts what "
                "it signs: make a new folder with irene-server init, and give hospitals its ca.crt"
            )
        issue(authority, self.settings.hosts, now()).save(self.certificates, "server")
        issue(authority, LOOPBACK, now()).save(self.certificates, "superlink")

    def check_modes(self) -> None:
        """Raise ConfigError where somebody else on this machine could read a secret."""
        for path in (*sorted(self.certificates.glob("*.key")), self.secret):
            if stat.S_IMODE(path.stat().st_mode) & 0o077:
                raise ConfigError(f"{path}: others on this machine can read it; chmod 600 {path}")

    def _fill(self, place: Path) -> None:
        """Write everything into `self.path`, which will lie at `place`."""
        for folder in (self.certificates, self.app, self.flower_home, self.runs, self.logs):
            folder.mkdir(mode=0o700)
        (self.gateway / "temporary").mkdir(parents=True, mode=0o700)
        self.gateway.chmod(0o700)
        new_authority(f"Federation of {self.settings.hosts[0]}", now()).save(
            self.certificates, "ca"
        )
        self.renew()
        write_private(self.secret, secrets.token_hex(32).encode())
        for template, target in _TEMPLATES.items():
            (self.path / target).parent.mkdir(exist_ok=True, mode=0o700)
            (self.path / target).write_text(_render(template, self._values(place)), "utf-8")

    def _values(self, place: Path) -> dict[str, Any]:
        return {
            **self.settings.model_dump(mode="json"),
            "ipv6": speaks_ipv6(),
            "version": __version__,
            "config": RUN_CONFIG,
            "folder": str(place).replace("%", "%%"),  # systemd's escape
            "command": str(Path(sys.executable).with_name("irene-server")).replace("%", "%%"),
            "user": account(),
            "uid": os.getuid(),
            "gid": os.getgid(),
        }


_TEMPLATES = {
    "coordinator.yaml.j2": _SETTINGS,
    "nginx.conf.j2": "gateway/nginx.conf",
    "app.toml.j2": "app/pyproject.toml",
    "study.yaml": "study.yaml",
    "irene-server.service.j2": "systemd/irene-server.service",
    "compose.yaml.j2": "compose.yaml",
}


def speaks_ipv6() -> bool:
    """Whether this machine has an IPv6 of its own, be it loopback's alone."""
    try:
        with socket.socket(socket.AF_INET6) as probe:
            probe.bind(("::1", 0))
    except OSError:
        return False
    return True


def account() -> str:
    """The name of the account that acts, for the journal and for systemd."""
    try:
        return getpass.getuser()
    except (KeyError, OSError):  # a container's user may have no name
        return str(os.getuid())


def _render(template: str, values: dict[str, Any]) -> str:
    environment = Environment(
        loader=PackageLoader("server", "coordinator/templates"),
        undefined=StrictUndefined,
        autoescape=False,  # configuration files, and every value is validated
        keep_trailing_newline=True,
    )
    return environment.get_template(template).render(values)
