"""enrolled.json: which site has which key. The ServerApp believes no other name of a node."""

import fcntl
import hashlib
import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Literal

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import load_ssh_public_key
from pydantic import Field, TypeAdapter, ValidationError

from irene_model.errors import ConfigError
from irene_model.study import Name, Settings, SiteName, parse
from server.coordinator.certificates import write_private
from server.coordinator.control import Control, ControlError
from server.coordinator.coordinator import Coordinator, account

_CURVES = (ec.SECP256R1, ec.SECP384R1, ec.SECP521R1)
_LARGEST_KEY = 4096  # bytes; a public key has a few hundred
_REMEDY = "ask the hospital for the .pub file that irene-client keygen wrote"


class EnrolledSite(Settings):
    """A site: Flower's id of its node in decimal digits, sha256 of its .pub file, ISO time."""

    node_id: str | None = Field(default=None, pattern=r"^\d+$")
    key_sha256: str = Field(pattern=r"^[0-9a-f]{64}$")
    enrolled: str


class Enrolment(Settings):
    """The whole file."""

    schema_: Literal[1] = Field(default=1, alias="schema")
    # Names of older files are wider: such a site can still be expelled.
    sites: dict[Name, EnrolledSite] = Field(default_factory=dict)

    @classmethod
    def read(cls, path: Path) -> "Enrolment":
        """Read the file; one that is not there yet means that nobody is enrolled."""
        try:
            document = json.loads(path.read_text(encoding="utf-8"))
        except FileNotFoundError:
            return cls()
        except (OSError, ValueError):
            raise ConfigError(f"{path}: can't be read as JSON") from None
        return parse(cls, document, path)

    def write(self, path: Path) -> None:
        """Write it, whole or not at all."""
        document = self.model_dump(mode="json", by_alias=True)
        write_private(path, (json.dumps(document, indent=2, ensure_ascii=False) + "\n").encode())


def enroll(coordinator: Coordinator, control: Control, key: Path, name: str) -> EnrolledSite:
    """Register the public key in the file `key` with Flower, as that of the site `name`.

    Raises ConfigError for a name or a key that is enrolled already and for a file that is no
    public key as Flower takes them, before anything is changed.
    """
    check_name(name)
    fingerprint = read_public_key(key)
    with _alone(coordinator):
        known = Enrolment.read(coordinator.enrolled)
        if name in known.sites:
            raise ConfigError(
                f"--name {name}: is enrolled already; irene-server expel {coordinator.path} "
                f"{name} first, if its key is to be replaced"
            )
        for other, site in known.sites.items():
            if site.key_sha256 == fingerprint:
                raise ConfigError(f"{key}: is enrolled already, as {other}; every site has its own")
        try:
            node_id = control.register(key.resolve(), name)
        except ControlError as error:
            if error.key_in_use:
                raise ConfigError(
                    f"{key}: Flower knows this key already; a key that was once enrolled is not "
                    "taken again, so ask the hospital for a new one"
                ) from None
            raise
        site = EnrolledSite(
            node_id=node_id,
            key_sha256=fingerprint,
            enrolled=datetime.now(UTC).isoformat(timespec="seconds"),
        )
        Enrolment(sites={**known.sites, name: site}).write(coordinator.enrolled)
    coordinator.journal.append(
        "enrolled", who=account(), site=name, node_id=node_id, key_sha256=fingerprint
    )
    return site


def expel(coordinator: Coordinator, control: Control, name: str) -> None:
    """Refuse a site's key from now on; a ConfigError where it is not enrolled."""
    with _alone(coordinator):
        known = Enrolment.read(coordinator.enrolled)
        if name not in known.sites:
            names = ", ".join(sorted(known.sites)) or "nobody"
            raise ConfigError(f"{name}: is not enrolled; {names} is")
        site = known.sites[name]
        if site.node_id is not None:
            control.unregister(site.node_id)
        left = {other: each for other, each in known.sites.items() if other != name}
        Enrolment(sites=left).write(coordinator.enrolled)
    coordinator.journal.append(
        "expelled", who=account(), site=name, node_id=site.node_id, key_sha256=site.key_sha256
    )


def check_name(name: str) -> None:
    """Raise ConfigError for what can't be a site's name in site.yaml."""
    try:
        TypeAdapter(SiteName).validate_python(name)
    except ValidationError:
        raise ConfigError(
            "--name: expected the site's name as in its site.yaml: at most 40 letters, digits and "
            "hyphens of ASCII, the first one no hyphen"
        ) from None


def read_public_key(path: Path) -> str:
    """sha256 of the file, in hex, after a look at whether it is a public key as Flower takes them.

    A ConfigError names what it is instead; nothing of the file is quoted.
    """
    try:
        content = path.read_bytes()
    except OSError:
        raise ConfigError(f"{path}: can't be read; {_REMEDY}") from None
    if b"PRIVATE KEY" in content:
        raise ConfigError(
            f"{path}: is a private key, which must never leave the hospital: delete it here, and "
            "ask for the .pub file of a new key"
        )
    if len(content) > _LARGEST_KEY:
        raise ConfigError(f"{path}: is no public key; {_REMEDY}")
    try:
        key = load_ssh_public_key(content)
    except (ValueError, UnsupportedAlgorithm):
        raise ConfigError(f"{path}: is no public key in OpenSSH's format; {_REMEDY}") from None
    if not isinstance(key, ec.EllipticCurvePublicKey) or not isinstance(key.curve, _CURVES):
        raise ConfigError(f"{path}: is a public key of another kind than ECDSA; {_REMEDY}")
    return hashlib.sha256(content).hexdigest()


@contextmanager
def _alone(coordinator: Coordinator) -> Iterator[None]:
    """Two enrolments at a time would each write the other's site away."""
    path = coordinator.enrolled.with_suffix(".lock")
    with os.fdopen(os.open(path, os.O_RDWR | os.O_CREAT, 0o600), "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield
