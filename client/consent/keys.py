"""The hospital's key pair, by which the coordinator's SuperLink knows its node.

ECDSA on P-384 in OpenSSH's form, as Flower's node authentication takes it. The private key never
leaves this machine; the public one is what the coordinator enrols.
"""

import hashlib
import os
import stat
from dataclasses import dataclass
from pathlib import Path

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
    load_ssh_private_key,
)

from irene_model.errors import ConfigError
from irene_model.journal import private_folder

NAME = "hospital"


@dataclass(frozen=True, kw_only=True)
class KeyPair:
    """`private` stays here; `public` goes to the coordinator, and `sha256` says which it is."""

    private: Path
    public: Path
    sha256: str


def make_key(folder: Path) -> KeyPair:
    """Write a new key pair into `folder`; ConfigError where one of its files is there already."""
    private, public = folder / f"{NAME}.key", folder / f"{NAME}.pub"
    refuse_existing(private, public)
    key = ec.generate_private_key(ec.SECP384R1())
    secret = key.private_bytes(Encoding.PEM, PrivateFormat.OpenSSH, NoEncryption())
    write_pair((private, secret), (public, public_line(key)))
    return KeyPair(private=private, public=public, sha256=_sha256(key))


def key_sha256(private: Path) -> str:
    """The sha256 of the public file of the key at `private`, as the coordinator knows it.

    Raises ConfigError where others can read the key, or it is none that the node can use.
    """
    content = read_secret(private)
    try:
        key = load_ssh_private_key(content, None)
    except (ValueError, TypeError, UnsupportedAlgorithm):
        raise ConfigError(
            f"{private}: is no private key without a passphrase in OpenSSH's form; "
            "make one with `irene-client keygen`"
        ) from None
    if not isinstance(key, ec.EllipticCurvePrivateKey):
        raise ConfigError(f"{private}: is no ECDSA key; make one with `irene-client keygen`")
    return _sha256(key)


def public_line(key: ec.EllipticCurvePrivateKey) -> bytes:
    """The public file's whole content."""
    return key.public_key().public_bytes(Encoding.OpenSSH, PublicFormat.OpenSSH) + b"\n"


def _sha256(key: ec.EllipticCurvePrivateKey) -> str:
    return hashlib.sha256(public_line(key)).hexdigest()


def refuse_existing(*paths: Path) -> None:
    """Raise ConfigError where one of `paths` is there: no key is ever overwritten."""
    for path in paths:
        if path.exists():
            raise ConfigError(
                f"{path}: is there already and is not overwritten; name another folder"
            )


def write_pair(private: tuple[Path, bytes], public: tuple[Path, bytes]) -> None:
    """Write both files of a key, the first for its owner alone; ConfigError where it can't be."""
    for (path, content), mode in ((private, 0o600), (public, 0o644)):
        try:
            if not path.parent.exists():  # one that is there may be anything
                private_folder(path.parent)
            _create(path, mode, content)
        except OSError as error:
            raise ConfigError(f"{path.parent}: can't be written ({error.strerror})") from None


def read_secret(private: Path) -> bytes:
    """The content of a private key's file; ConfigError where others can read it, or nobody can."""
    try:
        status = private.stat()
        if not stat.S_ISREG(status.st_mode):
            raise ConfigError(f"{private}: is no file; name the key that `keygen` made")
        if status.st_mode & 0o077:
            raise ConfigError(
                f"{private}: others can read the key (mode {stat.S_IMODE(status.st_mode):o}); "
                f"`chmod 600` it, and make a new one if someone may have"
            )
        return private.read_bytes()
    except OSError as error:
        raise ConfigError(f"{private}: can't be read ({error.strerror})") from None


def _create(path: Path, mode: int, content: bytes) -> None:
    """Never through an existing name, and never readable by others for a moment."""
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode), "wb") as file:
        file.write(content)
