"""Score histograms through secure sums: noise, exact counts, and what is left out."""

import math

import numpy as np
import pytest
from scipy import stats

from client.records.dataset import open_dataset
from client.training.evaluation import Evaluated, score
from irene_model.metrics.coarse_bins import COARSE_BINS, coarsen
from irene_model.secure.grid import grid_of_evaluation
from irene_model.study.records import HeldOut
from tests.helpers.sites.secure_sites import (
    SecureSites,
    total_of,
    weights_of,
)

THREE = ("east", "north", "south")
PLENTY = {"epsilon": 100, "delta": 1e-3, "alone": 1000}


@pytest.fixture
def exact(written: SecureSites) -> SecureSites:
    sites = written.afresh(evaluation={"noise_multiplier": 0.0})
    for name in THREE:
        sites.hospital(name).configure("metrics", "exact")
    return sites


def counted(sites: SecureSites, name: str, split: HeldOut = "validation") -> np.ndarray:
    """(K, 2, COARSE_BINS) of one site, as its own file says."""
    site = sites.hospital(name).site
    what = Evaluated.at(site, open_dataset(site, sites.study), split)
    histograms = score(weights_of(sites.study), what).histograms()
    return coarsen(histograms, sites.study.model.prior) * (what.labels == 1)[:, None, None]


def test_exact_counts_are_summed_to_the_last_bit_and_charged_to_nothing(
    exact: SecureSites,
) -> None:
    replies = [exact.evaluate(name) for name in THREE]
    total = grid_of_evaluation(exact.study, "validation").decode(total_of(*replies))
    expected = sum(counted(exact, name) for name in THREE)
    np.testing.assert_allclose(total.reshape(2, 2, COARSE_BINS), expected, atol=1e-6)
    assert total.sum() == pytest.approx(np.sum(expected), abs=1e-6) and np.sum(expected) > 6
    assert {reply.noise_multiplier for reply in replies} == {0.0}
    assert exact.charges("north") == ()
    again = exact.evaluate("north")
    assert again.arrays["sum"].tobytes() == replies[1].arrays["sum"].tobytes()


def test_masks_of_exact_counts_fit_one_model_alone(exact: SecureSites) -> None:
    """No ledger knows of them: a server that asks for two models must not see what changed."""
    arrays = weights_of(exact.study)
    one = exact.evaluate("north", arrays=arrays).arrays["sum"]
    arrays["head.bias"] = arrays["head.bias"] + np.float32(1e-3)
    other = exact.evaluate("north", arrays=arrays).arrays["sum"]
    assert np.mean(one == other) < 0.1
    assert np.abs((one - other).view(np.int32).astype(float)).mean() > 2**28


def test_small_groups_are_zeros_in_exact_sums(exact: SecureSites) -> None:
    for name in THREE:
        exact.hospital(name).configure("minimum_group", 3)
    total = total_of(*(exact.evaluate(name) for name in THREE))
    assert not total.any()


def test_a_site_that_sends_no_exact_counts_sends_none_in_a_sum(exact: SecureSites) -> None:
    exact.hospital("north").configure("metrics", "private")
    reply = exact.evaluate("north")
    assert (reply.outcome, reply.code, reply.arrays) == ("declined", "metrics", {})


@pytest.mark.parametrize("split", ["validation", "test"])
def test_noised_counts_are_charged_and_their_noise_is_in_every_cell(
    written: SecureSites, split: HeldOut
) -> None:
    sites = written.afresh(budget=PLENTY)
    for name in THREE:
        sites.hospital(name).configure("labels.death", None)  # its cells have noise all the same
    grid, noises = grid_of_evaluation(sites.study, split), []
    expected = sum(grid.encode(counted(sites, name, split).ravel()) for name in THREE)
    for attempt in range(1, 3):
        replies = [sites.evaluate(n, attempt=attempt, split=split, run="s") for n in THREE]
        noises.append(total_of(*replies).view(np.int32) - expected)
        if attempt == 1:
            (charge,) = sites.charges("north")
            assert (charge.split, charge.attempt) == (split, 1)
            assert charge.clip_norm == math.sqrt(2) and charge.mechanism.sample_rate == 1
            assert replies[0].noise_multiplier == charge.mechanism.noise_multiplier > 0
            assert replies[0].deviation == 0 and replies[0].epsilon_alone > replies[0].epsilon_run
            assert set(replies[0].arrays) == {"sum"}
    drawn = np.concatenate(noises) / (grid.deviation * math.sqrt(3))
    assert stats.kstest(drawn, "norm").pvalue > 1e-6
    half = np.concatenate([n.reshape(2, -1)[1] for n in noises]) / (grid.deviation * math.sqrt(3))
    assert half.std() == pytest.approx(1, rel=0.5)


def test_a_test_is_asked_once_and_may_be_attempted_again(written: SecureSites) -> None:
    sites = written.afresh(budget=PLENTY)
    assert sites.evaluate("north", split="test").outcome == "evaluated"
    again = sites.evaluate("north", split="test", attempt=2, partners="north,south,west")
    assert again.outcome == "evaluated"
    other = sites.evaluate("north", split="test", round=2)
    assert other.outcome == "declined" and "does so once" in other.reason
