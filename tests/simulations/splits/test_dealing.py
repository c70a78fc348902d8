"""Skews dealt together: everybody goes somewhere, sizes hold, and each part does its own."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from simulations.splits.dealing import (
    DealError,
    deal,
    label_suits,
    site_sizes,
    tilted,
    visitors,
)
from simulations.splits.lots import lacking, rates

SEEDS = st.integers(0, 2**32)


def rng(seed: int) -> np.random.Generator:
    return np.random.default_rng(seed)


@settings(max_examples=40, deadline=None)
@given(st.integers(1, 9), st.integers(0, 90), st.floats(0.01, 100.0), SEEDS)
def test_everybody_goes_somewhere_and_every_site_gets_its_number(
    sites: int, spare: int, alpha: float, seed: int
) -> None:
    total = sites + spare
    sizes = site_sizes(total, [1.0] * sites, alpha=alpha, power=None, least=1, rng=rng(seed))
    assert sum(sizes) == total and min(sizes) >= 1
    classes = rng(seed).integers(4, size=total)
    suits = label_suits(classes, sites, alpha, rng(seed))
    homes = deal(sizes, suits, np.ones((total, sites), dtype=bool), rng(seed))
    assert np.bincount(homes, minlength=sites).tolist() == sizes
    again = deal(sizes, suits, np.ones((total, sites), dtype=bool), rng(seed))
    assert np.array_equal(homes, again)


def test_a_power_law_is_one() -> None:
    sizes = site_sizes(8_000, [1.0] * 20, alpha=None, power=1.0, least=1, rng=rng(0))
    assert sizes == sorted(sizes, reverse=True)
    assert sizes[0] / sizes[9] == pytest.approx(10, rel=0.05)


def test_too_many_at_the_least_are_refused() -> None:
    with pytest.raises(ValueError, match="20 patients can't give 3 sites 7 each"):
        site_sizes(20, [1.0] * 3, alpha=None, power=1.0, least=7, rng=rng(0))


def test_what_is_forbidden_does_not_happen_and_the_impossible_is_refused() -> None:
    allowed = np.ones((60, 3), dtype=bool)
    allowed[:25, 0] = False
    homes = deal([20, 20, 20], np.ones((60, 3)), allowed, rng(1))
    assert np.bincount(homes).tolist() == [20, 20, 20] and not (homes[:25] == 0).any()
    allowed[:, 1:] = False
    with pytest.raises(DealError):
        deal([20, 20, 20], np.ones((60, 3)), allowed, rng(1))


def test_a_small_alpha_skews_labels_and_no_size() -> None:
    classes = np.repeat(np.arange(4), 100)

    def purity(alpha: float) -> float:
        suits = label_suits(classes, 4, alpha, rng(2))
        homes = deal([100] * 4, suits, np.ones((400, 4), dtype=bool), rng(2))
        assert np.bincount(homes).tolist() == [100] * 4
        return max(np.bincount(classes[homes == site]).max() / 100 for site in range(4))

    assert purity(0.05) > 0.6
    assert purity(1000.0) < 0.4


def test_a_tilt_moves_the_mean_by_what_it_says() -> None:
    ages = rng(3).normal(58, 18, size=6_000)
    suits = tilted(ages, np.array([-6.0, 6.0]) / ages.var())
    homes = deal([3_000, 3_000], suits, np.ones((6_000, 2), dtype=bool), rng(3))
    gap = ages[homes == 1].mean() - ages[homes == 0].mean()
    assert gap == pytest.approx(12, abs=2)  # sizes hold, so the two pull against each other


@given(st.integers(2, 12), st.floats(0, 0.99), st.floats(0, 0.99), SEEDS)
def test_what_sites_lack_some_site_has_and_as_many_lack_it_as_was_said(
    sites: int, first: float, second: float, seed: int
) -> None:
    taken = lacking(sites, {"text": first, "image": second}, rng(seed))
    for name, share in (("text", first), ("image", second)):
        count = sum(name in each for each in taken)
        assert count == min(round(share * sites), sites - 1)


def test_rates_lie_in_their_range() -> None:
    drawn = rates(50, {"text": (0.2, 0.6)}, rng(4))
    values = [each["text"] for each in drawn]
    assert 0.2 <= min(values) < 0.3 and 0.5 < max(values) <= 0.6


@given(st.integers(2, 8), st.floats(0.01, 1.0), SEEDS)
def test_who_visits_goes_to_other_sites_and_to_each_once(
    sites: int, share: float, seed: int
) -> None:
    homes = rng(seed).integers(sites, size=50)
    found = visitors(homes, sites, share=share, sites=2, rng=rng(seed))
    assert len(found) == max(1, round(share * 50)) == len({patient for patient, _ in found})
    assert all(homes[patient] != site for patient, site in found)
