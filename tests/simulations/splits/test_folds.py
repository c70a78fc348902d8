"""Patients dealt into folds: every one tested once, labels spread as evenly as they go."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from simulations.splits.folds import deal_folds, splits_of


@settings(max_examples=60, deadline=None)
@given(
    seed=st.integers(0, 2**20),
    patients=st.integers(12, 90),
    folds=st.integers(3, 6),
    shares=st.lists(st.floats(0, 1), min_size=1, max_size=4),
)
def test_folds_are_of_a_size_and_share_each_label(
    seed: int, patients: int, folds: int, shares: list[float]
) -> None:
    rng = np.random.default_rng(seed)
    positives = rng.random((patients, len(shares))) < shares
    assigned = deal_folds(positives, folds, rng)
    sizes = np.bincount(assigned, minlength=folds)
    assert sizes.sum() == patients and sizes.min() > 0
    rarest = int(np.argmin(np.where(positives.sum(axis=0) > 0, positives.sum(axis=0), 10**9)))
    of_label = np.bincount(assigned[positives[:, rarest]], minlength=folds)
    assert of_label.max() - of_label.min() <= 1  # the first to be dealt: as even as can be


def test_a_rare_label_is_in_every_fold_that_it_can_be_in() -> None:
    positives = np.zeros((71, 2), dtype=bool)
    positives[:30, 0] = True
    positives[25:35, 1] = True
    assigned = deal_folds(positives, 5, np.random.default_rng(0))
    assert np.bincount(assigned[positives[:, 1]], minlength=5).tolist() == [2, 2, 2, 2, 2]
    common = np.bincount(assigned[positives[:, 0]], minlength=5)
    assert common.min() >= 5 and common.max() <= 7


def test_every_patient_is_tested_once_by_as_many_seeds_as_folds() -> None:
    assigned = deal_folds(np.ones((20, 1), dtype=bool), 4, np.random.default_rng(1))
    splits = np.array([splits_of(assigned, seed, 4) for seed in range(8, 12)])
    assert ((splits == "test").sum(axis=0) == 1).all()
    assert ((splits == "validation").sum(axis=0) == 1).all()


def test_fewer_patients_than_folds_are_refused() -> None:
    with pytest.raises(ValueError, match="2 patients can't be dealt into 3 folds"):
        deal_folds(np.ones((2, 1), dtype=bool), 3, np.random.default_rng(0))
