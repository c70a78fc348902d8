"""The Gaussian mechanism of score histograms: its sensitivity, its noise, its charge."""

import math
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from client.ledger.ledger import Ledger
from client.participant import Participant
from client.private.randomness import noise_of_evaluation
from client.training.evaluation import Scores, add_noise
from irene_model.errors import ProtocolError
from irene_model.exchange.protocol import Arrays
from irene_model.exchange.replies import LABEL_ABSENT, LABEL_SENT, LABEL_WITHHELD, EvaluateReply
from irene_model.exchange.requests import EvaluateRequest, TrainRequest
from irene_model.metrics.coarse_bins import COARSE_BINS, coarsen
from irene_model.metrics.metrics import BINS, Array
from irene_model.privacy.accountants import Mechanism, epsilons
from irene_model.privacy.calibration import evaluation_noise
from irene_model.study.records import HeldOut
from irene_model.weights.weights import new_model, to_arrays
from tests.helpers.hospital_folder import HospitalFolder

PRIOR = 0.1


pytestmark = pytest.mark.usefixtures("small_model")


def ask(
    hospital: HospitalFolder,
    *,
    split: HeldOut = "test",
    round: int = 1,
    run: str = "r",
    weights: Arrays | None = None,
    simulation_seed: int | None = None,
) -> EvaluateReply:
    study = hospital.study
    request = EvaluateRequest.about(
        study,
        run=run,
        round=round,
        split=split,
        arrays=weights or to_arrays(new_model(study, seed=1)),
    )
    return Participant.at(hospital.site_file, simulation_seed).evaluate(request)


def charges(hospital: HospitalFolder) -> list[tuple[str, int]]:
    return [(r.split, r.round) for r in Ledger.of(hospital.site).reservations()]


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


def test_a_reply_holds_noised_histograms_and_what_they_cost(hospital: HospitalFolder) -> None:
    hospital.configure("labels", {"death": {"column": "death_offset", "rule": "filled"}})
    reply = ask(hospital)
    assert (reply.outcome, reply.reason) == ("evaluated", "")
    histograms = reply.arrays["histograms"]
    assert histograms.shape == (2, 2, COARSE_BINS)
    assert reply.arrays["labels"].tolist() == [LABEL_ABSENT, LABEL_SENT]
    assert not histograms[0].any() and histograms[1].all()
    noise = evaluation_noise(hospital.study, "test")
    assert reply.noise_multiplier == noise > 0
    assert reply.deviation == noise  # one label is mapped: the sensitivity is 1
    (reservation,) = Ledger.of(hospital.site).reservations()
    assert reservation.released and (reservation.split, reservation.round) == ("test", 1)
    assert reservation.mechanism == Mechanism(noise_multiplier=noise, sample_rate=1.0, steps=1)
    assert reservation.clip_norm == 1.0
    assert reply.epsilon_run == epsilons([reservation.mechanism], delta=1e-3).smallest


def test_the_deviation_grows_with_the_labels(hospital: HospitalFolder) -> None:
    reply = ask(hospital)
    assert reply.deviation == pytest.approx(reply.noise_multiplier * math.sqrt(2))


def test_asked_again_the_same_bytes_come_and_nothing_is_charged(hospital: HospitalFolder) -> None:
    hospital.configure("budget", {"epsilon": 50, "delta": 1.0e-3})
    first = ask(hospital)
    other = to_arrays(new_model(hospital.study, seed=2))
    again = ask(hospital, weights=other)  # otherwise two noises would be had for one charge
    np.testing.assert_array_equal(first.arrays["histograms"], again.arrays["histograms"])
    assert charges(hospital) == [("test", 1)]
    ask(hospital, split="validation")
    ask(hospital, split="validation", round=2)
    assert charges(hospital) == [("test", 1), ("validation", 1), ("validation", 2)]


