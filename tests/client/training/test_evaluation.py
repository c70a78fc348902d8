"""A site's score histograms: what leaves, what it costs, and what is declined."""

import math
from dataclasses import replace

import numpy as np
import pytest

from client.ledger.ledger import Ledger
from client.participant import Participant
from irene_model.errors import ProtocolError
from irene_model.exchange.protocol import Arrays
from irene_model.exchange.replies import LABEL_ABSENT, LABEL_SENT, LABEL_WITHHELD, EvaluateReply
from irene_model.exchange.requests import EvaluateRequest, TrainRequest
from irene_model.metrics.coarse_bins import COARSE_BINS
from irene_model.metrics.metrics import BINS
from irene_model.privacy.accountants import Mechanism, epsilons
from irene_model.privacy.calibration import evaluation_noise
from irene_model.study.records import HeldOut
from irene_model.weights.weights import new_model, to_arrays
from tests.helpers.hospital_folder import HospitalFolder

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
