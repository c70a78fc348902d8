"""What a round draws: from the operating system, or by a simulation's seed, and never twice."""

import random
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from client.budget.plan import plan_round
from client.ledger.ledger import Ledger
from client.private.noise import KeystreamNoise
from client.private.randomness import Randomness
from client.records.dataset import SiteDataset, sample_patients
from client.site.site import Budget
from tests.helpers.sites.trained_round import flat, reproducible, update_of, without_noise


def test_the_noise_of_an_update_has_the_size_of_the_plan(
    dataset: SiteDataset, tmp_path: Path
) -> None:
    training = dataset.study.training.model_copy(update={"optimizer": "sgd"})
    dataset = replace(dataset, study=dataset.study.model_copy(update={"training": training}))
    plan = plan_round(dataset.study, 10, 1)
    plan = replace(plan, mechanism=replace(plan.mechanism, noise_multiplier=3.0, steps=1))
    update = flat(update_of(dataset, Ledger(tmp_path / "free.sqlite", None), plan=plan))
    # Ten clipped gradients are nothing beside noise in thousands of directions.
    deviation = plan.learning_rate * 3.0 * plan.clip_norm / plan.expected_batch
    assert update.std() == pytest.approx(deviation, rel=0.05)


def test_real_randomness_heeds_no_seed(
    dataset: SiteDataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two rounds after the same global seeds: other patients, other noise, other update."""
    updates, drawn, noises = [], [], []

    def spy_on_sampling(*args: Any, **kwargs: Any) -> Any:
        drawn.append(kwargs["rng"].bit_generator.state["state"])
        return sample_patients(*args, **kwargs)

    def spy_on_noise(source: KeystreamNoise, size: tuple[int, ...]) -> Any:
        noises.append(draw(source, size))
        return noises[-1]

    draw = KeystreamNoise.standard_normal
    monkeypatch.setattr("client.devices.draws.sample_patients", spy_on_sampling)
    monkeypatch.setattr(KeystreamNoise, "standard_normal", spy_on_noise)
    for name in ("a", "b"):
        torch.manual_seed(1)
        np.random.seed(1)
        random.seed(1)
        updates.append(
            flat(update_of(dataset, Ledger(tmp_path / name, Budget(epsilon=8, delta=1e-3))))
        )
    assert np.mean(updates[0] != updates[1]) > 0.95
    # Two steps a round: each has a state of its own, and no state is met again in the other round.
    assert len({str(state) for state in drawn}) == 4
    first, second = noises[: len(noises) // 2], noises[len(noises) // 2 :]
    assert first and len(first) == len(second)
    one, two = (np.concatenate([n.ravel() for n in part]) for part in (first, second))
    assert np.mean(one != two) > 0.95  # all together: of a small part, chance may meet a few


@pytest.mark.parametrize("dropout", [0.0, 0.5])
def test_a_simulation_is_reproducible_and_leaves_the_global_state_alone(
    dataset: SiteDataset, tmp_path: Path, dropout: float
) -> None:
    model = dataset.study.model.model_copy(update={"hidden_dropout_prob": dropout})
    dataset = replace(dataset, study=dataset.study.model_copy(update={"model": model}))
    updates = []
    for seed in (1, 2):
        torch.manual_seed(seed)
        before = torch.random.get_rng_state()
        ledger = Ledger(tmp_path / f"{seed}.sqlite", None)
        updates.append(
            flat(update_of(dataset, ledger, plan=without_noise(dataset), randomness=reproducible()))
        )
        assert torch.equal(torch.random.get_rng_state(), before)
    np.testing.assert_array_equal(updates[0], updates[1])
    other = update_of(
        dataset,
        Ledger(tmp_path / "other.sqlite", None),
        plan=without_noise(dataset),
        randomness=replace(reproducible(), dropout=np.random.default_rng(9)),
    )
    assert np.array_equal(flat(other), updates[0]) == (dropout == 0)


def test_streams_are_never_the_same() -> None:
    kinds: list[Callable[[], Randomness]] = [
        Randomness.of_the_operating_system,
        Randomness.of_the_operating_system,
        reproducible,
        lambda: reproducible(seed=1),
        lambda: reproducible(site="south"),
        lambda: reproducible(round=2),
        lambda: reproducible(seed=1, round=0),
    ]
    drawn = []
    for make in kinds:
        randomness = make()
        streams = (randomness.sampling, randomness.noise, randomness.dropout)
        drawn += [tuple(stream.standard_normal((2,))) for stream in streams]
    assert len(set(drawn)) == len(drawn)
