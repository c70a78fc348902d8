"""Means, Student intervals and paired differences, by hand."""

import math

import numpy as np
import pytest

from simulations.compare.intervals import over_seeds, paired


def test_the_interval_is_students_by_hand() -> None:
    # Mean 0.9; squares 0.0004 + 0 + 0.0004 over 2 give s = 0.02; t(0.975, 2) = 4.302653 (tables).
    spread = over_seeds([0.88, 0.90, 0.92])
    half = 4.302653 * 0.02 / math.sqrt(3)
    assert spread.mean == pytest.approx(0.9)
    assert spread.ci95 == pytest.approx((0.9 - half, 0.9 + half), abs=1e-7)
    assert spread.n == 3


def test_one_seed_has_a_mean_and_no_interval() -> None:
    spread = over_seeds([0.7])
    assert (spread.mean, spread.ci95, spread.n) == (0.7, None, 1)


def test_undefined_values_are_left_out_and_nothing_has_no_mean() -> None:
    assert over_seeds([None, 0.5, None, 0.7]) == over_seeds([0.5, 0.7])
    assert over_seeds([None]).mean is None
    assert over_seeds([]).as_dict() == {"mean": None, "ci95": None, "seeds": 0}


def test_pairing_takes_out_what_both_share() -> None:
    reference = {0: 0.60, 1: 0.90, 2: 0.75}
    ahead = {seed: value + 0.01 for seed, value in reference.items()}
    spread = paired(ahead, reference)
    assert spread.mean == pytest.approx(0.01)
    assert spread.ci95 == pytest.approx((0.01, 0.01), abs=1e-9)
    unpaired = over_seeds(list(ahead.values())).ci95
    assert unpaired is not None and unpaired[0] < 0.6  # the seeds themselves vary widely


def test_differences_are_signed_and_of_common_seeds_alone() -> None:
    spread = paired({0: 0.5, 1: 0.6, 7: 0.1, 8: None}, {1: 0.9, 0: 0.9, 8: 0.9, 9: 0.9})
    assert spread == over_seeds([0.5 - 0.9, 0.6 - 0.9])


def test_95_of_100_intervals_hold_the_truth() -> None:
    rng = np.random.default_rng(0)
    held = 0
    for _ in range(2000):
        interval = over_seeds(rng.normal(0.8, 0.02, size=5).tolist()).ci95
        assert interval is not None
        held += interval[0] <= 0.8 <= interval[1]
    assert held / 2000 == pytest.approx(0.95, abs=0.015)
