"""Updates to their mean, median and trimmed mean, by hand and against numpy over all at once."""

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from irene_model.exchange.protocol import Arrays
from irene_model.study.study import Study
from server.aggregation import tally as aggregation
from server.aggregation.strategies import FedAvg
from server.aggregation.tally import (
    Contribution,
    CoordinateWise,
    WeightedMean,
    median,
    norm,
    tally_for,
    trimmed_mean,
)
from tests.helpers.hospital_folder import STUDY

LIKE = {"a": np.zeros((2, 2), np.float32), "b": np.zeros(1, np.float32)}
BOTH = np.array([True, True])


def update(a: float, b: float) -> Arrays:
    return {"a": np.full((2, 2), a, np.float32), "b": np.full(1, b, np.float32)}


def of(site: str, arrays: Arrays, weight: float, labels: list[bool] | None = None) -> Contribution:
    return Contribution(
        site=site, arrays=arrays, labels=np.array(labels or [True, True]), weight=weight
    )


def test_fedavg_by_hand() -> None:
    mean = WeightedMean(LIKE)
    mean.add(of("north", update(1.0, -2.0), 300))
    mean.add(of("south", update(5.0, 2.0), 100))
    new = FedAvg().apply({k: v + 10 for k, v in LIKE.items()}, mean.result(), rate=1.0)
    np.testing.assert_allclose(new["a"], 12.0)  # 10 + (300·1 + 100·5) / 400
    np.testing.assert_allclose(new["b"], 9.0)  # 10 + (300·-2 + 100·2) / 400
    assert new["a"].dtype == np.float32


@given(st.lists(st.tuples(st.floats(-10, 10), st.floats(0.1, 1e4)), min_size=1, max_size=8))
def test_the_mean_lies_between_and_ignores_the_weights_scale(
    sites: list[tuple[float, float]],
) -> None:
    one, scaled = WeightedMean(LIKE), WeightedMean(LIKE)
    for value, weight in sites:
        one.add(of("s", update(value, value), weight))
        scaled.add(of("s", update(value, value), weight * 8))
    result = float(one.result()["b"][0])
    values = [np.float32(value) for value, _ in sites]
    assert min(values) - 1e-5 <= result <= max(values) + 1e-5
    assert result == pytest.approx(float(scaled.result()["b"][0]), rel=1e-6, abs=1e-6)


def test_who_does_not_train_a_parameter_does_not_dilute_it() -> None:
    mean = WeightedMean(LIKE)
    mean.add(of("north", update(1.0, 3.0), 100))
    mean.add(of("south", {"a": np.full((2, 2), 5.0, np.float32)}, 300))
    result = mean.result()
    np.testing.assert_allclose(result["a"], 4.0)  # (100·1 + 300·5) / 400
    np.testing.assert_allclose(result["b"], 3.0)  # north alone


def test_plain_averaging_counts_who_does_not_train() -> None:
    mean = WeightedMean({**LIKE, **HEAD}, over_sites=True)
    head = {"head.weight": np.ones((2, 3), np.float32), "head.bias": np.ones(2, np.float32)}
    mean.add(of("north", {**update(1.0, 4.0), **head}, 100))
    silent = {"head.weight": head["head.weight"] * [[1], [0]], "head.bias": np.float32([1, 0])}
    mean.add(of("south", {"a": np.full((2, 2), 5.0, np.float32), **silent}, 300, [True, False]))
    result = mean.result()
    np.testing.assert_allclose(result["a"], 4.0)  # (100·1 + 300·5) / 400
    np.testing.assert_allclose(result["b"], 1.0)  # (100·4 + 300·0) / 400
    np.testing.assert_allclose(result["head.weight"], [[1.0] * 3, [0.25] * 3])
    np.testing.assert_allclose(result["head.bias"], [1.0, 0.25])


def test_what_nobody_trains_is_not_in_the_result() -> None:
    mean = WeightedMean(LIKE)
    mean.add(of("north", {"a": LIKE["a"]}, 100))
    assert list(mean.result()) == ["a"]


HEAD = {"head.weight": np.zeros((2, 3), np.float32), "head.bias": np.zeros(2, np.float32)}


