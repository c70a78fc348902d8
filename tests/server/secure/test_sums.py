"""Masked vectors are added by their form alone, and a sum is judged as a whole."""

import numpy as np
import pytest

from irene_model.errors import ProtocolError
from irene_model.metrics.coarse_bins import COARSE_BINS
from irene_model.secure.grid import grid_of_training
from irene_model.study.study import Study
from server.secure.masked_sum import MaskedSum
from server.secure.shared_accounting import planned_share
from server.secure.sum_bounds import check_gradients, check_histograms
from tests.helpers.federations.masked_sites import secure_study

D = 20_000


def study() -> Study:
    return secure_study(privacy={"noise_multiplier": 1.0, "clip_norm": 2.0})


def test_vectors_add_up_and_wrap_round() -> None:
    grid = grid_of_training(study(), 3)
    total = MaskedSum(3)
    total.add("a", {"sum": np.array([1, 2**32 - 1, 7], np.uint32)})
    total.add("b", {"sum": np.array([2, 3, 2**32 - 9], np.uint32)})
    np.testing.assert_array_equal(total.read(grid), np.array([3, 2, -2]) * grid.unit)
    assert total.sites == {"a", "b"}
    with pytest.raises(ProtocolError, match="is in the sum already"):
        total.add("a", {"sum": np.zeros(3, np.uint32)})


def test_what_is_refused_changes_nothing() -> None:
    total = MaskedSum(2)
    for arrays in (
        {},
        {"sum": np.zeros(2, np.uint32), "more": np.zeros(1)},
        {"sum": np.zeros(2, np.int64)},
        {"sum": np.zeros((1, 2), np.uint32)},
    ):
        with pytest.raises(ProtocolError):
            total.add("a", arrays)
    assert total.sites == set() and not total.read(grid_of_training(study(), 2)).any()


def noised(sites: int, signal: float) -> np.ndarray[tuple[int], np.dtype[np.float64]]:
    """A sum of clipped gradients of 60 patients who all agree, and the noise of all sites."""
    rng = np.random.default_rng(5)
    gradient = np.full(D, 2.0 / np.sqrt(D)) * signal
    deviation = planned_share(study(), "train") * 2.0 * np.sqrt(sites)
    return np.asarray(gradient + deviation * rng.standard_normal(D))


def test_honest_sums_pass_and_larger_ones_do_not() -> None:
    check_gradients(noised(4, 60.0), study(), sites=4)
    with pytest.raises(ProtocolError, match=r"the sum's norm is .* 4 honest sites reach .* can't"):
        check_gradients(noised(4, 60.0) * 2, study(), sites=4)
    with pytest.raises(ProtocolError, match="norm"):
        check_gradients(noised(4, 60.0) * np.inf, study(), sites=4)


def test_one_coordinate_is_judged_by_itself() -> None:
    total = noised(4, 0.0)
    total[7] = 310.0
    with pytest.raises(ProtocolError, match="largest coordinate is 310"):
        check_gradients(total, study(), sites=4)


def test_counts_of_more_patients_than_there_are_are_refused() -> None:
    hists = np.full((2, 2, COARSE_BINS), 400 / (2 * COARSE_BINS))
    check_histograms(hists, study(), "test", sites=4, deviation=1.0)
    with pytest.raises(ProtocolError, match=r"test patients is 2e\+03, and 4 honest sites"):
        check_histograms(5 * hists, study(), "test", sites=4, deviation=1.0)
    hists[0, 0, 0] = -50
    with pytest.raises(ProtocolError, match="a cell that is further off than its noise can be"):
        check_histograms(hists, study(), "test", sites=4, deviation=1.0)
