"""Pooling of noised histograms: alone, with exact ones, and with sites that sent nothing."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from scipy.optimize import minimize
from scipy.special import expit

from client.training.evaluation import add_noise
from irene_model.errors import ProtocolError
from irene_model.exchange.replies import LABEL_ABSENT, LABEL_SENT, LABEL_WITHHELD, EvaluateReply
from irene_model.metrics import metrics
from irene_model.metrics.coarse_bins import COARSE_BINS, coarsen, refine, refined_centres
from irene_model.metrics.metrics import BINS, Array, score_histograms
from server.evaluation.evaluation import pool
from server.evaluation.histograms import SiteHistograms
from server.evaluation.resampling import nearest

LABELS = ("pneumonia", "effusion", "fibrosis")
PRIOR = 0.15


def hospital(n: int, rng: np.random.Generator) -> Array:
    """Exact histograms of n patients whose scores are informative and about calibrated."""
    truth = rng.normal(-1.8, 1.0, (n, len(LABELS)))
    labels = (rng.random(truth.shape) < expit(truth)).astype(int)
    scores = expit(truth + rng.normal(0, 0.5, truth.shape))
    return score_histograms(scores, labels, np.ones(truth.shape, bool), np.arange(n))


def exact(hist: Array) -> SiteHistograms:
    return SiteHistograms(histograms=hist, labels=np.full(len(hist), LABEL_SENT))


def noised(hist: Array, deviation: float, rng: np.random.Generator) -> SiteHistograms:
    sent = np.ones(len(hist), dtype=bool)
    cells = add_noise(coarsen(hist, PRIOR), deviation=deviation, sent=sent, rng=rng)
    return SiteHistograms(
        histograms=cells, labels=np.full(len(hist), LABEL_SENT), deviation=deviation
    )


@pytest.fixture(scope="module")
def population() -> Array:
    return hospital(400_000, np.random.default_rng(0))


@pytest.mark.parametrize("deviation", [2.0, 6.0])
def test_intervals_cover_the_truth_as_often_as_they_say(
    population: Array, deviation: float
) -> None:
    """New patients and new noise in each trial; the truth is the population's, on the fine grid."""
    truth = metrics.aurocs(population)
    rng = np.random.default_rng(int(deviation))
    trials, covered, macro, briers = 200, 0, 0, 0
    true_brier = metrics.briers(population, metrics.CENTRES).mean()
    for _ in range(trials):
        sites = {f"site {i}": noised(hospital(700, rng), deviation, rng) for i in range(3)}
        found = pool(sites, LABELS, rng, prior=PRIOR, replicates=250)
        for label, true in zip(LABELS, truth, strict=True):
            ci95 = found.auroc.by_label[label].ci95
            assert ci95 is not None
            covered += ci95[0] <= true <= ci95[1]
        assert found.auroc.ci95 is not None and found.brier_ci95 is not None
        macro += found.auroc.ci95[0] <= truth.mean() <= found.auroc.ci95[1]
        briers += found.brier_ci95[0] <= true_brier <= found.brier_ci95[1]
    assert 0.90 <= covered / (trials * len(LABELS)) <= 0.99
    assert 0.90 <= macro / trials <= 0.99
    assert 0.90 <= briers / trials <= 0.99


def test_a_coarse_grid_is_read_nearly_as_the_fine_one(population: Array) -> None:
    coarse = coarsen(population, PRIOR)
    read, centres = refine(coarse, PRIOR), refined_centres(PRIOR)
    np.testing.assert_allclose(read.sum(axis=-1), population.sum(axis=-1), rtol=1e-12)
    for of, within in ((metrics.aurocs, 0.002), (metrics.auprcs, 0.005)):
        fine = of(population)
        assert np.abs(of(read) - fine).max() < within
        assert np.abs(of(read) - fine).max() < np.abs(of(coarse) - fine).max() / 2
    brier, ece = (
        of(read, centres) - of(population, metrics.CENTRES) for of in (metrics.briers, metrics.eces)
    )
    assert np.abs(brier).max() < 0.002
    assert 0 < ece.max() < 0.008  # ten intervals of probability cut through the coarse bins


def test_noise_widens_the_interval_and_hardly_moves_the_value(population: Array) -> None:
    rng = np.random.default_rng(1)
    hist = hospital(3000, rng)
    plain = pool({"north": exact(hist)}, LABELS, rng, prior=PRIOR)
    values, widths = [], []
    for _ in range(30):
        found = pool({"north": noised(hist, 4.0, rng)}, LABELS, rng, prior=PRIOR, replicates=200)
        assert found.auroc.macro is not None and found.auroc.ci95 is not None
        values.append(found.auroc.macro)
        widths.append(found.auroc.ci95[1] - found.auroc.ci95[0])
    assert plain.auroc.macro is not None and plain.auroc.ci95 is not None
    assert np.mean(values) == pytest.approx(plain.auroc.macro, abs=0.012)  # ties and noise
    # What noise adds to the variance, and the sampling that is there without it.
    without = plain.auroc.ci95[1] - plain.auroc.ci95[0]
    assert np.mean(widths) == pytest.approx(np.hypot(without, 4 * np.std(values)), rel=0.3)
    assert np.mean(widths) > 1.1 * without


