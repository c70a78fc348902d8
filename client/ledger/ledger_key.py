"""The key under which a ledger knows its patients, in a file of its own beside it.

With the key and the sketch of its patients (`client.records.patients`) one could ask of any id
whether it is among them. So a copy of the ledger alone, in a backup or with an auditor, must not
hold both: the ledger keeps the key's sha256, by which it knows its own key again.
"""

import hashlib
import re
import secrets
from pathlib import Path

from irene_model.journal import tighten, write_private

_KEY = re.compile(rb"[0-9a-f]{64}\n?")


def key_path(ledger: Path) -> Path:
    """`ledger.sqlite` -> `ledger.sqlite.key`."""
    return ledger.with_name(f"{ledger.name}.key")


def key_sha256(key: bytes) -> str:
    """What the ledger keeps of its key."""
    return hashlib.sha256(key).hexdigest()


def new_key(path: Path) -> bytes:
    """A new key, durable at `path` before any ledger refers to it."""
    key = secrets.token_bytes(32)
    write_private(path, f"{key.hex()}\n".encode())
    return key


def read_key(path: Path, sha256: str) -> bytes:
    """The key at `path` if it has this hash; ValueError where it is missing or another one."""
    try:
        tighten(path)
        line = path.read_bytes()
    except FileNotFoundError:
        raise ValueError(
            f"its key file {path.name} is missing, without which its patients can't be compared"
        ) from None
    key = bytes.fromhex(line.decode()) if _KEY.fullmatch(line) else b""
    if key_sha256(key) != sha256:
        raise ValueError(f"its key file {path.name} holds another key than this ledger's")
    return key