def head(value: float) -> Arrays:
    return {name: np.full_like(array, value) for name, array in HEAD.items()}


@pytest.mark.parametrize("robust", [False, True])
def test_a_site_without_a_label_does_not_move_its_row(robust: bool, tmp_path: Path) -> None:
    tally = CoordinateWise(tmp_path / "u", median) if robust else WeightedMean(HEAD)
    tally.add(of("north", head(2.0), 100, [True, False]))
    tally.add(of("south", head(6.0), 100, [True, False]))
    result = tally.result()
    for array in result.values():
        np.testing.assert_allclose(array[0], 4.0)
        np.testing.assert_array_equal(array[1], 0.0)  # nobody has it
    again = CoordinateWise(tmp_path / "u", median) if robust else WeightedMean(HEAD)
    again.add(of("north", head(2.0), 100, [True, False]))
    again.add(of("south", head(6.0), 100, [True, True]))
    for array in again.result().values():
        np.testing.assert_allclose(array[1], 6.0)  # south alone


def test_a_late_update_counts_in_the_mean_and_not_among_the_rounds_sites() -> None:
    mean = WeightedMean(LIKE)
    mean.add(of("east", update(9.0, 9.0), 50), late=True)
    mean.add(of("north", update(3.0, 3.0), 100))
    assert mean.sites == {"north"}
    np.testing.assert_allclose(mean.result()["b"], 5.0)


def random_updates(count: int) -> list[Arrays]:
    rng = np.random.default_rng(0)
    shapes = {"embedding": (7, 5), "bias": (6,), "deep": (4, 2, 3)}
    return [
        {name: rng.standard_normal(shape).astype(np.float32) for name, shape in shapes.items()}
        for _ in range(count)
    ]


