"""Means, Student intervals and paired differences, by hand."""

import math

import numpy as np
import pytest

from simulations.compare.intervals import minus, over_patients, over_seeds


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


def test_draws_of_patients_give_the_middle_of_their_means() -> None:
    draws = [[0.5 + i / 1000 for i in range(400)], [0.7 + i / 1000 for i in range(400)]]
    spread = over_patients([0.6, 0.8], draws)
    assert (spread.mean, spread.n) == (pytest.approx(0.7), 2)
    # The means of the draws are 0.600 to 0.999; a fortieth lies outside at each end.
    assert spread.ci95 == pytest.approx((0.6 + 0.025 * 0.399, 0.6 + 0.975 * 0.399))


def test_a_fold_without_a_value_and_draws_without_one_are_left_out() -> None:
    there: list[float | None] = [0.5, 0.6] * 200
    assert over_patients([0.6, None], [there, [None] * 400]) == over_patients([0.6], [there])
    half: list[float | None] = [None, 0.6] * 200
    assert over_patients([0.6], [half]).ci95 == (0.6, 0.6)
    fewer = [None, None, *half[2:]]
    assert over_patients([0.6], [fewer]).ci95 is None
    assert over_patients([None], [there]).mean is None


def test_differences_of_draws_are_paired() -> None:
    assert minus([0.5, None, 0.5], [0.25, 0.5, None]) == [0.25, None, None]


def test_95_of_100_intervals_hold_the_truth() -> None:
    rng = np.random.default_rng(0)
    held = 0
    for _ in range(2000):
        interval = over_seeds(rng.normal(0.8, 0.02, size=5).tolist()).ci95
        assert interval is not None
        held += interval[0] <= 0.8 <= interval[1]
    assert held / 2000 == pytest.approx(0.95, abs=0.015)
