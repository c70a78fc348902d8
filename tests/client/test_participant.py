"""A site's answers to the server: what is done, what is declined, and what is never said."""

import numpy as np
import pytest

from client.budget.plan import plan_round
from client.ledger.ledger import Ledger
from client.participant import Participant
from irene_model.exchange.protocol import Flat
from irene_model.exchange.replies import EvaluateReply, HelloReply, TrainReply
from irene_model.exchange.requests import TrainRequest
from irene_model.metrics.metrics import BINS
from irene_model.privacy.accountants import Mechanism, epsilons
from tests.helpers.hospital_folder import HospitalFolder
from tests.helpers.sites.asked_site import charges, evaluate, hello, train, weights_of

pytestmark = pytest.mark.usefixtures("small_model")


def test_hello_says_who_is_ready_and_prepares_the_files(hospital: HospitalFolder) -> None:
    reply = hello(hospital)
    assert (reply.site, reply.outcome, reply.reason) == ("north", "ready", "")
    assert len(list((hospital.folder / ".irene" / "cache").glob("v*-*/"))) == 1


def test_a_round_gives_an_update_and_what_it_cost(hospital: HospitalFolder) -> None:
    study = hospital.study
    first, second = train(hospital), train(hospital, round=2)
    plan = plan_round(study, 10, 1)  # six training patients are declared as ten
    for number, reply in enumerate((first, second), start=1):
        assert (reply.site, reply.round, reply.outcome, reply.reason) == (
            "north", number, "updated", "",
        )  # fmt: skip
        assert reply.arrays.keys() == weights_of(study).keys()
        assert all(np.abs(array).max() > 0 for array in reply.arrays.values())
        assert reply.weight == 10
        assert reply.noise_multiplier == plan.mechanism.noise_multiplier
        assert reply.sample_rate == pytest.approx(0.4)
        assert reply.seconds > 0
    assert (first.rounds_charged, second.rounds_charged) == (1, 2)  # two are the whole study
    assert 0 < first.epsilon_run < second.epsilon_run == second.epsilon_total
    charged = epsilons([plan.mechanism] * 2, delta=1e-3)
    assert (
        charged.smallest == second.epsilon_run < charged.rdp and 0.99 * 8 <= charged.smallest <= 8
    )


def test_epsilon_counts_the_run_and_all_runs(hospital: HospitalFolder) -> None:
    hospital.configure("budget", {"epsilon": 50, "delta": 1.0e-3})
    first, other = train(hospital), train(hospital, run="another")
    assert first.epsilon_run == first.epsilon_total == other.epsilon_run
    assert other.epsilon_total > 1.2 * other.epsilon_run


def test_evaluation_gives_histograms_of_the_held_out_patients(hospital: HospitalFolder) -> None:
    hospital.configure("evaluation", {"noise_multiplier": 0.0}, "study.yaml")
    hospital.configure("metrics", "exact")
    hospital.configure("minimum_group", 1)
    reply = evaluate(hospital)
    assert (reply.site, reply.round, reply.outcome, reply.reason) == ("north", 1, "evaluated", "")
    histograms = reply.arrays["histograms"]
    assert histograms.shape == (2, 2, BINS)
    test_patients = {row["patient_id"] for row in hospital.rows() if row["split"] == "test"}
    assert histograms[1].sum() == pytest.approx(len(test_patients))  # death is known of everyone
    died = {row["patient_id"] for row in hospital.rows() if row["death_offset"]} & test_patients
    assert histograms[1, 1].sum() == pytest.approx(len(died))


def test_messages_of_the_participant_travel(hospital: HospitalFolder) -> None:
    for reply, kind in (
        (hello(hospital), HelloReply),
        (train(hospital), TrainReply),
        (evaluate(hospital), EvaluateReply),
    ):
        flat = reply.to_flat()
        assert kind.from_flat(Flat(arrays=flat.arrays, values=flat.values)) == reply


def test_what_a_site_does_not_map_is_neither_trained_nor_sent(hospital: HospitalFolder) -> None:
    everything = train(hospital).arrays.keys()
    hospital.configure("columns.text", None)
    hospital.configure("labels.death", None)
    hospital.configure("ledger", "another.sqlite")
    reply = train(hospital)
    assert (reply.outcome, reply.reason) == ("updated", "")
    assert (reply.modalities, reply.labels) == ("image,labs,age,sex", "10")
    assert everything - reply.arrays.keys() == {
        "embeddings.text_tokens.weight", "embeddings.text.weight", "embeddings.text.bias",
        "embeddings.text_positions.table",
    }  # fmt: skip
    for name in ("head.weight", "head.bias"):
        assert reply.arrays[name][0].any() and not reply.arrays[name][1].any()


@pytest.mark.parametrize("wire", ["bfloat16", "float16", "int8"])
def test_what_the_ledger_keeps_is_what_travels(hospital: HospitalFolder, wire: str) -> None:
    federation = {"rounds": 2, "local_steps": 2, "minimum_sites": 1, "wire": wire}
    hospital.configure("federation", federation, "study.yaml")
    first, again = train(hospital), train(hospital)
    flat = first.to_flat()
    read = Flat.unpacked(flat.packed(), flat.values)
    for name, array in first.arrays.items():
        np.testing.assert_array_equal(read.arrays[name], array)  # rounded already
        np.testing.assert_array_equal(again.arrays[name], array)  # and from the ledger
    assert charges(hospital) == 1


def test_a_server_that_was_started_anew_gets_what_was_released_and_nothing_is_trained(
    hospital: HospitalFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    def again(round: int) -> TrainReply:
        request = TrainRequest.about(hospital.study, run="r", round=round, again=True)
        return Participant.at(hospital.site_file).train(request)

    first = train(hospital)
    with monkeypatch.context() as patch:
        patch.setattr("client.training.training.local_update", lambda *_, **__: 1 / 0)
        same = again(1)
        assert same.outcome == "updated" and same.arrays.keys() == first.arrays.keys()
        for name, array in first.arrays.items():
            np.testing.assert_array_equal(array, same.arrays[name])
        refused = again(2)
    assert (refused.outcome, refused.code) == ("declined", "message")
    assert "was released here before" in refused.reason and refused.rounds_charged == 1
    Ledger.of(hospital.site).reserve(  # charged, and then killed
        run="r", round=2, mechanism=Mechanism(noise_multiplier=1.0, sample_rate=0.1, steps=1),
        clip_norm=1.0,
    )  # fmt: skip
    assert again(2).outcome == "declined" and charges(hospital) == 2


def test_a_round_can_not_be_asked_for_again_with_another_mechanism(
    hospital: HospitalFolder,
) -> None:
    """Otherwise the server could shop for the noise that suits it."""
    hospital.configure("budget", {"epsilon": 100, "delta": 1.0e-3})
    train(hospital)
    study = hospital.study
    quieter = study.model_copy(
        update={"privacy": study.privacy.model_copy(update={"noise_multiplier": 5.0})}
    )
    reply = train(hospital, study=quieter)
    assert reply.outcome == "failed" and reply.arrays == {}
    assert charges(hospital) == 1


def test_only_a_simulation_repeats_itself(hospital: HospitalFolder) -> None:
    def update(simulation_seed: int | None) -> bytes:
        for name in ("ledger.sqlite", "ledger.sqlite.head"):
            (hospital.folder / ".irene" / name).unlink(missing_ok=True)
        reply = train(hospital, simulation_seed=simulation_seed)
        return b"".join(reply.arrays[name].tobytes() for name in sorted(reply.arrays))

    assert update(5) == update(5) != update(6)
    assert update(None) != update(None)
