"""Normal noise that nobody can predict, and that leaves no trace of what it was added to.

numpy's and torch's generators are made for simulation. The state of PCG64, numpy's default, can be
recovered from its outputs (Bouillaguet, Martinez & Sauvage 2020, "Practical seed-recovery for the
PCG pseudo-random number generator"), and whoever knows all patients but one sees nearly all of the
noise. Here the bits are the keystream of AES-256 in counter mode (NIST SP 800-38A), a cipher.

Floating point: a sum of floats x + z has low bits that depend on x (Mironov 2012, "On significance
of the least significant bits for differential privacy"). The noised value is therefore rounded to
a lattice that depends on the public deviation alone.
"""

import hashlib
import math
import os
from typing import Protocol

import numpy as np
import numpy.typing as npt
import torch
from cryptography.hazmat.primitives.ciphers import Cipher
from cryptography.hazmat.primitives.ciphers.algorithms import AES256
from cryptography.hazmat.primitives.ciphers.modes import CTR

Normals = npt.NDArray[np.float64]
_CHUNK = 2**18  # numbers at a time, which stay in the processor's cache
_LATTICE_BITS = 10  # a lattice step is between 2^-11 and 2^-10 of the noise's deviation


class NoiseSource(Protocol):
    """Standard normal numbers; numpy's generators are one, for tests and measurements."""

    def standard_normal(self, size: tuple[int, ...], /) -> npt.NDArray[np.float64]:
        """Independent numbers of mean 0 and variance 1."""


class KeystreamNoise:
    """Standard normal numbers from 106 bits of keystream a pair (Box & Muller 1958)."""

    def __init__(self, key: bytes) -> None:
        """`key` has 32 bytes; the same key gives the same numbers."""
        self._keystream = Cipher(AES256(key), CTR(bytes(16))).encryptor()

    @classmethod
    def of_the_operating_system(cls) -> "KeystreamNoise":
        """A key of 256 fresh bits from the operating system."""
        return cls(os.urandom(32))

    @classmethod
    def reproducible(cls, *parts: object) -> "KeystreamNoise":
        """For simulations: another stream for any other `parts`."""
        return cls(hashlib.sha256(repr(parts).encode()).digest())

    def standard_normal(self, size: tuple[int, ...], /) -> Normals:
        """Independent standard normal numbers, float64; none is beyond 8.58."""
        count = math.prod(size)
        numbers = torch.empty(2 * ((count + 1) // 2), dtype=torch.float64)
        for start in range(0, len(numbers), _CHUNK):
            self._fill(numbers[start : start + _CHUNK])
        return np.asarray(numbers[:count].reshape(size).numpy())

    def _fill(self, numbers: torch.Tensor) -> None:
        words = np.frombuffer(self._keystream.update(bytes(8 * len(numbers))), dtype="<i8")
        uniform = torch.from_numpy(words & (2**53 - 1)).double()
        half = len(numbers) // 2
        radius = uniform[:half].add_(1).mul_(2.0**-53).log_().mul_(-2).sqrt_()  # of one in (0, 1]
        angle = uniform[half:].mul_(2 * math.pi * 2.0**-53)
        torch.mul(radius, torch.cos(angle), out=numbers[:half])
        torch.mul(radius, torch.sin(angle), out=numbers[half:])


def lattice_step(deviation: float) -> float:
    """The power of two below `deviation`, over 1024: public, as σ and C are."""
    return 2.0 ** (math.floor(math.log2(deviation)) - _LATTICE_BITS)


def add_lattice_noise(total: torch.Tensor, *, deviation: float, source: NoiseSource) -> None:
    """Add noise of `deviation` to `total` and round each number to a multiple of `lattice_step`.

    In float64, a part at a time: `total` is changed in place, and its float32 holds multiples of
    the step exactly up to 8,192 deviations. Without a deviation there is no noise and no lattice.
    """
    if deviation == 0:
        return
    step = lattice_step(deviation)
    flat = total.view(-1)
    for start in range(0, len(flat), _CHUNK):
        part = flat[start : start + _CHUNK]
        noise = torch.from_numpy(source.standard_normal(tuple(part.shape))).to(part.device)
        part.copy_(noise.mul_(deviation).add_(part).div_(step).round_().mul_(step))
