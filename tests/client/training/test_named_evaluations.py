"""A site answers the evaluations that the study names, once each, and within its limits."""

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from client.budget.plan import evaluations_of, permitted_evaluation, permitted_plan
from client.consent.consent import Consent
from client.ledger.ledger import Ledger
from client.participant import Participant
from client.site.limits import Limits
from client.site.site import Site
from irene_model.errors import LimitExceeded, MetricsWithheld, ProtocolError
from irene_model.exchange.replies import EvaluateReply
from irene_model.exchange.requests import EvaluateRequest, HelloRequest, TrainRequest
from irene_model.privacy.accountants import epsilons
from irene_model.study.federation import Federation
from irene_model.study.records import HeldOut
from irene_model.study.study import Study
from irene_model.weights.weights import new_model, to_arrays
from tests.helpers.hospital_folder import SITE, SMALL, STUDY, HospitalFolder

WIDE = {"epsilon": 200, "delta": 1.0e-3}


def study(**changes: Any) -> Study:
    sections = {k: {**STUDY.get(k, {}), **v} for k, v in changes.items()}
    return Study.model_validate({**STUDY, **sections})


def site(**changes: Any) -> Site:
    return Site.model_validate({**SITE, **changes})


def ask(
    hospital: HospitalFolder, split: HeldOut, round: int, *, node: bool = False, run: str = "r"
) -> EvaluateReply:
    asked = hospital.study
    arrays = to_arrays(new_model(asked, seed=1))
    request = EvaluateRequest.about(asked, run=run, round=round, split=split, arrays=arrays)
    at = Participant.of_node if node else Participant.at
    return at(hospital.site_file).evaluate(request)


@given(st.integers(1, 40), st.integers(1, 40))
def test_a_study_counts_the_evaluations_that_it_names(rounds: int, every: int) -> None:
    asked = study(federation={"rounds": rounds, "evaluate_every": every})
    named = [r for r in range(-2, rounds + 50) if asked.federation.named("validation", r)]
    assert len(named) == asked.evaluations("validation")
    assert named[-1] == rounds and all(map(asked.federation.evaluated, named))
    tested = [r for r in range(-2, rounds + 50) if asked.federation.named("test", r)]
    assert tested == list(range(1, rounds + 1))  # a run may end early


