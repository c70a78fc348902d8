"""Mean updates to new weights, against hand computation and torch's Adam."""

import numpy as np
import pytest
import torch
from safetensors.numpy import load, save

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


def adam_of(grads: list[float], rate: float, start: float = 0.0) -> float:
    """Adam by hand on one number, Kingma & Ba's Algorithm 1, of pseudo-gradients that are given."""
    m = v = 0.0
    weight = start
    for t, change in enumerate(grads, start=1):
        m, v = 0.9 * m + 0.1 * change, 0.999 * v + 0.001 * change**2
        weight += rate * (m / (1 - 0.9**t)) / ((v / (1 - 0.999**t)) ** 0.5 + 1e-8)
    return weight


def test_a_parameter_that_is_trained_late_begins_as_any_other() -> None:
    strategy, weights = FedAdam(), {"a": np.zeros(1, np.float32), "b": np.zeros(1, np.float32)}
    for _ in range(20):
        weights = strategy.apply(weights, {"a": np.float32([1])}, 0.01)
    for change in (2.0, -1.0):
        weights = strategy.apply(weights, {"b": np.float32([change])}, 0.01)
    assert weights["b"][0] == pytest.approx(adam_of([2.0, -1.0], 0.01), rel=1e-5)
    assert weights["a"][0] == pytest.approx(adam_of([1.0] * 20, 0.01), rel=1e-5)


@pytest.mark.parametrize("resumed", [False, True])
def test_a_heads_row_whose_sites_are_absent_stays_and_keeps_its_moments(resumed: bool) -> None:
    """Row 0 is trained in rounds 1, 2, 4; row 1 in rounds 1 and 4. Checkpoints keep the counts."""
    changes = {0: [1.0, 3.0, None, -2.0], 1: [2.0, None, None, 0.5]}
    strategy: FedAdam = FedAdam()
    weights = {
        "head.weight": np.ones((2, 3), np.float32),
        "head.bias": np.ones(2, np.float32),
        "norm.weight": np.ones(3, np.float32),
    }
    for round in range(4):
        rows = np.float32([changes[row][round] or 0.0 for row in (0, 1)])
        mean = {"head.weight": np.repeat(rows[:, None], 3, axis=1), "head.bias": rows}
        mean["norm.weight"] = np.ones(3, np.float32)
        before, weights = weights, strategy.apply(weights, mean, 0.01)
        for row in (0, 1):
            if changes[row][round] is None:
                for name, array in list(weights.items())[:2]:
                    np.testing.assert_array_equal(array[row], before[name][row])
        if resumed:
            taken_up = strategy_for(study("fedadam"), load(save(strategy.state)))
            assert isinstance(taken_up, FedAdam)
            strategy = taken_up
    for row in (0, 1):
        expected = adam_of([each for each in changes[row] if each is not None], 0.01, start=1.0)
        for name in ("head.weight", "head.bias"):
            np.testing.assert_allclose(weights[name][row], expected, rtol=1e-5)
    assert strategy.state["t.head.bias"].tolist() == [3, 2]
    assert int(strategy.state["t.norm.weight"]) == 4