def test_the_noise_is_new_each_time_but_in_a_simulation(hospital: HospitalFolder) -> None:
    def noised(simulation_seed: int | None, split: HeldOut = "test") -> bytes:
        for path in (hospital.folder / ".irene").glob("ledger.sqlite*"):
            path.unlink()
        reply = ask(hospital, simulation_seed=simulation_seed, split=split)
        return reply.arrays["histograms"].tobytes()

    assert noised(5) == noised(5) != noised(6)
    assert noised(None) != noised(None)


def test_no_two_evaluations_of_a_simulation_share_their_noise() -> None:
    draws = {
        float(noise_of_evaluation(seed=3, site=site, round=round, split=split).standard_normal(()))
        for site in ("north", "south")
        for round in (1, 2)
        for split in ("validation", "test")
    }
    assert len(draws) == 8


def test_a_run_spends_its_epsilon_on_either_held_out_split(hospital: HospitalFolder) -> None:
    hospital.configure("federation.rounds", 3, "study.yaml")
    hospital.configure("evaluation", {"epsilon": 2.0}, "study.yaml")
    replies = [ask(hospital, split="validation", round=n) for n in (1, 2, 3)]
    each = Mechanism(noise_multiplier=replies[-1].noise_multiplier, sample_rate=1.0, steps=1)
    both = epsilons([each] * 3, delta=hospital.study.privacy.delta)
    assert 0.98 * 2 < both.smallest <= 2 and replies[-1].epsilon_run == both.smallest
    assert ask(hospital, round=3).epsilon_run < 1.1 * both.smallest  # other patients
    assert ask(hospital, split="validation", round=4).reason == (
        "the study evaluates no validation patients after round 4"
    )


def test_over_budget_is_declined_and_training_goes_on(hospital: HospitalFolder) -> None:
    hospital.configure("budget", {"epsilon": 8, "delta": 1.0e-3})
    hospital.configure("evaluation", {"epsilon": 20.0}, "study.yaml")
    reply = ask(hospital)
    assert reply.outcome == "declined" and reply.arrays == {}
    assert "the site's budget is 8 at delta 0.001" in reply.reason
    study = hospital.study
    request = TrainRequest.about(
        study, run="r", round=1, arrays=to_arrays(new_model(study, seed=1))
    )
    assert Participant.at(hospital.site_file).train(request).outcome == "updated"
    assert charges(hospital) == [("train", 1)]


def test_a_split_column_that_moves_patients_makes_charges_add_up(hospital: HospitalFolder) -> None:
    before = ask(hospital).epsilon_total
    rows = hospital.rows()
    swap = {"test": "validation", "validation": "test"}
    hospital.write_rows([{**row, "split": swap.get(row["split"], row["split"])} for row in rows])
    hospital.configure("budget", {"epsilon": 50, "delta": 1.0e-3})
    assert ask(hospital, split="validation").epsilon_total > 1.2 * before


def test_metrics_that_are_off_are_declined(hospital: HospitalFolder) -> None:
    site_file = hospital.site_file
    site_file.write_text(site_file.read_text(encoding="utf-8") + "metrics: off\n")  # not "false"
    reply = ask(hospital)
    assert (reply.outcome, reply.reason) == ("declined", "metrics are turned off at this site")
    assert charges(hospital) == []


def test_exact_metrics_leave_only_where_the_site_says_so(hospital: HospitalFolder) -> None:
    hospital.configure("evaluation", {"noise_multiplier": 0.0}, "study.yaml")
    reply = ask(hospital)
    assert reply.outcome == "declined" and "with noise only" in reply.reason
    hospital.configure("metrics", "exact")
    hospital.configure("minimum_group", 1)
    reply = ask(hospital)
    assert reply.outcome == "evaluated" and reply.noise_multiplier == reply.deviation == 0
    assert reply.arrays["histograms"].shape == (2, 2, BINS)
    assert charges(hospital) == []


