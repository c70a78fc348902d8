"""Histogram metrics against scikit-learn, hand-computed weights and a direct bootstrap."""

import hypothesis.extra.numpy as hnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.special import expit
from sklearn.metrics import average_precision_score, brier_score_loss, roc_auc_score
from sklearn.metrics import log_loss as sklearn_log_loss

from irene_model.metrics import metrics
from irene_model.metrics.metrics import BINS, CENTRES, Array

SMALL_COUNTS = hnp.arrays(np.int64, (2, 12), elements=st.integers(0, 5))


def cohort(n: int, seed: int, spread: float = 1.5) -> tuple[Array, Array]:
    """Scores (n, 1) and labels (n, 1) that are informative and calibrated up to noise."""
    rng = np.random.default_rng(seed)
    truth = rng.normal(-1.5, spread, (n, 1))
    labels = (rng.random((n, 1)) < expit(truth)).astype(int)
    return expit(truth + rng.normal(0, 0.8, (n, 1))), labels


def histogram(scores: Array, labels: Array, patients: Array | None = None) -> Array:
    patients = np.arange(len(scores)) if patients is None else patients
    return metrics.score_histograms(scores, labels, np.ones(scores.shape, bool), patients)[0]


@pytest.mark.parametrize("seed", range(3))
def test_agrees_with_scikit_learn(seed: int) -> None:
    scores, labels = cohort(1500, seed)
    hist = histogram(scores, labels)
    y, s = labels[:, 0], scores[:, 0]
    assert metrics.auroc(hist) == pytest.approx(roc_auc_score(y, s), abs=0.001)
    assert metrics.auprc(hist) == pytest.approx(average_precision_score(y, s), abs=0.003)
    assert metrics.brier(hist) == pytest.approx(brier_score_loss(y, s), abs=0.001)
    assert metrics.log_loss(hist) == pytest.approx(sklearn_log_loss(y, s), abs=0.001)


def test_is_exact_for_scores_at_bin_centres_with_ties() -> None:
    rng = np.random.default_rng(3)
    scores = CENTRES[rng.integers(400, 420, (300, 1))]
    labels = rng.integers(0, 2, (300, 1))
    hist = histogram(scores, labels)
    y, s = labels[:, 0], scores[:, 0]
    assert metrics.auroc(hist) == pytest.approx(roc_auc_score(y, s), abs=1e-9)
    assert metrics.auprc(hist) == pytest.approx(average_precision_score(y, s), abs=1e-9)
    assert metrics.brier(hist) == pytest.approx(brier_score_loss(y, s), abs=1e-7)


def test_each_patient_weighs_one_per_label() -> None:
    # Patient 7: three records, positive once. Patient 9: one record, unannotated for label 1.
    scores = np.array([[0.9, 0.1], [0.5, 0.1], [0.5, 0.2], [0.2, np.nan]])
    labels = np.array([[1, 0], [0, 0], [0, 1], [1, 0]])
    mask = np.array([[1, 1], [1, 1], [1, 0], [1, 0]], dtype=bool)
    hist = metrics.score_histograms(scores, labels, mask, np.array([7, 7, 7, 9]))
    assert hist.dtype == np.float64 and hist.shape == (2, 2, BINS)
    np.testing.assert_allclose(hist.sum(axis=2), [[2 / 3, 4 / 3], [1, 0]], rtol=1e-12)
    assert hist[0, 0].max() == pytest.approx(2 / 3)  # both records at 0.5 share a bin
    # Positives: 1/3 at 0.9, 1 at 0.2; negatives: 2/3 at 0.5. One quarter of the pairs is right.
    assert metrics.auroc(hist[0]) == pytest.approx(0.25, abs=1e-6)


@given(
    n_records=st.integers(1, 8),
    data=st.data(),
)
@settings(max_examples=40)
def test_one_patient_changes_a_label_by_at_most_one(n_records: int, data: st.DataObject) -> None:
    scores, labels = cohort(20, seed=1)
    extra = data.draw(hnp.arrays(float, (n_records, 1), elements=st.floats(0, 1)))
    truth = data.draw(hnp.arrays(int, (n_records, 1), elements=st.integers(0, 1)))
    patients = np.concatenate([np.arange(20), np.full(n_records, 20)])
    without = histogram(scores, labels)
    with_patient = histogram(np.concatenate([scores, extra]), np.vstack([labels, truth]), patients)
    assert np.abs(with_patient - without).sum() == pytest.approx(1, abs=1e-5)


@given(hist=SMALL_COUNTS, copies=st.integers(2, 4))
def test_duplicate_sites_change_no_value(hist: Array, copies: int) -> None:
    for of in (metrics.auroc, metrics.auprc):
        assert of(hist * copies) == pytest.approx(of(hist))


@given(hist=SMALL_COUNTS)
def test_auroc_is_symmetric_under_a_swap_of_the_classes(hist: Array) -> None:
    value, swapped = metrics.auroc(hist), metrics.auroc(hist[::-1])
    if value is None:
        assert swapped is None
    else:
        assert swapped == pytest.approx(1 - value)


@given(hist=SMALL_COUNTS)
def test_a_stack_gives_what_single_histograms_give(hist: Array) -> None:
    stack = np.stack([hist, hist[:, ::-1]])
    for of, of_many in ((metrics.auroc, metrics.aurocs), (metrics.auprc, metrics.auprcs)):
        singles = [of(single) for single in stack]
        expected = [np.nan if single is None else single for single in singles]
        np.testing.assert_allclose(of_many(stack), expected)


