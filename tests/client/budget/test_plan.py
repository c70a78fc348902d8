"""A round's plan: what the study and a site's public size make of noise, rate and learning rate."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from client.budget.plan import declared_patients, plan_round
from client.records.dataset import SiteDataset
from client.site.site import Site
from irene_model.errors import ProtocolError
from irene_model.exchange.protocol import Flat
from irene_model.exchange.requests import TrainRequest
from irene_model.privacy.accountants import epsilon, epsilons
from irene_model.study.study import Study
from tests.helpers.hospital_folder import SITE, STUDY


def study(**changes: dict[str, Any]) -> Study:
    """The tests' study with keys of its sections replaced."""
    document = {**STUDY, **{key: {**STUDY[key], **change} for key, change in changes.items()}}
    return Study.model_validate(document)


def dataset_of(num_patients: int) -> SiteDataset:
    return SiteDataset(
        study=study(),
        pixels=np.zeros((0, 16, 16), dtype=np.uint8),
        tensors={"labels": torch.zeros(0, 2)},
        patients={"train": (np.array([0]),) * num_patients, "validation": (), "test": ()},
        training_digests=frozenset(),
        assignment="",
    )


@pytest.mark.parametrize(
    ("count", "declared"),
    [(0, 0), (1, 10), (4, 10), (14, 10), (16, 20), (73, 70), (99, 100), (104, 100), (996, 1000),
     (1470, 1500), (12_345, 12_000)],
)  # fmt: skip
def test_the_count_is_declared_rounded(count: int, declared: int) -> None:
    site = Site.model_validate(SITE)
    assert declared_patients(site, dataset_of(count)) == declared
    assert declared_patients(site.model_copy(update={"declared_patients": 37}), dataset_of(9)) == 37


@given(st.integers(1, 10**6))
def test_rounding_hides_the_count_and_stays_near(count: int) -> None:
    counted = replace(dataset_of(0), patients={"train": range(count)})  # type: ignore[dict-item]
    declared = declared_patients(Site.model_validate(SITE), counted)
    assert declared % 10 == 0 and declared >= 10
    assert len(str(declared).rstrip("0")) <= 2
    assert abs(declared - count) <= max(9, 0.05 * count)


@given(st.integers(1, 500), st.integers(1, 5000))
def test_the_rate_is_the_expected_batch_over_the_declared_patients(
    batch: int, declared: int
) -> None:
    asked = study(training={"expected_batch": batch}, privacy={"noise_multiplier": 1.5})
    plan = plan_round(asked, declared, 1)
    assert plan.mechanism.sample_rate == min(1.0, batch / declared)
    assert plan.expected_batch == pytest.approx(min(batch, declared))
    assert plan.declared_patients == declared
    assert plan.mechanism.steps == asked.federation.local_steps
    assert plan.mechanism.noise_multiplier == 1.5  # a multiplier that is given is used as it is


@settings(max_examples=6, deadline=None)
@given(
    target=st.sampled_from([0.5, 2.0, 8.0]),
    declared=st.sampled_from([3, 40, 300, 5000]),
    rounds=st.integers(1, 30),
    steps=st.integers(1, 20),
)
def test_all_rounds_together_spend_the_target_and_no_more(
    target: float, declared: int, rounds: int, steps: int
) -> None:
    asked = study(
        privacy={"epsilon": target, "delta": 1e-5},
        federation={"rounds": rounds, "local_steps": steps},
    )
    first, last = (plan_round(asked, declared, number).mechanism for number in (1, rounds))
    assert first == last  # a round's mechanism can't change
    charged = [[first] * number for number in range(1, rounds + 1)]
    spent = [epsilons(each, delta=1e-5).smallest for each in charged]
    assert 0.99 * target <= spent[-1] <= target
    assert all(each <= target for each in spent)  # no round on the way would be declined
    assert epsilon(charged[-1], delta=1e-5) >= spent[-1]


def test_more_patients_need_less_noise() -> None:
    noises = [plan_round(study(), count, 1).mechanism.noise_multiplier for count in (10, 100, 1000)]
    assert noises == sorted(noises, reverse=True) and noises[0] > 2 * noises[2]


def test_no_noise_means_a_plan_that_is_not_private() -> None:
    assert not plan_round(study(privacy={"noise_multiplier": 0.0}), 100, 1).private
    assert plan_round(study(), 100, 1).private


@pytest.mark.parametrize("field", ["noise_multiplier", "sample_rate", "clip_norm", "epsilon"])
def test_the_server_has_no_word_in_it(field: str) -> None:
    request = TrainRequest.about(study(), run="r", round=1).to_flat()
    assert TrainRequest.from_flat(request).round == 1
    with pytest.raises(ProtocolError, match=f"'{field}': extra_forbidden"):
        TrainRequest.from_flat(Flat(arrays={}, values={**request.values, field: 0.0}))
