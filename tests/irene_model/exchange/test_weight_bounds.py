"""What a message's weights may hold: honest runs never reach it, hostile weights are refused."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from client.ledger.ledger import Ledger
from client.participant import Participant
from irene_model.errors import CheckpointError, ConfigError, ProtocolError
from irene_model.exchange.protocol import Arrays
from irene_model.exchange.replies import TrainReply
from irene_model.exchange.requests import TrainRequest
from irene_model.exchange.weight_bounds import (
    _ADAM,
    LARGEST_FIRST,
    _noise_multiplier,
    check_moves,
    check_weights,
    largest_move,
    largest_weight,
)
from irene_model.privacy.calibration import noise_multiplier_for
from irene_model.study.settings import parse
from irene_model.study.study import Study
from irene_model.weights.starting import StartingPoint
from irene_model.weights.weights import new_model, to_arrays
from server.aggregation.strategies import FedAdam, FedYogi
from simulations.hospitals.scenario import Scenario
from tests.helpers.hospital_folder import SMALL, STUDY, HospitalFolder
from tests.helpers.sites.asked_site import train

SCENARIOS = [*Path("simulations/scenarios").glob("*.yaml"), Path("docs/hannover/scenario.yaml")]
Gradients = Callable[[int], float]
# Adam's ratio is largest where gradients grow by β₂/β₁ a step, Yogi's a little beside.
COURSES: list[Gradients] = [
    lambda t: 1.0,
    lambda t: 1.11**t,
    lambda t: 1.06**t,
    lambda t: (0.999 / 0.9) ** min(t, 60),
    lambda t: 1e-12 if t < 300 else 1.0,
    lambda t: float(t % 7 == 0),
    lambda t: (-1.0) ** t * 1.02**t,
]


def study_of(**changes: Any) -> Study:
    return Study.model_validate({**STUDY, "model": SMALL, **changes})


@pytest.mark.parametrize("strategy", [FedAdam, FedYogi])
@pytest.mark.parametrize("course", COURSES)
def test_no_step_of_an_adaptive_server_is_larger(
    strategy: type[FedAdam], course: Gradients
) -> None:
    server, weights = strategy(), {"w": np.zeros(1)}
    for step in range(400):
        moved = server.apply(weights, {"w": np.array([course(step)])}, 1.0)
        assert abs(float(moved["w"][0] - weights["w"][0])) <= _ADAM
        weights = moved


@pytest.mark.parametrize("course", COURSES)
def test_no_step_of_adamw_is_larger(course: Gradients) -> None:
    weight = torch.nn.Parameter(torch.zeros(1, dtype=torch.float64))
    optimizer = torch.optim.AdamW([weight], lr=1.0, weight_decay=0.0)
    for step in range(400):
        before = weight.item()
        weight.grad = torch.full_like(weight, course(step))
        optimizer.step()
        assert abs(weight.item() - before) <= _ADAM


@pytest.mark.parametrize("epsilon", [0.5, 2.0, 8.0, 50.0])
@pytest.mark.parametrize("steps", [1, 72])
def test_no_site_finds_more_noise(epsilon: float, steps: int) -> None:
    study = study_of(
        privacy={"epsilon": epsilon, "delta": 1e-5},
        federation={"rounds": steps, "local_steps": 1},
    )
    for rate in (1.0, 0.3):
        found = noise_multiplier_for(epsilon, delta=1e-5, sample_rate=rate, steps=steps)
        assert found <= _noise_multiplier(study)


@pytest.mark.parametrize("scenario", SCENARIOS, ids=lambda path: path.stem)
def test_first_weights_are_far_within(scenario: Path) -> None:
    study = Scenario.read(scenario).study
    weights = to_arrays(new_model(study, seed=0))
    check_weights(weights, weights, study)
    assert max(float(np.abs(array).max()) for array in weights.values()) < LARGEST_FIRST / 50


@pytest.mark.parametrize(
    "training",
    [
        {"optimizer": "sgd", "learning_rate": 1.0},
        {"optimizer": "adamw", "learning_rate": 0.1, "weight_decay": 0.1},
    ],
)
@pytest.mark.parametrize(
    "strategy",
    [
        {"strategy": "fedavg"},
        {"strategy": "fedprox", "proximal_mu": 0.1},
        {"strategy": "fedadam", "server_learning_rate": 0.01},
        {"strategy": "median"},
    ],
)
def test_an_honest_update_and_what_comes_of_it_pass(
    hospital: HospitalFolder, training: dict[str, Any], strategy: dict[str, Any]
) -> None:
    hospital.configure("model", SMALL, "study.yaml")
    hospital.configure("training", {"expected_batch": 4, **training}, "study.yaml")
    federation = {**STUDY["federation"], **strategy}
    hospital.configure("federation", federation, "study.yaml")
    study = hospital.study
    reply = train(hospital)
    assert (reply.outcome, reply.reason) == ("updated", "")
    check_moves(reply.arrays, study)
    largest = max(float(np.abs(array).max()) for array in reply.arrays.values())
    assert 0 < largest < largest_move(study) / 2
    first = to_arrays(new_model(study, seed=1))
    check_weights({name: first[name] + move for name, move in reply.arrays.items()}, first, study)


def test_without_noise_plain_steps_have_no_bound() -> None:
    free = study_of(training={"optimizer": "sgd"}, privacy={"noise_multiplier": 0})
    assert largest_weight(free) == float("inf")
    adaptive = {"rounds": 9, "local_steps": 1, "strategy": "fedadam", "server_learning_rate": 0.1}
    held = study_of(
        training={"optimizer": "sgd"}, privacy={"noise_multiplier": 0}, federation=adaptive
    )
    assert largest_weight(held) < 1.02 * (LARGEST_FIRST + 9 * 0.1 * 32)


def hostile(study: Study) -> Arrays:
    weights = to_arrays(new_model(study, seed=1))
    weights["encoder.norm.bias"][0] = -3e5
    return weights


def test_hostile_weights_are_declined_before_anything_is_charged(hospital: HospitalFolder) -> None:
    hospital.configure("model", SMALL, "study.yaml")
    reply = ask(hospital, hostile(hospital.study))
    assert (reply.outcome, reply.code, reply.rounds_charged) == ("declined", "message", 0)
    assert reply.reason == (
        "the message's array 'encoder.norm.bias' holds a weight beyond 1044.54, the most that 2"
        " rounds of this study can make of first weights up to 1024; these are not its weights"
    )
    assert not hospital.site.resolve(hospital.site.ledger).exists() or not (
        Ledger.of(hospital.site).reservations()
    )
    assert ask(hospital, to_arrays(new_model(hospital.study, seed=1))).outcome == "updated"


def ask(hospital: HospitalFolder, weights: Arrays) -> TrainReply:
    request = TrainRequest.about(hospital.study, run="r", round=1, arrays=weights)
    return Participant.at(hospital.site_file).train(request)


def test_one_site_cannot_lift_a_weight_beyond_what_the_others_accept() -> None:
    """A norm that is within bounds may all lie in one weight."""
    study = study_of()
    with pytest.raises(ProtocolError, match="'a' moves a weight by more than"):
        check_moves({"a": np.array([0.0, 1.0], np.float32)}, study)
    moved = study.federation.rounds * largest_move(study)
    assert LARGEST_FIRST + moved <= largest_weight(study) * 1.02


def test_a_start_that_hospitals_would_refuse_is_refused_at_the_coordinator(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def huge(study: Study, *, seed: int) -> Any:
        model = new_model(study, seed=seed)
        torch.nn.init.constant_(model.head.bias, 2 * LARGEST_FIRST)
        return model

    monkeypatch.setattr("irene_model.weights.starting.new_model", huge)
    with pytest.raises(
        CheckpointError, match=r"first weights of 'head\.bias' hold a number beyond"
    ):
        StartingPoint().model(study_of(), seed=0)


@pytest.mark.parametrize("value", [0, -1.0, 1e-7, 1e7])
def test_a_clip_norm_that_float32_does_not_hold_is_refused(value: float) -> None:
    document = {**STUDY, "privacy": {"epsilon": 8, "clip_norm": value}}
    with pytest.raises(
        ConfigError, match=r"privacy.clip_norm: must be from 1e-06 to 1e\+06: beyond"
    ):
        parse(Study, document, "study.yaml")