@pytest.mark.parametrize("empty", [0, 1])
def test_no_value_without_both_classes(empty: int) -> None:
    hist = np.ones((2, BINS))
    hist[empty] = 0
    assert metrics.auroc(hist) is None
    assert metrics.auprc(hist) is None


def test_an_empty_histogram_has_no_calibration() -> None:
    hist = np.zeros((2, BINS))
    assert metrics.brier(hist) is metrics.ece(hist) is metrics.log_loss(hist) is None


def test_ece_is_the_gap_between_score_and_frequency() -> None:
    scores = np.full((100, 1), 0.75)
    labels = np.repeat([1, 0], [50, 50])[:, None]
    assert metrics.ece(histogram(scores, labels)) == pytest.approx(0.25, abs=0.002)
    calibrated = np.repeat([1, 0], [75, 25])[:, None]
    assert metrics.ece(histogram(scores, calibrated)) == pytest.approx(0, abs=0.002)


def test_scores_of_zero_and_one_fall_into_the_outermost_bins() -> None:
    hist = histogram(np.array([[0.0], [1.0]]), np.array([[0], [1]]))
    assert hist[0, 0] == 1 and hist[1, -1] == 1


@pytest.mark.parametrize("score", [np.nan, -0.01, 1.01])
def test_refuses_an_annotated_score_that_is_no_probability(score: float) -> None:
    with pytest.raises(ValueError, match="no probability"):
        histogram(np.array([[score]]), np.array([[1]]))


def test_refuses_labels_and_shapes_that_do_not_fit() -> None:
    with pytest.raises(ValueError, match="neither 0 nor 1"):
        histogram(np.array([[0.5]]), np.array([[2]]))
    with pytest.raises(ValueError, match="patients"):
        histogram(np.array([[0.5]]), np.array([[1]]), patients=np.arange(2))
    with pytest.raises(ValueError, match="label_mask"):
        metrics.score_histograms(
            np.zeros((2, 1)), np.zeros((2, 2)), np.ones((2, 1), bool), np.arange(2)
        )


def test_merging_keeps_mass_order_and_nearly_the_value() -> None:
    hist = histogram(*cohort(2000, seed=5, spread=0.4))
    merged, joined = metrics.merge_bins(hist, CENTRES, 32)
    assert merged.shape[-1] <= 32
    np.testing.assert_allclose(merged.sum(axis=-1), hist.sum(axis=-1), rtol=1e-5)
    assert metrics.auroc(merged) == pytest.approx(metrics.auroc(hist), abs=0.005)
    assert metrics.briers(merged, joined) == pytest.approx(metrics.brier(hist), abs=0.001)
    assert metrics.eces(merged, joined) == pytest.approx(metrics.ece(hist), abs=0.01)
    assert metrics.merge_bins(np.zeros((3, 2, BINS)), CENTRES, 32)[0].shape == (3, 2, BINS)


def resampled_aurocs(scores: Array, labels: Array, patients: Array, seed: int) -> Array:
    """The slow bootstrap: whole patients are drawn, AUROC counts every pair of records."""
    rng = np.random.default_rng(seed)
    n_patients = patients.max() + 1
    positive = labels[:, 0] == 1
    wins = scores[positive] > scores[~positive].T
    values = []
    for _ in range(1000):
        times = np.bincount(rng.integers(0, n_patients, n_patients), minlength=n_patients)
        weight = times[patients]
        of_positives, of_negatives = weight[positive], weight[~positive]
        pairs = of_positives.sum() * of_negatives.sum()
        values.append(of_positives @ wins @ of_negatives / pairs)
    return np.array(values)


def test_bootstrap_intervals_match_resampling_patients() -> None:
    scores, labels = cohort(400, seed=11)
    rng = np.random.default_rng(0)
    ours = metrics.aurocs(metrics.bootstrap(histogram(scores, labels), rng, 1000))
    direct = resampled_aurocs(scores, labels, np.arange(400), seed=1)
    assert np.std(ours) == pytest.approx(np.std(direct), rel=0.12)
    assert np.mean(ours) == pytest.approx(np.mean(direct), abs=0.003)


def test_bootstrap_of_several_records_a_patient_is_not_too_narrow() -> None:
    rng = np.random.default_rng(2)
    n_patients, n_records = 150, 4
    scores, labels = cohort(n_patients, seed=13)
    patients = np.repeat(np.arange(n_patients), n_records)
    noisy = expit(rng.normal(0, 0.5, (len(patients), 1)) + np.log(scores / (1 - scores))[patients])
    ours = metrics.aurocs(
        metrics.bootstrap(histogram(noisy, labels[patients], patients), rng, 1000)
    )
    direct = resampled_aurocs(noisy, labels[patients], patients, seed=1)
    assert 0.95 * np.std(direct) < np.std(ours) < 1.5 * np.std(direct)


def test_bootstrap_draws_whole_patients_and_nothing_from_empty_cells() -> None:
    hist = np.zeros((2, BINS), dtype=np.float32)
    hist[0, 5], hist[1, 9] = 3, 2
    drawn = metrics.bootstrap(hist, np.random.default_rng(0), 50)
    assert drawn.shape == (50, 2, BINS)
    np.testing.assert_array_equal(drawn.sum(axis=(1, 2)), 5)
    assert drawn[:, 0, 5].std() > 0
    np.testing.assert_array_equal(drawn[:, 0, 5] + drawn[:, 1, 9], 5)
    empty = metrics.bootstrap(np.zeros((2, BINS)), np.random.default_rng(0), 3)
    assert not empty.any()
