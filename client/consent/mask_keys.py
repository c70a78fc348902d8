"""The hospital's mask key: by it, it agrees with each other hospital on what hides their sums.

X25519 (`irene_model.secure`). The private key never leaves this machine. The public one goes into
the roster, a file that hospitals compare among themselves.
"""

from dataclasses import dataclass
from pathlib import Path

from client.consent.keys import read_secret, refuse_existing, write_pair
from irene_model.errors import ConfigError
from irene_model.secure import MaskKey

NAME = "mask"


@dataclass(frozen=True, kw_only=True)
class MaskKeyFiles:
    """`private` stays here; `public` holds `value`, 64 hexadecimal digits, for the roster."""

    private: Path
    public: Path
    value: str


def mask_key_files(folder: Path, private: Path | None = None) -> tuple[Path, Path]:
    """Where a new key goes: the private one beside the public one, or to `private`.

    ConfigError where one of the files is there already.
    """
    paths = private or folder / f"{NAME}.key", folder / f"{NAME}.pub"
    refuse_existing(*paths)
    return paths


def make_mask_key(private: Path, public: Path) -> MaskKeyFiles:
    """Write a new key; nothing is overwritten."""
    refuse_existing(private, public)
    key = MaskKey.new()
    write_pair((private, key.to_bytes()), (public, f"{key.public}\n".encode()))
    return MaskKeyFiles(private=private, public=public, value=key.public)


def read_mask_key(private: Path) -> MaskKey:
    """The key at `private`; ConfigError where it is missing, or others can read it, or is none."""
    if not private.exists():
        raise ConfigError(
            f"{private}: the mask key is missing, without which this site takes part in no secure "
            "sums; make one with `irene-client keygen DIR --site SITE.yaml --only mask`, or name "
            "the one that you have as mask_key in site.yaml"
        )
    secret = read_secret(private)
    try:
        return MaskKey.from_bytes(secret)
    except ConfigError as error:
        raise ConfigError(f"{private}: {error}") from None
