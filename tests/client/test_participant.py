"""A site's answers to the server: what is done, what is declined, and what is never said."""

import logging
import math
import time
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from client.budget.plan import plan_round
from client.ledger.ledger import Ledger
from client.participant import Participant
from client.records.dataset import SiteDataset, open_dataset
from client.site.site import Site
from irene_model.exchange.protocol import Arrays, Flat
from irene_model.exchange.replies import EvaluateReply, HelloReply, TrainReply
from irene_model.exchange.requests import EvaluateRequest, HelloRequest, TrainRequest
from irene_model.metrics.metrics import BINS
from irene_model.privacy.accountants import Mechanism, epsilons
from irene_model.study.study import Study
from irene_model.weights.weights import new_model, to_arrays
from tests.helpers.hospital_folder import HospitalFolder

SECRET = "Erika-Mustermann-4711"
SMALL = {
    "hidden_size": 16,
    "num_hidden_layers": 2,
    "num_bidirectional_layers": 1,
    "num_attention_heads": 2,
    "intermediate_size": 16,
}


@pytest.fixture(autouse=True)
def _small_model(hospital: HospitalFolder) -> None:
    hospital.configure("model", SMALL, "study.yaml")


def weights_of(study: Study) -> Arrays:
    return to_arrays(new_model(study, seed=1))


def hello(hospital: HospitalFolder) -> HelloReply:
    request = HelloRequest.about(hospital.study, run="r")
    return Participant.at(hospital.site_file).hello(request)


def train(
    hospital: HospitalFolder,
    *,
    round: int = 1,
    run: str = "r",
    study: Study | None = None,
    weights: Arrays | None = None,
    simulation_seed: int | None = None,
) -> TrainReply:
    study = study or hospital.study
    request = TrainRequest.about(study, run=run, round=round, arrays=weights or weights_of(study))
    return Participant.at(hospital.site_file, simulation_seed).train(request)


def evaluate(hospital: HospitalFolder) -> EvaluateReply:
    study = hospital.study
    request = EvaluateRequest.about(study, run="r", round=1, split="test", arrays=weights_of(study))
    return Participant.at(hospital.site_file).evaluate(request)


def charges(hospital: HospitalFolder) -> int:
    return len(Ledger.of(hospital.site).reservations())


