"""What a site declines, what fails, and that the reason gives nothing away."""

import logging
import math
import time
from collections.abc import Callable
from typing import Any

import pytest

from client.ledger.ledger import Ledger
from client.participant import Participant
from client.records.dataset import SiteDataset, open_dataset
from irene_model.exchange.replies import EvaluateReply, HelloReply, TrainReply
from irene_model.exchange.requests import HelloRequest, TrainRequest
from irene_model.study.study import Study
from tests.helpers.hospital_folder import HospitalFolder
from tests.helpers.sites.asked_site import charges, evaluate, hello, train, weights_of

SECRET = "Erika-Mustermann-4711"
pytestmark = pytest.mark.usefixtures("small_model")


@pytest.fixture
def no_training(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise AssertionError("a patient was drawn")

    monkeypatch.setattr("client.devices.draws.sample_patients", refuse)


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

    def slowly(participant: Participant, study: Study) -> SiteDataset:
        clock[0] += 7200.0
        return open_dataset(participant.site, study)

    monkeypatch.setattr("irene_model.exchange.requests.time.monotonic", lambda: clock[0])
    monkeypatch.setattr(Participant, "_dataset", slowly)
    reply = train(hospital)
    assert (reply.outcome, reply.code) == ("declined", "stale") and charges(hospital) == 0


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

    monkeypatch.setattr(Participant, "_dataset", crash)
    reply = ask(hospital)
    assert reply.outcome == "failed"
    assert reply.reason == "error at the site (ZeroDivisionError); the site's log says more"
