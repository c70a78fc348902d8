"""Draws of test patients: AUROC by another library, the same draws for all, a pair's own noise."""

from dataclasses import replace

import numpy as np
import pytest
from sklearn.metrics import roc_auc_score

from irene_model.metrics.patient_draws import (
    DRAWS,
    Scored,
    counts_of,
    exact_aurocs,
    resampled,
    weighted_aurocs,
)


def scored(quality: float, *, patients: int = 60, seed: int = 0, site: str = "north") -> Scored:
    """Two records a patient, the second of every third one not annotated."""
    rng = np.random.default_rng(seed)
    truth = rng.random(patients) < 0.4
    owner = np.repeat(np.arange(patients), 2)
    noise = np.random.default_rng(seed + 1).normal(size=2 * patients)
    logits = quality * truth[owner] + noise
    annotated = ~((np.arange(2 * patients) % 6) == 1)
    return Scored(
        probabilities=1 / (1 + np.exp(-logits))[:, None],
        labels=truth[owner][:, None].astype(float),
        annotated=annotated[:, None],
        owner=owner,
        counts=counts_of(site, [2 * p for p in range(patients)], 2 * patients),
    )


def test_each_draw_is_scikit_learns_with_the_patients_weights() -> None:
    each = scored(1.0)
    found = resampled({"north": each})["all"]
    known = each.annotated[:, 0]
    owner = each.owner[known]
    for draw in (0, 7, DRAWS - 1):
        weights = each.counts[draw][owner] / np.bincount(owner)[owner]
        expected = roc_auc_score(
            each.labels[known, 0], each.probabilities[known, 0], sample_weight=weights
        )
        assert found[draw] == pytest.approx(expected, abs=1e-5)


def test_ties_count_half_and_a_missing_side_has_no_value() -> None:
    truth = np.array([True, False, False])
    weights = np.array([[1, 1, 1], [1, 0, 0], [2, 0, 3]])
    aurocs = weighted_aurocs(np.array([0.5, 0.5, 0.1]), truth, weights)
    assert aurocs[0] == 0.75 and np.isnan(aurocs[1]) and aurocs[2] == 1.0


def test_a_label_of_one_side_is_left_out_and_a_draw_without_a_label_has_no_mean() -> None:
    each = scored(1.0, patients=4)
    lone = Scored(
        probabilities=np.repeat(each.probabilities, 2, axis=1),
        labels=np.concatenate([each.labels, np.zeros_like(each.labels)], axis=1),
        annotated=np.ones((8, 2), dtype=bool),
        owner=each.owner,
        counts=each.counts,
    )
    found = resampled({"a": lone})["all"]
    assert any(value is None for value in found) and any(value is not None for value in found)
    assert set(resampled({"a": lone})["by_site"]) == {"a"}


def test_two_models_see_the_same_draws_so_that_their_difference_varies_less() -> None:
    better, worse = (resampled({"north": scored(q)})["all"] for q in (1.2, 1.0))
    a, b = (np.array(values, dtype=float) for values in (better, worse))
    assert np.std(a - b) < 0.3 * np.std(a)
    again = resampled({"north": scored(1.2)})["all"]
    assert again == better


def test_a_patient_of_another_fold_keeps_its_counts() -> None:
    first = counts_of("north", [0, 4, 8], 10)
    other = counts_of("north", [8], 10)
    assert (first[:, 2] == other[:, 0]).all()
    assert first.mean() == pytest.approx(1.0, abs=0.1)


def test_scores_beyond_a_histograms_grid_are_no_ties() -> None:
    each = scored(1.0)
    sure = replace(each, probabilities=each.probabilities / 1e6)  # logits far below -8
    for of in (each, sure):
        found = exact_aurocs({"north": of, "south": of})
        known = of.annotated[:, 0]
        weights = (1 / np.bincount(of.owner[known]))[of.owner[known]]
        expected = roc_auc_score(
            of.labels[known, 0], of.probabilities[known, 0], sample_weight=weights
        )
        assert found["macro"] == pytest.approx(expected, abs=1e-5)
        assert found["by_site"]["south"] == found["macro"]
        assert found["by_label"] == [pytest.approx(expected)]
    nobody = replace(each, labels=np.zeros_like(each.labels))
    assert exact_aurocs({"a": nobody}) == {
        "macro": None, "by_label": [None], "by_site": {"a": None}
    }  # fmt: skip
