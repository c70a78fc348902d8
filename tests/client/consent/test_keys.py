"""The hospital's key pair: what Flower reads, modes, and refusals."""

import hashlib
from collections.abc import Callable
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric import ec, ed25519
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_ssh_private_key,
    load_ssh_public_key,
)

from client.consent.keys import key_sha256, make_key
from irene_model.errors import ConfigError


def test_the_pair_is_what_flower_takes_and_only_the_owner_reads_the_key(tmp_path: Path) -> None:
    from flwr.cli.supernode.register import try_load_public_key

    pair = make_key(tmp_path / "keys")
    assert pair.private.stat().st_mode & 0o777 == 0o600
    assert (tmp_path / "keys").stat().st_mode & 0o077 == 0
    private = load_ssh_private_key(pair.private.read_bytes(), None)
    public = load_ssh_public_key(pair.public.read_bytes())
    assert isinstance(private, ec.EllipticCurvePrivateKey)
    assert isinstance(public, ec.EllipticCurvePublicKey) and public.curve.name == "secp384r1"
    assert private.public_key() == public
    assert try_load_public_key(pair.public)
    assert pair.sha256 == hashlib.sha256(pair.public.read_bytes()).hexdigest()
    assert key_sha256(pair.private) == pair.sha256


@pytest.mark.parametrize("name", ["hospital.key", "hospital.pub"])
def test_nothing_is_overwritten(tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_text("precious")
    with pytest.raises(ConfigError, match=f"{name}: is there already"):
        make_key(tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == [name]


def _readable(path: Path) -> None:
    make_key(path.parent).private.rename(path)
    path.chmod(0o640)


def _other_curve(path: Path) -> None:
    key = ed25519.Ed25519PrivateKey.generate()
    path.write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.OpenSSH, NoEncryption()))
    path.chmod(0o600)


def _public(path: Path) -> None:
    make_key(path.parent).public.rename(path)
    path.chmod(0o600)


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (lambda path: None, "can't be read"),
        (Path.mkdir, "is no file"),
        (_readable, r"others can read the key \(mode 640\)"),
        (_other_curve, "is no ECDSA key"),
        (_public, "is no private key"),
    ],
)
def test_a_key_that_can_not_be_used_is_refused(
    tmp_path: Path, make: Callable[[Path], None], said: str
) -> None:
    path = tmp_path / "key"
    make(path)
    with pytest.raises(ConfigError, match=said):
        key_sha256(path)