def test_a_site_that_allows_exact_metrics_sends_noised_ones_if_asked(
    hospital: HospitalFolder,
) -> None:
    hospital.configure("metrics", "exact")
    assert ask(hospital).arrays["histograms"].shape == (2, 2, COARSE_BINS)


def test_small_groups_are_withheld(hospital: HospitalFolder) -> None:
    """Two patients are tested; pneumonia is in both and absent in both, death in at most one."""
    hospital.configure("evaluation", {"noise_multiplier": 0.0}, "study.yaml")
    hospital.configure("metrics", "exact")
    hospital.set_cell(8, "pneumonia", "0")  # was not annotated
    tested = [row for row in hospital.rows() if row["split"] == "test"]
    died = {row["patient_id"] for row in tested if row["death_offset"]}
    assert len({row["patient_id"] for row in tested}) == 2 and len(died) < 2
    hospital.configure("minimum_group", 2)
    reply = ask(hospital)
    assert reply.arrays["labels"].tolist() == [LABEL_SENT, LABEL_WITHHELD]
    assert reply.arrays["histograms"][0].sum() == pytest.approx(2)
    assert not reply.arrays["histograms"][1].any()
    hospital.configure("minimum_group", None)  # ten
    assert ask(hospital).arrays["labels"].tolist() == [LABEL_WITHHELD] * 2


def test_groups_count_patients_and_not_records() -> None:
    scores = Scores(
        probabilities=np.full((5, 2), 0.5),
        labels=np.array([[1, 1], [1, 0], [1, 0], [0, 0], [0, 1]]),
        annotated=np.array([[1, 1], [1, 1], [1, 1], [1, 1], [1, 0]], dtype=bool),
        owner=np.array([0, 0, 0, 1, 2]),
    )
    assert scores.smallest_groups().tolist() == [1, 1]
    assert replace(scores, owner=np.arange(5)).smallest_groups().tolist() == [2, 1]


def test_training_patients_are_never_scored(hospital: HospitalFolder) -> None:
    flat = EvaluateRequest(
        study="{}", fingerprint="f", deadline=9e9, run="r", round=1, split="test"
    ).to_flat()
    with pytest.raises(ProtocolError, match="field 'split'"):
        EvaluateRequest.from_flat(replace(flat, values={**flat.values, "split": "train"}))


def test_a_score_that_is_no_number_is_told_nobody(
    hospital: HospitalFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An error would be a bit about patients, without noise. Such weights are refused before."""
    monkeypatch.setattr("irene_model.exchange.weight_bounds.LARGEST_FIRST", 1e39)
    weights = to_arrays(new_model(hospital.study, seed=1))
    weights = {name: np.full_like(array, 3e38) for name, array in weights.items()}
    reply = ask(hospital, weights=weights)
    assert (reply.outcome, reply.reason) == ("evaluated", "")


def test_malformed_weights_are_declined_and_cost_nothing(hospital: HospitalFolder) -> None:
    weights = to_arrays(new_model(hospital.study, seed=1))
    del weights["head.bias"]
    reply = ask(hospital, weights=weights)
    assert reply.outcome == "declined" and "'head.bias' is missing" in reply.reason
    assert charges(hospital) == []


@pytest.mark.parametrize("noise", [None, 0.0])
def test_weights_that_no_run_reaches_are_declined_and_cost_nothing(
    hospital: HospitalFolder, noise: float | None
) -> None:
    if noise is not None:  # exact histograms are not charged, and judged all the same
        hospital.configure("evaluation", {"noise_multiplier": noise}, "study.yaml")
        hospital.configure("metrics", "exact")
    weights = to_arrays(new_model(hospital.study, seed=1))
    weights["head.weight"][0, 0] = 3e5
    reply = ask(hospital, weights=weights)
    assert reply.outcome == "declined" and "'head.weight' holds a weight beyond" in reply.reason
    assert reply.arrays == {} and charges(hospital) == []


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
