"""Normal noise on the integers, exactly (pure but for its bits).

Y has P(Y = y) proportional to exp(-y² / 2σ²) for integers y: the discrete Gaussian of Canonne,
Kamath & Steinke 2020, "The discrete Gaussian for differential privacy". They draw it by rejection
(Algorithm 3) with coins of chance exp(-γ) for rational γ. So is it done here, on whole arrays:

    t = ceil(σ / 8);  J = j with weight exp(-j² / 128);  U even in 0 .. t - 1;  |Y| = J t + U
    kept with chance exp(-(|Y|² / 2σ² - J² / 128)), which is at most 1 since t >= σ / 8;
    an even sign, and a negative 0 is drawn anew.

A kept |Y| has weight exp(-Y² / 2σ²), whatever J. A coin of chance p is whether an even number in
[0, 1) is below p, and so is the draw of J. Each compares 53 or 64 bits of that number first. Where
these do not decide, float64's rounding included, more bits are drawn and compared with as many
digits as it takes (`_Longer`). So nothing is rounded: the noise is exact for even bits.
"""

import itertools
import math
from collections.abc import Callable
from decimal import Decimal, localcontext
from fractions import Fraction
from functools import lru_cache, partial

import numpy as np
import numpy.typing as npt

from irene_model.secure.keystream import CHUNK, Bits, Words64

Integers = npt.NDArray[np.int64]
LARGEST_DEVIATION = 2.0**30
_FINE = 8  # blocks a deviation: of so many proposals, 95% are kept
_PART = CHUNK // 8
_MARGIN = 2.0**-38  # far above what float64 errs by in `_kept`, some 2^-45
# The chance of a value is at least the first and at most the second, to so many digits.
Bounds = Callable[[int], tuple[Decimal, Decimal]]


def discrete_gaussian(size: int, deviation: float, bits: Bits) -> Integers:
    """(size,) independent discrete Gaussians of parameter `deviation`, in units of 1; 0s for 0.

    ValueError for a deviation that is negative, no number, or above 2^30.
    """
    if not 0 <= deviation <= LARGEST_DEVIATION:
        raise ValueError(f"the noise's deviation must be from 0 to {LARGEST_DEVIATION:g} units")
    drawn = np.zeros(size, dtype=np.int64)
    if deviation == 0:
        return drawn
    filled = 0
    while filled < size:
        kept = _kept(min(_PART, size - filled + (size - filled) // 8 + 16), deviation, bits)
        kept = kept[: size - filled]
        drawn[filled : filled + len(kept)] = kept
        filled += len(kept)
    return drawn


def _kept(count: int, deviation: float, bits: Bits) -> Integers:
    """What is kept of `count` proposals, in order."""
    words = np.empty((3, count), dtype=np.uint64)
    bits.fill(words)
    width = -int(-Fraction(deviation) / _FINE // 1)  # t
    block = _blocks(words[0], bits)
    # Lemire 2019, "Fast random integer generation in an interval": even, where the low word allows.
    product = (words[1] & np.uint64(0xFFFFFFFF)) * np.uint64(width)
    allowed = (product & np.uint64(0xFFFFFFFF)) >= np.uint64(2**32 % width)
    size = block * width + (product >> np.uint64(32)).astype(np.int64)
    negative = (words[1] >> np.uint64(63)).astype(bool)
    allowed &= ~(negative & (size == 0))

    ratio, base = size / deviation, block / _FINE
    chance = np.exp((base - ratio) * (base + ratio) / 2)
    beyond = (words[2] >> np.uint64(11)) * 2.0**-53 - chance
    heads = beyond < 0
    for index in np.flatnonzero(np.abs(beyond) < _MARGIN):
        number = _Longer(int(words[2][index]), bits)
        heads[index] = number.below(_coin(int(size[index]), int(block[index]), deviation))
    kept: Integers = np.where(negative, -size, size)[allowed & heads]
    return kept


def _blocks(words: Words64, bits: Bits) -> Integers:
    """J of each number in [0, 1), of which `words` are the first 64 bits."""
    edges = _edges()
    blocks = np.searchsorted(edges, words, side="right").astype(np.int64)
    # An edge goes through the number's word: bits that follow decide.
    for index in np.flatnonzero((blocks > 0) & (edges[blocks - 1] == words)):
        word, block = int(words[index]), int(np.searchsorted(edges, words[index]))
        blocks[index] = _block_of(word, block, bits)
    return blocks


def _block_of(word: int, block: int, bits: Bits) -> int:
    """The block of a number that starts with `word`, which is `block` or a later one."""
    tail = _Longer(word, bits)
    while not tail.below(partial(_up_to, block)):
        block += 1
    return block


class _Longer:
    """An even number in [0, 1) that starts with the 64 bits `word`; more are drawn if needed."""

    def __init__(self, word: int, bits: Bits) -> None:
        self._start, self._width, self._bits = word, 64, bits

    def below(self, bounds: Bounds) -> bool:
        """Whether it is below a number; equal they are with chance 0."""
        while True:
            with localcontext(prec=self._width):  # over three times the digits that are compared
                low, high = bounds(self._width // 3)
                scale = Decimal(2) ** self._width
                if self._start + 1 <= low * scale:
                    return True
                if self._start >= high * scale:
                    return False
            more = np.empty(1, dtype=np.uint64)
            self._bits.fill(more)
            self._start, self._width = (self._start << 64) + int(more[0]), self._width + 64


def _coin(size: int, block: int, deviation: float) -> Bounds:
    """exp(-(size² / 2σ² - block² / 128)), for the rational number that the float σ is."""
    over = Fraction(size) ** 2 / (2 * Fraction(deviation) ** 2) - Fraction(block**2, 2 * _FINE**2)

    def bounds(digits: int) -> tuple[Decimal, Decimal]:
        error = Decimal(10) ** -digits
        middle = (-Decimal(over.numerator) / Decimal(over.denominator)).exp()
        return middle - error, middle + error

    return bounds


@lru_cache(maxsize=1)
def _edges() -> Words64:
    """The first 64 bits of the chances that J is at most 0, 1, 2, ..., as far as they differ."""
    with localcontext(prec=64):
        edges = [int(chance * 2**64) for chance in _chances(40) if chance < 1]
    return np.unique(np.array(edges, dtype=np.uint64))


def _up_to(block: int, digits: int) -> tuple[Decimal, Decimal]:
    """Bounds of the chance that J is at most `block`, within 10^-digits."""
    chances, error = _chances(digits), Decimal(10) ** -digits
    middle = chances[min(block, len(chances) - 1)]
    return middle - error, middle + error


@lru_cache(maxsize=64)
def _chances(digits: int) -> tuple[Decimal, ...]:
    """The chances that J is at most 0, 1, 2, ..., within 10^-digits; the last is 1."""
    # Blocks beyond the last have together less weight than 10^-(digits + 3), of more than 10.
    last = math.isqrt(int(2 * _FINE**2 * 2.31 * (digits + 6))) + 1
    with localcontext(prec=digits + 10):
        weights = [(Decimal(-(j**2)) / (2 * _FINE**2)).exp() for j in range(last + 1)]
        whole = sum(weights, Decimal(0))
        return tuple(each / whole for each in itertools.accumulate(weights))