def test_exact_and_noised_sites_pool_and_others_are_left_out() -> None:
    rng = np.random.default_rng(2)
    north, south = hospital(2000, rng), hospital(2000, rng)
    both = {"north": exact(north), "south": noised(south, 1.0, rng)}
    found = pool(both, LABELS, rng, prior=PRIOR)
    together = pool({"all": exact(north + south)}, LABELS, rng, prior=PRIOR)
    assert found.auroc.macro == pytest.approx(together.auroc.macro, abs=0.015)
    assert found.brier == pytest.approx(together.brier, abs=0.004)
    assert set(found.auroc.by_site) == {"north", "south"}
    label = found.auroc.by_label["effusion"]
    assert label.n == pytest.approx(4000, abs=30)


def test_labels_that_are_absent_or_withheld_add_nothing_not_even_noise() -> None:
    rng = np.random.default_rng(3)
    hist = hospital(2000, rng)
    other = noised(hospital(500, rng), 5.0, rng)
    states = np.array([LABEL_SENT, LABEL_ABSENT, LABEL_WITHHELD])
    cells = other.histograms * (states == LABEL_SENT)[:, None, None]
    other = SiteHistograms(histograms=cells, labels=states, deviation=5.0)
    assert other.withheld(LABELS) == ["fibrosis"]
    found = pool({"north": exact(hist), "south": other}, LABELS, rng, prior=PRIOR)
    coarse = metrics.aurocs(refine(coarsen(hist, PRIOR), PRIOR))
    for k in (1, 2):
        estimate = found.auroc.by_label[LABELS[k]]
        assert estimate.value == pytest.approx(coarse[k], rel=1e-9)
        assert estimate.n == 2000
    assert found.auroc.by_label["pneumonia"].n != 2000


def test_a_label_that_drowns_in_the_noise_is_not_judged() -> None:
    rng = np.random.default_rng(4)
    found = pool({"north": noised(hospital(150, rng), 30.0, rng)}, LABELS, rng, prior=PRIOR)
    for estimate in found.auroc.by_label.values():
        assert estimate.value is None and estimate.note == "too few patients for the noise"
    assert found.auroc.macro is found.brier is found.loss is None
    assert found.auroc.by_site == {"north": None}


def test_the_order_of_the_sites_changes_nothing() -> None:
    rng = np.random.default_rng(5)
    sites = {"a": noised(hospital(300, rng), 1.0, rng), "b": exact(hospital(300, rng))}
    turned = dict(reversed(sites.items()))
    first, second = (
        pool(each, LABELS, np.random.default_rng(0), prior=PRIOR) for each in (sites, turned)
    )
    assert first == second


@given(hnp.arrays(np.float64, (2, 6), elements=st.floats(-20, 20)))
def test_nearest_is_possible_and_keeps_the_sum(hist: Array) -> None:
    found = nearest(hist)
    assert (found >= 0).all()
    total = hist.sum(axis=-1)
    np.testing.assert_allclose(found.sum(axis=-1), np.maximum(total, 0), atol=1e-9)
    np.testing.assert_allclose(nearest(found), found, atol=1e-9)
    # Every kept cell was lowered by one number, and no dropped one was above it (KKT).
    for cells, kept, sum_ in zip(hist, found, total, strict=True):
        if sum_ > 1e-6:
            level = (cells - kept)[kept > 0]
            assert np.ptp(level) < 1e-9 and (cells[kept == 0] <= level[0] + 1e-9).all()


def test_nearest_is_what_a_solver_finds() -> None:
    hist = np.array([5.0, -2.0, 0.5, 3.0, -0.1])
    solved = minimize(
        lambda x: ((x - hist) ** 2).sum(),
        np.full(5, hist.sum() / 5),
        bounds=[(0, None)] * 5,
        constraints={"type": "eq", "fun": lambda x: x.sum() - hist.sum()},
        method="SLSQP",
    )
    np.testing.assert_allclose(nearest(hist), solved.x, atol=1e-4)


@pytest.mark.parametrize(
    ("histograms", "labels", "deviation", "complaint"),
    [
        (np.zeros((3, 2, BINS)), [1, 1, 1], 1.0, "shape"),
        (np.zeros((3, 2, COARSE_BINS)), [1, 1, 1], 0.0, "shape"),
        (np.zeros((3, 2, COARSE_BINS)), [1, 1], 1.0, "for 2 labels"),
        (np.full((3, 2, COARSE_BINS), np.inf), [1, 1, 1], 1.0, "not finite"),
        (np.full((3, 2, COARSE_BINS), -1.0), [1, 1, 0], 1.0, "not there has a histogram"),
    ],
)
def test_arrays_that_break_the_contract_are_refused(
    histograms: Array, labels: list[int], deviation: float, complaint: str
) -> None:
    reply = EvaluateReply(
        fingerprint="f",
        site="north",
        round=1,
        outcome="evaluated",
        noise_multiplier=deviation,
        deviation=deviation,
        arrays={"histograms": histograms, "labels": np.array(labels, np.int8)},
    )
    with pytest.raises(ProtocolError, match=f"site north.*{complaint}"):
        SiteHistograms.read("north", reply, len(LABELS))
