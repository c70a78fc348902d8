"""A study may have its first weights evaluated on test patients: named, approved and charged."""

import hashlib
import json

import pytest

from client.budget.plan import evaluations_of
from client.consent.consent import Consent
from client.ledger.ledger import Ledger
from irene_model.privacy.accountants import Mechanism, epsilons
from irene_model.privacy.calibration import evaluation_noise
from irene_model.study.study import Study
from tests.client.training.test_named_evaluations import ask, charges, site, study
from tests.helpers.hospital_folder import SMALL, STUDY, HospitalFolder


@pytest.fixture
def rich(hospital: HospitalFolder) -> HospitalFolder:
    hospital.configure("model", SMALL, "study.yaml")
    hospital.configure("federation.rounds", 5, "study.yaml")
    hospital.configure("evaluation", {"noise_multiplier": 1.0, "start": True}, "study.yaml")
    hospital.configure("budget", {"epsilon": 200, "delta": 1.0e-3})
    return hospital


def test_a_study_that_does_not_ask_for_it_keeps_its_fingerprint() -> None:
    plain = study(evaluation={"noise_multiplier": 1.0})
    named = study(evaluation={"noise_multiplier": 1.0, "start": False})
    document = {
        **Study.model_validate(STUDY).model_dump(mode="json"),
        "evaluation": {"epsilon": None, "noise_multiplier": 1.0},
    }
    as_before = json.dumps(document, sort_keys=True, separators=(",", ":"))
    assert plain.fingerprint == named.fingerprint == hashlib.sha256(as_before.encode()).hexdigest()
    asking = study(evaluation={"noise_multiplier": 1.0, "start": True})
    assert asking.fingerprint != plain.fingerprint
    assert Study.from_canonical(asking.canonical) == asking


def test_the_start_is_evaluated_once_before_and_the_end_once_after(rich: HospitalFolder) -> None:
    asked = [ask(rich, "test", round).outcome for round in (0, 0, 4, 5, 4, 0)]
    assert asked == ["evaluated"] * 3 + ["declined"] + ["evaluated"] * 2
    assert charges(rich) == [("test", 0), ("test", 4)]
    assert ask(rich, "validation", 0).outcome == "declined"
    ledger = Ledger.of(rich.site)
    one = Mechanism(noise_multiplier=1.0, sample_rate=1.0, steps=1)
    assert ledger.epsilon(delta=1e-3, run="r") == epsilons([one] * 2, delta=1e-3).smallest


def test_a_study_that_does_not_name_it_declines_it(rich: HospitalFolder) -> None:
    rich.configure("evaluation", {"noise_multiplier": 1.0}, "study.yaml")
    reply = ask(rich, "test", 0)
    assert (reply.outcome, charges(rich)) == ("declined", [])
    assert reply.reason == "the study evaluates no test patients after round 0"


def test_exact_counts_of_the_start_are_known_from_the_journal(rich: HospitalFolder) -> None:
    rich.configure("evaluation", {"noise_multiplier": 0.0, "start": True}, "study.yaml")
    rich.configure("metrics", "exact")
    Consent.of(rich.site).approve(rich.study)
    replies = [ask(rich, "test", round, node=True).outcome for round in (0, 5, 0, 3)]
    assert replies == ["evaluated", "evaluated", "evaluated", "declined"]


def test_both_evaluations_of_test_patients_share_the_epsilon() -> None:
    asked = study(evaluation={"epsilon": 2.0, "start": True})
    once = study(evaluation={"epsilon": 2.0})
    assert evaluation_noise(asked, "test") > evaluation_noise(once, "test")
    mechanism = evaluations_of(site(), asked)["test"].mechanism
    assert mechanism.steps == 2
    assert epsilons([mechanism], delta=1e-3).smallest <= 2.0
