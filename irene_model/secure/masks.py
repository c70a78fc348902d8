"""Masks that hide a site's vector and cancel in the sum over all sites of an attempt (pure).

Each pair of sites agrees on a secret by X25519 (RFC 7748), from the keys in the roster that
hospitals compared. HKDF-SHA256 (RFC 5869) derives from it a key for this pair, attempt and set of
partners alone, and ChaCha20 makes the mask. The lower name adds it and the higher one subtracts it,
modulo 2^32 (Bonawitz et al. 2017, "Practical secure aggregation for privacy-preserving machine
learning", section 4, without its recovery of sites that are lost: an attempt is repeated then).

The whole partner list, keys included, is in each derivation. So where a coordinator tells sites
different lists, nothing cancels and nothing is opened.
"""

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from irene_model.errors import ConfigError, ProtocolError
from irene_model.secure.discrete import Integers
from irene_model.secure.keystream import CHUNK, KEY_BYTES, Keystream, Words32
from irene_model.study import MOST_SECURE_SITES, Member

LEAST_PARTNERS = 3
"""Of two, each knows what the other sent by subtracting."""
_LABEL = "federated-irene mask 1"
_FIELD = 2**255 - 19  # X25519's prime: a larger number is another spelling of a smaller one


class MaskKey:
    """A site's X25519 key. It never leaves the site, and neither `repr` nor an error shows it."""

    def __init__(self, private: X25519PrivateKey) -> None:
        self._private = private

    @classmethod
    def new(cls) -> "MaskKey":
        """A fresh key from the operating system."""
        return cls(X25519PrivateKey.generate())

    @classmethod
    def from_bytes(cls, data: bytes) -> "MaskKey":
        """The inverse of `to_bytes`; ConfigError where there are not 32 bytes."""
        if len(data) != KEY_BYTES:
            raise ConfigError(
                f"a mask key has {KEY_BYTES} bytes, not {len(data)}; restore the file, or make a "
                "new key and let the roster be made anew"
            )
        return cls(X25519PrivateKey.from_private_bytes(data))

    def to_bytes(self) -> bytes:
        """The 32 secret bytes."""
        return self._private.private_bytes_raw()

    @property
    def public(self) -> str:
        """The public key as 64 hex digits: `mask_key` in the roster."""
        return self._private.public_key().public_bytes_raw().hex()

    def agreed(self, other: str) -> bytes:
        """The secret that this key shares with the public key `other`, 64 hex digits.

        ProtocolError for this very key, one that is spelt in a second way, and those few with which
        every secret would be 0 (RFC 7748, section 6.1).
        """
        point = bytes.fromhex(other)
        if other == self.public:
            raise ProtocolError("the roster gives another site this site's own mask key")
        if int.from_bytes(point, "little") >= _FIELD:
            raise ProtocolError("the roster holds a mask key that is spelt as no program writes it")
        try:
            return self._private.exchange(X25519PublicKey.from_public_bytes(point))
        except ValueError:
            raise ProtocolError("the roster holds a mask key that hides nothing") from None


@dataclass(frozen=True, kw_only=True)
class Attempt:
    """One try of one sum, as the site `me` sees it. Never two with the same fields, but `me`.

    what: "train", or the split of an evaluation. partners: all sites in it, by name.
    ProtocolError for fewer than three or more than 50, out of order or doubled, or without `me`.
    """

    fingerprint: str
    run: str
    round: int
    what: str
    attempt: int
    partners: tuple[Member, ...]
    me: str

    def __post_init__(self) -> None:
        names = [member.name for member in self.partners]
        if not LEAST_PARTNERS <= len(names) <= MOST_SECURE_SITES:
            raise ProtocolError(
                f"a secure sum has {LEAST_PARTNERS} to {MOST_SECURE_SITES} sites, not {len(names)}"
            )
        if names != sorted(set(names)):
            raise ProtocolError("the sites of a secure sum must be in order, each of them once")
        if len({member.mask_key for member in self.partners}) < len(names):
            raise ProtocolError("two sites of a secure sum have the same mask key")
        if self.me not in names:
            raise ProtocolError("this site is not among the sites of the secure sum")
        if self.attempt < 1:
            raise ProtocolError("attempts count from 1")

    @property
    def own(self) -> Member:
        """This site, as the roster has it."""
        return next(member for member in self.partners if member.name == self.me)

    @property
    def others(self) -> tuple[Member, ...]:
        """All other sites."""
        return tuple(member for member in self.partners if member.name != self.me)

    def info(self, other: Member) -> bytes:
        """What the mask with `other` is derived for: all fields, the same at both sites."""
        fields: Sequence[str | int] = (
            _LABEL,
            self.fingerprint,
            self.run,
            self.round,
            self.what,
            self.attempt,
            self._digest,
            *sorted((self.me, other.name)),
        )
        return json.dumps(fields, ensure_ascii=True, separators=(",", ":")).encode()

    @property
    def _digest(self) -> str:
        whole = [[each.name, each.node_key, each.mask_key] for each in self.partners]
        return hashlib.sha256(json.dumps(whole, separators=(",", ":")).encode()).hexdigest()


def mask(values: Integers, key: MaskKey, attempt: Attempt) -> Words32:
    """(D,) uint32: `values` (D,) modulo 2^32, under the masks with all other sites.

    ProtocolError where `key` is not the one that the roster has for this site, and for keys that
    `MaskKey.agreed` refuses.
    """
    if attempt.own.mask_key != key.public:
        raise ProtocolError("the roster has another mask key for this site than the site's own")
    streams = [
        (Keystream(_derived(key.agreed(other.mask_key), attempt.info(other))), other.name)
        for other in attempt.others
    ]
    masked = np.empty(len(values), dtype=np.uint32)
    buffer = np.empty(min(CHUNK, len(values)), dtype="<u4")
    for start in range(0, len(values), CHUNK):
        part = masked[start : start + CHUNK]
        part[:] = values[start : start + CHUNK].astype(np.uint32)  # modulo 2^32
        pad = buffer[: len(part)]
        for stream, name in streams:
            stream.fill(pad)
            if attempt.me < name:
                part += pad
            else:
                part -= pad
    return masked


def _derived(secret: bytes, info: bytes) -> bytes:
    return HKDF(algorithm=SHA256(), length=KEY_BYTES, salt=None, info=info).derive(secret)
