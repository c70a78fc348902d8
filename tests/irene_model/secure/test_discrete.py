"""The integer noise has exactly the distribution that it is named after."""

import math
import time
from decimal import Decimal, localcontext

import numpy as np
import pytest
from scipy.stats import chi2, norm

from irene_model.secure import discrete
from irene_model.secure.discrete import discrete_gaussian
from irene_model.secure.keystream import Keystream


def exact_pmf(deviation: float, reach: int) -> np.ndarray:
    weights = np.exp(-(np.arange(-reach, reach + 1) ** 2) / (2 * deviation**2))
    return np.asarray(weights / weights.sum())


@pytest.mark.parametrize("deviation", [0.4, 1.0, 2.5, 7.9, 8.1, 33.3])
def test_every_value_comes_as_often_as_it_should(deviation: float) -> None:
    drawn = discrete_gaussian(200_000, deviation, Keystream.reproducible("pmf", deviation))
    reach = math.ceil(12 * deviation)
    expected = exact_pmf(deviation, reach) * len(drawn)
    counted = np.bincount(drawn + reach, minlength=2 * reach + 1)
    often = expected >= 10
    seen = np.append(counted[often], counted[~often].sum())
    wanted = np.append(expected[often], expected[~often].sum())
    seen, wanted = seen[wanted > 1], wanted[wanted > 1]
    statistic = float(((seen - wanted) ** 2 / wanted).sum())
    assert statistic < chi2.isf(1e-4, len(seen) - 1)


@pytest.mark.parametrize("deviation", [1000.5, 2.0**17 + 3, 2.0**24, 2.0**30])
def test_large_noise_is_normal_all_but_its_being_whole(deviation: float) -> None:
    drawn = discrete_gaussian(200_000, deviation, Keystream.reproducible("large", deviation))
    scaled = np.sort(drawn / deviation)
    error = 1 / math.sqrt(len(drawn))
    assert abs(scaled.mean()) < 4.5 * error
    assert abs((scaled**2).mean() - 1) < 4.5 * math.sqrt(2) * error
    assert abs((scaled**4).mean() - 3) < 4.5 * math.sqrt(96) * error
    assert abs((scaled[1:] * np.diff(drawn) / deviation).mean()) < 1  # no wild jumps
    steps = (np.arange(len(drawn)) + 0.5) / len(drawn)
    assert np.abs(norm.cdf(scaled) - steps).max() < 2.2 * error  # Kolmogorov's, 1e-4
    assert len(np.unique(drawn % 2)) == 2
    lowest = np.bincount(drawn % 8, minlength=8)
    assert ((lowest - len(drawn) / 8) ** 2 / (len(drawn) / 8)).sum() < chi2.isf(1e-4, 7)


def test_no_deviation_is_no_noise_and_what_is_none_is_refused() -> None:
    bits = Keystream.reproducible()
    assert not discrete_gaussian(5, 0.0, bits).any()
    assert discrete_gaussian(0, 3.0, bits).shape == (0,)
    for odd in (-1.0, math.nan, math.inf, 2.0**31):
        with pytest.raises(ValueError, match="deviation"):
            discrete_gaussian(5, odd, bits)


@pytest.mark.parametrize("deviation", [1.0, 12.5, 2.0**20])
def test_what_float64_decides_exact_arithmetic_decides_alike(
    deviation: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With a margin of 1 every coin goes the exact way; no more bits are drawn by it here."""
    quick = discrete_gaussian(300, deviation, Keystream.reproducible("exact", deviation))
    monkeypatch.setattr(discrete, "_MARGIN", 1.0)
    slow = discrete_gaussian(300, deviation, Keystream.reproducible("exact", deviation))
    assert np.array_equal(quick, slow)


class Given:
    """Bits that are given, then zeros."""

    def __init__(self, *words: int) -> None:
        self.words = list(words)

    def fill(self, words: np.ndarray) -> None:
        flat = words.reshape(-1)
        for place in range(len(flat)):
            flat[place] = self.words.pop(0) if self.words else 0


def test_more_bits_are_drawn_where_the_first_do_not_decide() -> None:
    half = discrete._Longer(2**63, Given(0, 5))
    third = Decimal(1) / 3
    assert not half.below(lambda digits: (third, third))
    assert half._width == 64  # the first bits were enough

    # First between the bounds; then, to more digits, below the number or not.
    def near(digits: int) -> tuple[Decimal, Decimal]:
        half, inch = Decimal("0.5"), Decimal(2) ** -90
        return (half, half + 2**20 * inch) if digits < 30 else (half + inch, half + inch)

    assert discrete._Longer(2**63, Given(0)).below(near)
    assert not discrete._Longer(2**63, Given(2**60)).below(near)


def test_a_block_whose_edge_goes_through_the_first_word_is_found_by_later_ones() -> None:
    edges = discrete._edges()
    for block in (0, 3, 20, len(edges) - 1):
        word = np.array([edges[block]], dtype=np.uint64)
        low = discrete._blocks(word, Given(0))[0]
        high = discrete._blocks(word, Given(2**64 - 1, 2**64 - 1))[0]
        assert low == block
        assert high > block
        if edges[block] < 2**64 - 2:
            assert high == block + 1
    below = discrete._blocks(edges[:1] - np.uint64(1), Given())
    above = discrete._blocks(edges[:1] + np.uint64(1), Given())
    assert (below[0], above[0]) == (0, 1)


def test_the_table_of_blocks_is_that_of_its_weights() -> None:
    weights = np.exp(-(np.arange(200.0) ** 2) / 128)
    chances = np.cumsum(weights) / weights.sum()
    edges = discrete._edges().astype(np.float64) / 2.0**64
    assert np.allclose(edges, chances[: len(edges)], atol=1e-15)


def test_other_keys_give_other_noise_and_the_same_one_the_same() -> None:
    one, same, other = (
        discrete_gaussian(1000, 50.0, Keystream(bytes([key]) * 32)) for key in (1, 1, 2)
    )
    assert np.array_equal(one, same)
    assert abs(np.corrcoef(one, other)[0, 1]) < 0.15


def test_noise_for_a_small_model_takes_a_fraction_of_a_second() -> None:
    bits = Keystream.reproducible("speed")
    discrete_gaussian(1000, 2.0**20, bits)
    started = time.process_time()
    discrete_gaussian(300_000, 2.0**20, bits)
    assert time.process_time() - started < 0.5


def test_the_table_is_right_to_its_last_bit() -> None:
    with localcontext(prec=90):
        finer = [int(chance * 2**64) for chance in discrete._chances(60)]
    edges = discrete._edges().tolist()
    assert edges[:-1] == finer[: len(edges) - 1]
    assert edges[-1] == 2**64 - 1
