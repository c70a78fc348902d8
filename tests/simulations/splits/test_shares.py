"""One cohort to many sites: nobody is lost or doubled, and alpha says how unlike sites are."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from simulations.splits import shares as splits

SHARES = st.lists(st.floats(0.01, 100.0), min_size=1, max_size=8)
SEEDS = st.integers(0, 2**32)


@given(SHARES, st.integers(0, 500))
def test_sizes_add_up_and_follow_the_shares(shares: list[float], spare: int) -> None:
    total = len(shares) + spare
    sizes = splits.sizes(total, shares)
    assert sum(sizes) == total
    for size, share in zip(sizes, shares, strict=True):
        assert abs(size - 1 - spare * share / sum(shares)) < 1 + 1e-9


def test_too_few_patients_are_refused() -> None:
    with pytest.raises(ValueError, match="2 patients can't be split over 3 sites"):
        splits.sizes(2, [1, 1, 1])


@given(SHARES, st.integers(0, 200), SEEDS)
def test_iid_gives_every_patient_one_site_in_proportion(
    shares: list[float], spare: int, seed: int
) -> None:
    total = len(shares) + spare
    assigned = splits.iid(total, shares, np.random.default_rng(seed))
    counts = np.bincount(assigned, minlength=len(shares))
    assert counts.tolist() == splits.sizes(total, shares)


def test_iid_does_not_follow_the_order_of_patients() -> None:
    assigned = splits.iid(1000, [1, 1], np.random.default_rng(0))
    first_half = np.bincount(assigned[:500], minlength=2)
    assert abs(first_half[0] - 250) < 4 * np.sqrt(1000 / 16)  # hypergeometric


@given(st.integers(1, 8), st.integers(0, 200), st.floats(0.05, 50.0), SEEDS)
def test_quantity_skew_gives_every_site_someone(
    num_sites: int, spare: int, alpha: float, seed: int
) -> None:
    total = num_sites + spare
    assigned = splits.quantity_skew(total, num_sites, alpha, np.random.default_rng(seed))
    counts = np.bincount(assigned, minlength=num_sites)
    assert counts.sum() == total and len(counts) == num_sites and counts.min() >= 1


@given(st.lists(st.integers(0, 4), max_size=200), SHARES, st.floats(0.05, 50.0), SEEDS)
def test_label_skew_gives_every_patient_one_site(
    classes: list[int], shares: list[float], alpha: float, seed: int
) -> None:
    assigned = splits.label_skew(classes, shares, alpha, np.random.default_rng(seed))
    assert len(assigned) == len(classes)
    assert set(assigned.tolist()) <= set(range(len(shares)))


def test_a_small_alpha_makes_sites_differ_in_size() -> None:
    def spread(alpha: float) -> float:
        rng = np.random.default_rng(1)
        sizes = [np.bincount(splits.quantity_skew(400, 4, alpha, rng)) for _ in range(40)]
        return float(np.mean(np.std(sizes, axis=1)))

    assert spread(0.2) > 2 * spread(5.0) > 4 * spread(500.0)


def test_a_small_alpha_makes_sites_differ_in_labels() -> None:
    classes = np.repeat(np.arange(5), 100)

    def largest_share(alpha: float) -> float:
        """Of a class, what its biggest site holds; a quarter if all sites are alike."""
        rng, shares = np.random.default_rng(2), []
        for _ in range(20):
            assigned = splits.label_skew(classes.tolist(), [1, 1, 1, 1], alpha, rng)
            shares += [np.bincount(assigned[classes == c]).max() / 100 for c in range(5)]
        return float(np.mean(shares))

    assert largest_share(0.1) > 0.7 > largest_share(2.0) > largest_share(1000.0)
    assert largest_share(1000.0) == pytest.approx(0.25, abs=0.03)


def test_label_skew_keeps_the_sites_shares_on_average() -> None:
    rng = np.random.default_rng(3)
    classes = np.repeat(np.arange(4), 50).tolist()
    counts = [np.bincount(splits.label_skew(classes, [3, 1], 1.0, rng)) for _ in range(100)]
    assert np.mean(counts, axis=0)[0] / 200 == pytest.approx(0.75, abs=0.05)
