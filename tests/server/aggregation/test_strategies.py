"""Mean updates to new weights, against hand computation and torch's Adam."""

import numpy as np
import pytest
import torch

from irene_model.errors import CheckpointError
from irene_model.exchange.protocol import Arrays
from irene_model.study.study import Study
from server.aggregation.strategies import FedAdam, FedAvg, FedYogi, strategy_for
from tests.helpers.hospital_folder import STUDY


def random_arrays(seed: int) -> Arrays:
    rng = np.random.default_rng(seed)
    return {
        "a": rng.standard_normal((3, 2)).astype(np.float32),
        "b": rng.standard_normal(4).astype(np.float32),
    }


def study(strategy: str) -> Study:
    mu = {"proximal_mu": 0.1} if strategy == "fedprox" else {}
    return Study.model_validate(
        {**STUDY, "federation": {**STUDY["federation"], "strategy": strategy, **mu}}
    )


def test_fedavg_adds_the_mean_times_the_rate() -> None:
    new = FedAvg().apply({"a": np.float32([1, 2])}, {"a": np.float32([4, -4])}, 0.5)
    np.testing.assert_array_equal(new["a"], np.float32([3, 0]))
    assert new["a"].dtype == np.float32


def test_fedadam_is_adam_on_the_negative_mean_update() -> None:
    weights, strategy = random_arrays(0), FedAdam()
    parameters = {name: torch.nn.Parameter(torch.tensor(a)) for name, a in weights.items()}
    adam = torch.optim.Adam(parameters.values(), lr=0.01)
    for round in range(1, 6):
        mean = random_arrays(round)
        weights = strategy.apply(weights, mean, 0.01)
        for name, parameter in parameters.items():
            parameter.grad = -torch.tensor(mean[name])
        adam.step()
    for name, parameter in parameters.items():
        np.testing.assert_allclose(weights[name], parameter.detach().numpy(), rtol=1e-5, atol=1e-6)
        assert weights[name].dtype == np.float32


def test_an_array_that_no_site_moved_stays() -> None:
    weights, zero = random_arrays(0), {n: np.zeros_like(a) for n, a in random_arrays(0).items()}
    new = FedAdam().apply(weights, zero, 0.01)
    for name, array in weights.items():
        np.testing.assert_array_equal(new[name], array)


def test_the_state_carries_on_where_it_was_left() -> None:
    straight, weights = FedAdam(), random_arrays(0)
    once = straight.apply(weights, random_arrays(1), 0.01)
    taken_up = strategy_for(study("fedadam"), straight.state)
    expected, resumed = (s.apply(once, random_arrays(2), 0.01) for s in (straight, taken_up))
    for name, array in expected.items():
        np.testing.assert_array_equal(resumed[name], array)


def test_the_study_chooses_and_another_strategys_state_is_refused() -> None:
    assert isinstance(strategy_for(study("fedavg"), {}), FedAvg)
    adam = strategy_for(study("fedadam"), {})
    assert isinstance(adam, FedAdam)
    adam.apply(random_arrays(0), random_arrays(1), 0.01)
    with pytest.raises(CheckpointError, match="another strategy"):
        strategy_for(study("fedavg"), adam.state)


def test_fedyogi_by_hand() -> None:
    """Two steps on one number: Δ = 2, then 1; v is (1-β₂)·4, then (1-β₂)·1 more, as 1 > v."""
    strategy = FedYogi()
    one = strategy.apply({"a": np.float32([0])}, {"a": np.float32([2])}, 0.1)
    np.testing.assert_allclose(one["a"], 0.1, rtol=1e-5)  # m̂ / √v̂ is 1 at the first step
    two = strategy.apply(one, {"a": np.float32([1])}, 0.1)
    first, second = 0.9 * 0.2 + 0.1, 0.004 + 0.001
    move = (first / (1 - 0.9**2)) / np.sqrt(second / (1 - 0.999**2))
    np.testing.assert_allclose(two["a"], one["a"] + 0.1 * move, rtol=1e-5)


@pytest.mark.parametrize("strategy", [FedAdam, FedYogi])
def test_moments_outlive_a_round_in_which_nobody_trained_the_parameter(
    strategy: type[FedAdam],
) -> None:
    weights, kept = random_arrays(0), strategy()
    weights = kept.apply(weights, random_arrays(1), 0.01)
    before = kept.state["m.b"].copy()
    kept.apply(weights, {"a": random_arrays(2)["a"]}, 0.01)
    np.testing.assert_array_equal(kept.state["m.b"], before)


@pytest.mark.parametrize("name", ["fedprox", "median", "trimmed_mean"])
def test_these_move_the_weights_as_fedavg_does(name: str) -> None:
    assert isinstance(strategy_for(study(name), {}), FedAvg)
    assert isinstance(strategy_for(study("fedyogi"), {}), FedYogi)