@pytest.mark.parametrize("strategy", ["median", "trimmed_mean"])
def test_robust_middles_are_numpys_and_scipys_whatever_the_blocks(
    strategy: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    federation = {**STUDY["federation"], "strategy": strategy, "trim_fraction": 0.25}
    study = Study.model_validate({**STUDY, "federation": federation})
    monkeypatch.setattr(aggregation, "_VALUES_AT_ONCE", 20)  # many blocks, some of them partial
    updates = random_updates(9)
    tally = tally_for(study, updates[0], tmp_path / "updates")
    for number, arrays in enumerate(updates):
        tally.add(of(f"site{number}", arrays, 1.0 + number))
    result = tally.result()
    for name, array in result.items():
        stacked = np.stack([each[name] for each in updates])
        expected = (
            np.median(stacked, axis=0)
            if strategy == "median"
            else stats.trim_mean(stacked, 0.25, axis=0)
        )
        np.testing.assert_allclose(array, expected, rtol=1e-5, atol=1e-7)
    assert not (tmp_path / "updates").exists()


@pytest.mark.parametrize("middle", [median, lambda v: trimmed_mean(v, 0.3)])
def test_one_site_alone_moves_a_robust_middle_only_so_far(middle: object, tmp_path: Path) -> None:
    tally = CoordinateWise(tmp_path / "updates", middle)  # type: ignore[arg-type]
    for site, value in (("east", 1.0), ("north", 2.0), ("south", 3.0), ("west", 1e6)):
        tally.add(of(site, update(value, value), 1e9 if site == "west" else 1.0))
    assert 1.0 <= float(tally.result()["b"][0]) <= 3.0


def test_norm_by_hand() -> None:
    assert norm(update(1.0, 2.0)) == pytest.approx(8**0.5)


@pytest.mark.parametrize("late", [False, True])
@given(
    st.lists(st.tuples(st.floats(1, 1e9), st.booleans()), min_size=2, max_size=6),
    st.sampled_from([0.5, 0.75]),
)
def test_no_site_has_more_than_its_share_of_a_mean(
    late: bool, sites: list[tuple[float, bool]], share: float
) -> None:
    """The heaviest moves each value to 1, and the others leave it at 0: the mean is its share."""
    heaviest = max(range(len(sites)), key=lambda i: sites[i][0])
    mean = WeightedMean({**LIKE, **HEAD}, largest_share=share)
    for i, (weight, has) in enumerate(sites):
        arrays = {**update(i == heaviest, i == heaviest), **head(i == heaviest)}
        mean.add(of(f"s{i}", arrays, weight, [True, has or i == heaviest]))
    if late:
        arrays = {**update(1.0, 1.0), **head(1.0)}
        mean.add(of(f"s{heaviest}", arrays, sites[heaviest][0] / 2), late=True)
    result = mean.result()
    weights = [weight for weight, _ in sites]
    honest = max(weights) * (1.5 if late else 1.0)
    expected = min(share, honest / (honest + sum(weights) - max(weights)))
    assert result["b"][0] == pytest.approx(expected, rel=1e-5)
    assert result["head.bias"][0] == pytest.approx(expected, rel=1e-5)
    with_label = [i for i, (_, has) in enumerate(sites) if has and i != heaviest]
    if not with_label:
        assert result["head.bias"][1] == 1.0  # nobody else has it


def test_a_sites_share_holds_where_its_late_update_is_lighter_than_anothers() -> None:
    mean = WeightedMean(LIKE, largest_share=0.5)
    mean.add(of("east", update(0.0, 0.0), 100))
    mean.add(of("west", update(1.0, 1.0), 90))
    mean.add(of("west", update(1.0, 1.0), 1e9), late=True)
    assert mean.result()["b"][0] == pytest.approx(0.5)


def test_a_mean_over_few_patients_is_one_over_as_many_as_a_step_expects() -> None:
    """Σ n u / max(Σ n, 32): a site of one patient, whose bound is 32 times as wide, moves as far
    as one of 32."""
    mean = WeightedMean({**LIKE, **HEAD}, least_weight=32.0)
    mean.add(of("mallory", {**update(32.0, 32.0), **head(32.0)}, 1.0, [True, True]))
    mean.add(of("north", {**update(1.0, 1.0), **head(1.0)}, 99.0, [True, False]))
    result = mean.result()
    assert result["b"][0] == pytest.approx((32 + 99) / 100)
    assert result["head.bias"][1] == pytest.approx(1.0)  # which mallory alone has


@pytest.mark.parametrize(
    ("strategy", "fraction", "needed"),
    [
        ("median", 0.2, 3), ("trimmed_mean", 0.2, 5), ("trimmed_mean", 0.25, 4),
        ("trimmed_mean", 0.34, 3), ("trimmed_mean", 0.49, 3), ("trimmed_mean", 0.001, 1000),
        ("fedavg", 0.2, 2), ("fedadam", 0.2, 2),
    ],
)  # fmt: skip
def test_a_robust_strategy_needs_as_many_sites_as_leave_one_out(
    strategy: str, fraction: float, needed: int
) -> None:
    federation = {"rounds": 1, "local_steps": 1, "strategy": strategy, "trim_fraction": fraction}
    study = Study.model_validate({**STUDY, "federation": federation})
    assert study.federation.needed_sites == needed
    if strategy == "trimmed_mean":
        values = np.float32([0.0] * (needed - 1) + [1e9])
        assert trimmed_mean(values, fraction) == 0.0  # one site's value is left out


def test_what_too_few_sites_train_stays_as_it_is(tmp_path: Path) -> None:
    study = Study.model_validate(
        {**STUDY, "federation": {**STUDY["federation"], "strategy": "median"}}
    )
    tally = tally_for(study, {**LIKE, **HEAD}, tmp_path / "u")
    for site, value in (("east", 1.0), ("north", 2.0), ("south", 3.0)):
        arrays = {**update(value, value), **head(value)}
        if site == "south":
            del arrays["a"]
        tally.add(of(site, arrays, 100, [True, site != "south"]))
    result = tally.result()
    assert set(result) == {"b", *HEAD}
    np.testing.assert_array_equal(result["head.bias"], np.float32([2.0, 0.0]))


def test_a_tiny_site_moves_a_median_no_further_than_one_of_the_expected_batch(
    tmp_path: Path,
) -> None:
    tally = CoordinateWise(tmp_path / "u", median, least_weight=32.0)
    for site, value, weight in (("a", 32.0, 1.0), ("b", 32.0, 1.0), ("c", 5.0, 100.0)):
        tally.add(of(site, update(value, value), weight))
    assert tally.result()["b"][0] == pytest.approx(1.0)
