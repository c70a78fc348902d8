"""A coordinator's folder on free ports, and the key pair of a hospital, for several test files."""

from collections.abc import Sequence
from pathlib import Path

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519

from server.coordinator.coordinator import Coordinator, CoordinatorSettings, Loopback
from tests.helpers.ports import free_ports

AnyKey = ec.EllipticCurvePrivateKey | ed25519.Ed25519PrivateKey


def settings(hosts: Sequence[str] = ("localhost", "127.0.0.1")) -> CoordinatorSettings:
    """Settings with free ports."""
    port, *others = free_ports(1 + len(Loopback.model_fields))
    loopback = dict(zip(Loopback.model_fields, others, strict=True))
    return CoordinatorSettings(hosts=tuple(hosts), port=port, loopback=Loopback(**loopback))


def new_coordinator(path: Path, hosts: Sequence[str] = ("localhost", "127.0.0.1")) -> Coordinator:
    """A folder as `irene-server init` makes it."""
    return Coordinator.create(path, settings(hosts))


def write_keys(folder: Path, name: str, key: AnyKey | None = None) -> Path:
    """A key pair in OpenSSH's format, ECDSA unless given; returns the path of the public one."""
    key = key or ec.generate_private_key(ec.SECP384R1())
    private = key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.OpenSSH,
        serialization.NoEncryption(),
    )
    public = key.public_key().public_bytes(
        serialization.Encoding.OpenSSH, serialization.PublicFormat.OpenSSH
    )
    (folder / name).touch(mode=0o600)
    (folder / name).write_bytes(private)
    (folder / f"{name}.pub").write_bytes(public + b" someone@somewhere\n")
    return folder / f"{name}.pub"
