"""No honest update is beyond its bound, and one that is scaled up is."""

from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from client.budget.plan import plan_round
from client.private.randomness import Randomness
from client.records.dataset import open_dataset
from client.training.training import local_update
from irene_model.study.study import Study
from irene_model.weights.weights import new_model
from server.aggregation.bounds import from_experience, largest_norm
from server.aggregation.tally import norm
from tests.helpers.hospital_folder import SMALL, STUDY, HospitalFolder


def bound(study: Study, size: int, *, noise: float, weights_norm: float = 0.0) -> float | None:
    return largest_norm(
        study, 1, parameters=size, weights_norm=weights_norm, noise_multiplier=noise,
        expected_batch=4.0,
    )  # fmt: skip


@pytest.mark.parametrize("optimizer", ["sgd", "adamw"])
@pytest.mark.parametrize("mu", [0.0, 0.5])
@pytest.mark.parametrize("noise", [0.5, 20.0])
def test_a_real_update_is_within_its_bound_and_not_far_below(
    hospital: HospitalFolder, optimizer: str, mu: float, noise: float
) -> None:
    hospital.configure("model", SMALL, "study.yaml")
    hospital.configure("training", {"expected_batch": 4, "optimizer": optimizer}, "study.yaml")
    strategy = {"strategy": "fedprox", "proximal_mu": mu} if mu else {}
    hospital.configure(
        "federation", {"rounds": 2, "local_steps": 3, "minimum_sites": 1, **strategy}, "study.yaml"
    )
    hospital.configure("privacy", {"noise_multiplier": noise, "delta": 1e-3}, "study.yaml")
    study = hospital.study
    update = local_update(
        new_model(study, seed=1),
        dataset=open_dataset(hospital.site, study),
        plan=plan_round(study, 10, 1),
        randomness=Randomness.reproducible(seed=1, site="north", round=1),
        device=torch.device("cpu"),
    )
    size, most = norm(update), bound(study, sum(a.size for a in update.values()), noise=noise)
    assert most is not None and size <= most
    assert most <= 4 * size or (optimizer == "sgd" and noise < 1)  # few patients, many allowed


@given(st.lists(st.floats(-1e3, 1e3), min_size=4, max_size=4), st.floats(0, 0.5))
def test_adamws_bound_holds_whatever_the_gradients_are(grads: list[float], decay: float) -> None:
    study = Study.model_validate(
        {
            **STUDY,
            "training": {"weight_decay": decay, "warmup_rounds": 0, "learning_rate": 0.01},
            "federation": {"rounds": 2, "local_steps": 4},
            "privacy": {"noise_multiplier": 0.0},
        }
    )
    weight = torch.nn.Parameter(torch.tensor([2.0]))
    adam = torch.optim.AdamW([weight], lr=0.01, weight_decay=decay)
    for grad in grads:
        weight.grad = torch.tensor([grad])
        adam.step()
    most = bound(study, 1, noise=0.0, weights_norm=2.0)
    assert most is not None and abs(weight.item() - 2.0) <= most


def test_sgd_without_noise_has_the_runs_experience_alone() -> None:
    study = Study.model_validate(
        {**STUDY, "training": {"optimizer": "sgd"}, "privacy": {"noise_multiplier": 0.0}}
    )
    assert bound(study, 10, noise=0.0) is None
    assert from_experience([1.0, 2.0]) is None
    assert from_experience([1.0, 2.0, 30.0]) == pytest.approx(20.0)


def test_the_noises_part_is_its_expected_norm() -> None:
    """Of many parameters the noise is nearly all: √d σ C √s η / b."""
    study: dict[str, Any] = {
        **STUDY,
        "training": {"optimizer": "sgd", "warmup_rounds": 0, "learning_rate": 1.0},
        "privacy": {"noise_multiplier": 5.0},
    }
    most = bound(Study.model_validate(study), 10**8, noise=5.0)
    assert most == pytest.approx(1e4 * 5.0 * np.sqrt(2) / 4.0, rel=0.03)