def test_an_endless_study_is_counted_at_once() -> None:
    endless = Federation(rounds=10**6, local_steps=1, evaluate_every=7)
    assert study(federation=endless.model_dump()).evaluations("validation") == -(-(10**6) // 7)


@pytest.fixture
def rich(hospital: HospitalFolder) -> HospitalFolder:
    hospital.configure("model", SMALL, "study.yaml")
    hospital.configure("federation.rounds", 5, "study.yaml")
    hospital.configure("federation.evaluate_every", 2, "study.yaml")
    hospital.configure("evaluation", {"noise_multiplier": 1.0}, "study.yaml")
    hospital.configure("budget", WIDE)
    return hospital


def charges(hospital: HospitalFolder) -> list[tuple[str, int]]:
    return [(r.split, r.round) for r in Ledger.of(hospital.site).reservations()]


def test_what_the_study_does_not_name_is_declined_and_not_charged(rich: HospitalFolder) -> None:
    outcomes = {
        (split, round): ask(rich, split, round)
        for split, round in [
            ("validation", 2), ("validation", 3), ("validation", 4), ("validation", 5),
            ("validation", 6), ("validation", 0), ("validation", 10**6), ("test", 0), ("test", 6),
            ("test", 4), ("test", 5),
        ]
    }  # fmt: skip
    answered = [key for key, reply in outcomes.items() if reply.outcome == "evaluated"]
    assert answered == [("validation", 2), ("validation", 4), ("validation", 5), ("test", 4)]
    assert charges(rich) == answered
    declined = outcomes["validation", 3]
    assert (declined.outcome, declined.code, declined.arrays) == ("declined", "message", {})
    assert declined.reason == "the study evaluates no validation patients after round 3"
    assert "after round 4, and a study does so once" in outcomes["test", 5].reason


def test_a_repeated_evaluation_is_the_same_bytes_and_charged_once(rich: HospitalFolder) -> None:
    for split in ("validation", "test"):
        first, again = ask(rich, split, 2), ask(rich, split, 2)
        np.testing.assert_array_equal(first.arrays["histograms"], again.arrays["histograms"])
        assert first.epsilon_total == again.epsilon_total
    assert charges(rich) == [("validation", 2), ("test", 2)]
    assert ask(rich, "test", 3, run="another").outcome == "evaluated"  # a run of its own


def test_exact_counts_are_tested_once_too(rich: HospitalFolder) -> None:
    """They are charged to no ledger; a node's journal knows them."""
    rich.configure("evaluation", {"noise_multiplier": 0.0}, "study.yaml")
    rich.configure("metrics", "exact")
    Consent.of(rich.site).approve(rich.study)
    assert [ask(rich, "test", r, node=True).outcome for r in (3, 3, 5, 3)] == [
        "evaluated", "evaluated", "declined", "evaluated",
    ]  # fmt: skip
    assert ask(rich, "validation", 2, node=True).outcome == "evaluated"
    assert ask(rich, "validation", 3, node=True).outcome == "declined"


def test_the_largest_epsilon_is_of_evaluations_too() -> None:
    asked = study(privacy={"epsilon": 1.0}, evaluation={"noise_multiplier": 0.5})
    delta = SITE["budget"]["delta"]
    costs = {
        split: epsilons([noise.mechanism], delta=delta).smallest
        for split, noise in evaluations_of(site(), asked).items()
    }
    assert costs["validation"] > costs["test"] > 2  # two evaluations and one
    between = (costs["validation"] + costs["test"]) / 2
    limited = site(limits={"largest_epsilon": between})
    for judge in (
        lambda: permitted_plan(limited, asked, 100, 1),
        lambda: permitted_evaluation(limited, asked, "validation", 1),
    ):
        with pytest.raises(LimitExceeded, match="an epsilon of validation patients of"):
            judge()
    assert permitted_evaluation(limited, asked, "test", 1).share == 0.5
    enough = site(limits={"largest_epsilon": costs["validation"] + 0.01})
    permitted_plan(enough, asked, 100, 1)
    assert permitted_evaluation(enough, asked, "validation", 2).share == 0.5
    silent = site(limits={"largest_epsilon": between}, metrics="off")  # it charges none
    permitted_plan(silent, asked, 100, 1)
    with pytest.raises(MetricsWithheld):
        permitted_evaluation(silent, asked, "test", 1)


def test_the_least_noise_is_of_evaluations_too() -> None:
    asked = study(privacy={"epsilon": 1.0}, evaluation={"noise_multiplier": 0.5})
    limited = site(limits={"smallest_noise_multiplier": 0.51})
    permitted_plan(limited, asked, 100, 1)  # training has more
    with pytest.raises(LimitExceeded, match=r"noise multiplier of test patients of 0\.5"):
        permitted_evaluation(limited, asked, "test", 1)


def test_an_evaluation_beyond_the_limits_is_declined_before_a_file_is_opened(
    rich: HospitalFolder,
) -> None:
    rich.configure("limits", {"largest_epsilon": 0.5})
    (rich.folder / "encounters.csv").unlink()
    for reply in (ask(rich, "validation", 2), ask(rich, "test", 2)):
        assert (reply.outcome, reply.code) == ("declined", "limits")
    assert not (rich.folder / ".irene").exists()


@pytest.mark.parametrize("limit", ["most_parameters", "most_tokens"])
def test_a_model_beyond_the_limits_is_declined_before_it_is_built(
    rich: HospitalFolder, monkeypatch: pytest.MonkeyPatch, limit: str
) -> None:
    asked = rich.study
    arrays = to_arrays(new_model(asked, seed=1))
    for module in ("irene_model.weights.loans", "client.training.evaluation"):
        monkeypatch.setattr(f"{module}.new_model", lambda *_, **__: 1 / 0)
    rich.configure("limits", {limit: 10})
    node = Participant.at(rich.site_file)
    replies = (
        node.hello(HelloRequest.about(asked, run="r")),
        node.train(TrainRequest.about(asked, run="r", round=1, arrays=arrays)),
        node.evaluate(EvaluateRequest.about(asked, run="r", round=2, split="test", arrays=arrays)),
    )
    for reply in replies:
        assert (reply.outcome, reply.code) == ("declined", "limits")
        assert f"(limits.{limit} in site.yaml)" in reply.reason
    assert Limits().most_parameters and Limits().most_tokens


def test_a_study_without_such_a_round_is_a_wrong_message() -> None:
    with pytest.raises(ProtocolError, match="no test patients after round 3"):
        permitted_evaluation(site(), study(), "test", 3)
