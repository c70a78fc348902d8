"""Random bits that nobody predicts without the key: the keystream of ChaCha20 (RFC 8439).

`client/private/noise.py` says why noise does not come from numpy's generators. Masks and integer
noise share this source, each under keys of its own.
"""

import hashlib
import os
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt
from cryptography.hazmat.primitives.ciphers import Cipher
from cryptography.hazmat.primitives.ciphers.algorithms import ChaCha20

Words32 = npt.NDArray[np.uint32]
Words64 = npt.NDArray[np.uint64]
CHUNK = 2**18
"""Words at a time, which stay in the processor's cache."""
KEY_BYTES = 32
_ZEROS = bytes(8 * CHUNK)


class Bits(Protocol):
    """Where random bits come from."""

    def fill(self, words: npt.NDArray[Any], /) -> None:
        """Overwrite `words`, contiguous integers of any width, with independent even bits."""


class Keystream:
    """`Bits` under a key of 32 bytes; the same key gives the same bits."""

    def __init__(self, key: bytes) -> None:
        """The nonce is 0: a key is used for one stream. It ends after 256 GiB."""
        self._cipher = Cipher(ChaCha20(key, bytes(16)), mode=None).encryptor()

    @classmethod
    def of_the_operating_system(cls) -> "Keystream":
        """A key of 256 fresh bits from the operating system."""
        return cls(os.urandom(KEY_BYTES))

    @classmethod
    def reproducible(cls, *parts: object) -> "Keystream":
        """For simulations: another stream for any other `parts`."""
        return cls(hashlib.sha256(repr(parts).encode()).digest())

    def fill(self, words: npt.NDArray[Any], /) -> None:
        """Overwrite `words` with the next bits of the stream, which are little-endian words."""
        if not words.size:
            return
        place = words.data.cast("B")
        for start in range(0, len(place), len(_ZEROS)):
            part = place[start : start + len(_ZEROS)]
            self._cipher.update_into(memoryview(_ZEROS)[: len(part)], part)
