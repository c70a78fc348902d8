import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from irene_model.errors import ProtocolError
from server.aggregation import WeightedMean, norm
from server.strategies import FedAvg

LIKE = {"a": np.zeros((2, 2), np.float32), "b": np.zeros(1, np.float32)}


def update(a: float, b: float) -> dict[str, np.ndarray]:
    return {"a": np.full((2, 2), a, np.float32), "b": np.full(1, b, np.float32)}


def test_fedavg_by_hand() -> None:
    mean = WeightedMean(LIKE)
    mean.add(update(1.0, -2.0), 300)
    mean.add(update(5.0, 2.0), 100)
    new = FedAvg().apply({k: v + 10 for k, v in LIKE.items()}, mean.mean(), rate=1.0)
    np.testing.assert_allclose(new["a"], 12.0)  # 10 + (300·1 + 100·5) / 400
    np.testing.assert_allclose(new["b"], 9.0)  # 10 + (300·-2 + 100·2) / 400
    assert new["a"].dtype == np.float32


@pytest.mark.parametrize("weight", [0.0, -1.0, np.nan, np.inf])
def test_an_odd_weight_is_refused(weight: float) -> None:
    with pytest.raises(ProtocolError, match="weight"):
        WeightedMean(LIKE).add(update(1, 1), weight)


def test_a_refused_update_leaves_the_sums_untouched() -> None:
    mean = WeightedMean(LIKE)
    mean.add(update(1.0, 1.0), 2)
    bad = update(7.0, np.nan)
    with pytest.raises(ProtocolError):
        mean.add(bad, 5)
    assert mean.count == 1
    np.testing.assert_allclose(mean.mean()["a"], 1.0)


@given(st.lists(st.tuples(st.floats(-10, 10), st.floats(0.1, 1e4)), min_size=1, max_size=8))
def test_the_mean_lies_between_and_ignores_the_weights_scale(
    sites: list[tuple[float, float]],
) -> None:
    one, scaled = WeightedMean(LIKE), WeightedMean(LIKE)
    for value, weight in sites:
        one.add(update(value, value), weight)
        scaled.add(update(value, value), weight * 8)
    result = float(one.mean()["b"][0])
    values = [np.float32(value) for value, _ in sites]
    assert min(values) - 1e-5 <= result <= max(values) + 1e-5
    assert result == pytest.approx(float(scaled.mean()["b"][0]), rel=1e-6, abs=1e-6)


def test_norm_by_hand() -> None:
    assert norm(update(1.0, 2.0)) == pytest.approx(8**0.5)
