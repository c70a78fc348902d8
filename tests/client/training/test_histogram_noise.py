"""The Gaussian mechanism of score histograms: its sensitivity, its noise, a study's share."""

import math
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from client.private.randomness import noise_of_evaluation
from client.training.evaluation import Scores, add_noise
from irene_model.metrics.coarse_bins import COARSE_BINS, coarsen
from irene_model.metrics.metrics import BINS, Array
from irene_model.privacy.calibration import evaluation_noise
from tests.helpers.hospital_folder import HospitalFolder

PRIOR = 0.1
pytestmark = pytest.mark.usefixtures("small_model")


@st.composite
def cohorts(draw: st.DrawFn) -> tuple[Scores, int]:
    """Scores of some patients with some records of some labels, and one of the patients."""
    n_labels, n_patients = draw(st.integers(1, 5)), draw(st.integers(1, 6))
    counts = draw(st.lists(st.integers(1, 7), min_size=n_patients, max_size=n_patients))
    seed = draw(st.integers(0, 2**32 - 1))
    rng = np.random.default_rng(seed)
    shape = (sum(counts), n_labels)
    few_scores = rng.choice([0.0, 0.02, 0.1, 0.9, 1.0], shape)  # many records share a cell
    scores = Scores(
        probabilities=np.where(rng.random(shape) < 0.5, few_scores, rng.random(shape)),
        labels=rng.integers(0, 2, shape),
        annotated=rng.random(shape) < draw(st.sampled_from([0.3, 1.0])),
        owner=np.repeat(np.arange(n_patients), counts),
    )
    return scores, draw(st.integers(0, n_patients - 1))


def without(scores: Scores, patient: int) -> Scores:
    kept = scores.owner != patient
    return Scores(
        probabilities=scores.probabilities[kept],
        labels=scores.labels[kept],
        annotated=scores.annotated[kept],
        owner=scores.owner[kept],
    )


@given(drawn=cohorts())
@settings(max_examples=300)
def test_one_patient_with_all_records_moves_the_query_by_at_most_the_sensitivity(
    drawn: tuple[Scores, int],
) -> None:
    scores, patient = drawn
    neighbours = [coarsen(s.histograms(), PRIOR) for s in (scores, without(scores, patient))]
    moved = np.linalg.norm(neighbours[0] - neighbours[1])
    assert moved <= math.sqrt(scores.labels.shape[1]) * (1 + 1e-12)


def test_the_sensitivity_is_reached() -> None:
    one = Scores(
        probabilities=np.array([[0.2, 0.3, 0.7]]),
        labels=np.array([[0, 1, 1]]),
        annotated=np.ones((1, 3), bool),
        owner=np.array([0]),
    )
    moved = coarsen(one.histograms(), PRIOR) - coarsen(without(one, 0).histograms(), PRIOR)
    assert np.linalg.norm(moved) == pytest.approx(math.sqrt(3), rel=1e-12)


def test_the_noise_is_normal_of_its_deviation_in_the_labels_that_are_sent() -> None:
    sent = np.array([True, False])
    exact = np.zeros((2, 2, 20_000))
    noised = add_noise(exact, deviation=3.0, sent=sent, rng=np.random.default_rng(1))
    assert not noised[1].any()
    assert noised[0].std() == pytest.approx(3.0, rel=0.02)
    assert abs(noised[0].mean()) < 0.06
    assert np.mean(np.abs(noised[0]) < 3.0) == pytest.approx(0.6827, abs=0.01)
    np.testing.assert_array_equal(noised * 1024, np.round(noised * 1024))  # no lower bits


def test_no_two_evaluations_of_a_simulation_share_their_noise() -> None:
    draws = {
        float(noise_of_evaluation(seed=3, site=site, round=round, split=split).standard_normal(()))
        for site in ("north", "south")
        for round in (1, 2)
        for split in ("validation", "test")
    }
    assert len(draws) == 8


def test_groups_count_patients_and_not_records() -> None:
    scores = Scores(
        probabilities=np.full((5, 2), 0.5),
        labels=np.array([[1, 1], [1, 0], [1, 0], [0, 0], [0, 1]]),
        annotated=np.array([[1, 1], [1, 1], [1, 1], [1, 1], [1, 0]], dtype=bool),
        owner=np.array([0, 0, 0, 1, 2]),
    )
    assert scores.smallest_groups().tolist() == [1, 1]
    assert replace(scores, owner=np.arange(5)).smallest_groups().tolist() == [2, 1]


@pytest.mark.parametrize(
    ("privacy", "evaluation", "noise"),
    [
        ({"noise_multiplier": 1.5}, {}, 1.5),
        ({"noise_multiplier": 0.0, "epsilon": 8}, {}, 0.0),
        ({"noise_multiplier": 1.5}, {"noise_multiplier": 0.7}, 0.7),
        ({"epsilon": 8}, {"noise_multiplier": 0.0}, 0.0),
    ],
)
def test_the_studys_noise(
    hospital: HospitalFolder,
    privacy: dict[str, float],
    evaluation: dict[str, float],
    noise: float,
) -> None:
    hospital.configure("privacy", privacy, "study.yaml")
    hospital.configure("evaluation", evaluation, "study.yaml")
    assert evaluation_noise(hospital.study, "test") == noise


def test_the_grid_is_fixed_and_narrow_around_the_prior() -> None:
    hist: Array = np.zeros((1, 2, BINS))
    hist[0, 0] = 1.0
    for prior in (1e-6, 0.1, 0.5, 1 - 1e-6):
        merged = coarsen(hist, prior)
        assert merged.shape == (1, 2, COARSE_BINS) and merged.sum() == BINS
        assert (merged[0, 0] > 0).all()