@pytest.fixture
def no_training(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise AssertionError("a patient was drawn")

    monkeypatch.setattr("client.training.training.sample_patients", refuse)


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


@pytest.mark.usefixtures("no_training")
def test_over_budget_is_declined_with_the_reason(hospital: HospitalFolder) -> None:
    hospital.configure("budget", {"epsilon": 0.5, "delta": 1.0e-3})
    reply = train(hospital)
    assert reply.outcome == "declined" and reply.arrays == {} and reply.weight == 0
    assert "the site's budget is 0.5 at delta 0.001" in reply.reason
    assert charges(hospital) == 0


def test_the_budget_ends_midway(hospital: HospitalFolder) -> None:
    hospital.configure("budget", {"epsilon": 6, "delta": 1.0e-3})
    assert [train(hospital, round=n).outcome for n in (1, 2, 2)] == [
        "updated", "declined", "declined",
    ]  # fmt: skip
    assert charges(hospital) == train(hospital, round=2).rounds_charged == 1
    assert train(hospital, round=1).outcome == "updated"  # its bytes are still there


@pytest.mark.usefixtures("no_training")
@pytest.mark.parametrize(
    "loosened",
    [
        {"noise_multiplier": 0.0},  # no noise
        {"noise_multiplier": 0.01},
        {"epsilon": 100.0},  # little noise
        {"epsilon": 100.0, "delta": 0.09},
    ],
)
def test_no_study_loosens_the_sites_limits(
    hospital: HospitalFolder, loosened: dict[str, float]
) -> None:
    honest = hospital.study
    study = honest.model_copy(
        update={"privacy": honest.privacy.model_copy(update={"epsilon": None, **loosened})}
    )
    reply = train(hospital, study=study)
    assert reply.outcome == "declined" and "budget" in reply.reason
    assert charges(hospital) == reply.rounds_charged == 0


def test_training_without_privacy_wants_a_site_that_allows_it(hospital: HospitalFolder) -> None:
    hospital.configure("privacy", {"noise_multiplier": 0.0}, "study.yaml")
    assert train(hospital).outcome == "declined"
    hospital.configure("budget", "none")
    reply = train(hospital)
    assert reply.outcome == "updated" and math.isinf(reply.epsilon_run)


@pytest.mark.usefixtures("no_training")
def test_malformed_messages_are_declined_and_cost_nothing(hospital: HospitalFolder) -> None:
    weights = weights_of(hospital.study)
    del weights["head.bias"]
    reply = train(hospital, weights=weights)
    assert reply.outcome == "declined"
    assert reply.reason == "the update's array 'head.bias' is missing"
    participant = Participant.at(hospital.site_file)
    broken = participant.train(
        TrainRequest(study="{", fingerprint="", deadline=9e9, run="r", round=1)
    )
    assert (broken.outcome, broken.reason) == (
        "declined", "the study in the message is not valid JSON",
    )  # fmt: skip
    assert (
        participant.hello(HelloRequest(study="{", fingerprint="", deadline=9e9, run="r")).outcome
        == "failed"
    )
    assert charges(hospital) == 0


@pytest.mark.usefixtures("no_training")
def test_stale_messages_and_wrong_fingerprints_are_declined_before_anything_is_spent(
    hospital: HospitalFolder,
) -> None:
    participant, study = Participant.at(hospital.site_file), hospital.study
    cases: list[tuple[dict[str, Any], str, str]] = [
        ({"deadline": 10.0}, "stale", "90 s beyond its deadline"),
        ({"fingerprint": "0" * 64}, "study", "another fingerprint"),
        ({"study": study.model_copy(update={"name": "other"}).canonical}, "study", "fingerprint"),
    ]
    for changes, code, said in cases:
        hello = HelloRequest.about(study, run="r").model_copy(update=changes).after(100.0)
        train = TrainRequest.about(study, run="r", round=1).model_copy(update=changes).after(100.0)
        for reply in (participant.hello(hello), participant.train(train)):
            assert (reply.outcome, reply.code) == ("declined", code) and said in reply.reason
    assert not (hospital.folder / ".irene").exists()  # no ledger, and no file was opened


def test_a_deadline_that_passes_while_files_are_read_costs_nothing(
    hospital: HospitalFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = [time.monotonic()]

    def slowly(site: Site, study: Study) -> SiteDataset:
        clock[0] += 7200.0
        return open_dataset(site, study)

    monkeypatch.setattr("irene_model.exchange.requests.time.monotonic", lambda: clock[0])
    monkeypatch.setattr("client.participant.open_dataset", slowly)
    reply = train(hospital)
    assert (reply.outcome, reply.code) == ("declined", "stale") and charges(hospital) == 0


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


@pytest.mark.usefixtures("no_training")
def test_nothing_is_trained_on_a_ledger_of_other_patients(
    hospital: HospitalFolder, caplog: pytest.LogCaptureFixture
) -> None:
    Ledger.of(hospital.site).record_patients([b"somebody from elsewhere"])
    reply = train(hospital)
    assert (reply.outcome, reply.reason) == (
        "failed", "error at the site (LedgerError); the site's log says more",
    )  # fmt: skip
    assert "name this site's own ledger" in caplog.text
    assert charges(hospital) == 0


@pytest.mark.usefixtures("no_training")
def test_nothing_is_trained_on_a_ledger_without_its_head(hospital: HospitalFolder) -> None:
    Ledger.of(hospital.site).record_patients([b"somebody"])
    (hospital.folder / ".irene" / "ledger.sqlite.head").unlink()
    assert train(hospital).outcome == "failed"


def test_a_study_that_does_not_fit_is_declined(hospital: HospitalFolder) -> None:
    hospital.configure("labels", ["pneumonia", "gout"], "study.yaml")
    said = "the site's configuration can't serve the study; the site's log says where"
    assert (hello(hospital).outcome, hello(hospital).reason) == ("failed", said)
    reply = train(hospital)
    assert (reply.outcome, reply.reason) == ("declined", said)
    assert (evaluate(hospital).outcome, evaluate(hospital).reason) == ("failed", said)


def damage_cell(hospital: HospitalFolder) -> None:
    hospital.set_cell(3, "pneumonia", SECRET)


def damage_image(hospital: HospitalFolder) -> None:
    image = hospital.folder / "images" / "5.png"
    image.rename(image.with_name(f"{SECRET}.png")).write_bytes(b"no image")
    hospital.set_cell(5, "file", f"{SECRET}.png")


def damage_table(hospital: HospitalFolder) -> None:
    (hospital.folder / "encounters.csv").unlink()


@pytest.mark.parametrize("damage", [damage_cell, damage_image, damage_table])
@pytest.mark.parametrize("ask", [hello, train, evaluate])
def test_broken_files_fail_and_the_reason_gives_nothing_away(
    hospital: HospitalFolder,
    damage: Callable[[HospitalFolder], None],
    ask: Callable[[HospitalFolder], HelloReply | TrainReply | EvaluateReply],
    caplog: pytest.LogCaptureFixture,
) -> None:
    damage(hospital)
    with caplog.at_level(logging.INFO):
        reply = ask(hospital)
    assert reply.outcome == "failed" and reply.arrays == {}
    assert reply.reason == "the site's files were refused; the site's log says where"
    assert "encounters.csv" in caplog.text  # the hospital can find it
    assert SECRET not in caplog.text


@pytest.mark.parametrize("ask", [hello, train, evaluate])
def test_an_unexpected_error_gives_its_kind_alone(
    hospital: HospitalFolder,
    ask: Callable[[HospitalFolder], HelloReply | TrainReply | EvaluateReply],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def crash(*_: object) -> None:
        raise ZeroDivisionError(f"patient {SECRET} in {hospital.folder}")

    monkeypatch.setattr("client.participant.open_dataset", crash)
    reply = ask(hospital)
    assert reply.outcome == "failed"
    assert reply.reason == "error at the site (ZeroDivisionError); the site's log says more"


def test_only_a_simulation_repeats_itself(hospital: HospitalFolder) -> None:
    def update(simulation_seed: int | None) -> bytes:
        for name in ("ledger.sqlite", "ledger.sqlite.head"):
            (hospital.folder / ".irene" / name).unlink(missing_ok=True)
        reply = train(hospital, simulation_seed=simulation_seed)
        return b"".join(reply.arrays[name].tobytes() for name in sorted(reply.arrays))

    assert update(5) == update(5) != update(6)
    assert update(None) != update(None)
