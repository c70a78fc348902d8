"""Real sums on the grid: exact, bounded, and as fine as 32 bits allow."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from irene_model.errors import ConfigError, ProtocolError
from irene_model.secure.grid import (
    Grid,
    grid_of_evaluation,
    grid_of_training,
    most_drawn,
)
from irene_model.secure.keystream import Keystream
from irene_model.study import Study


def study(**federation: object) -> Study:
    return Study.model_validate(
        {
            "name": "grid",
            "labels": ["pneumonia", "oedema"],
            "image": {"size": 32, "patch": 16},
            "training": {"optimizer": "sgd", "expected_batch": 1024},
            "federation": {
                "rounds": 72, "local_steps": 1, "minimum_sites": 4, "strategy": "fedadam",
                "secure": {"colluding": 1, "patients": 7800},
            } | federation,
            "privacy": {"noise_multiplier": 1.2, "clip_norm": 0.7},
        }
    )  # fmt: skip


def grid(**other: float) -> Grid:
    fields = {"bound": 1300.0, "sensitivity": 1.0, "share": 0.7, "sites": 8, "dimensions": 10**6}
    return Grid.of(**(fields | other))  # type: ignore[arg-type]


@settings(max_examples=60, deadline=None)
@given(
    bound=st.floats(1, 1e4), share=st.floats(0.05, 20), sites=st.integers(3, 50),
    seed=st.integers(0, 2**32),
)  # fmt: skip
def test_what_is_decoded_is_what_was_encoded(
    bound: float, share: float, sites: int, seed: int
) -> None:
    each = grid(bound=bound, share=share, sites=sites)
    values = np.random.default_rng(seed).uniform(-bound, bound, 500)
    values[:2] = bound, -bound
    units = each.encode(values)
    again = each.decode(units.astype(np.uint32))
    assert np.abs(again - values).max() <= each.unit / 2
    assert np.array_equal(each.encode(np.clip(again, -bound, bound)), units) or (
        np.abs(units).max() * each.unit > bound
    )
    # Finer it can't be: half of the unit would not hold the sum and its noise.
    reach = bound / each.unit + 8 * math.sqrt(sites) * each.deviation
    assert 2**29 < reach < 2**31


def test_the_unit_is_a_power_of_two_and_rounding_is_to_nearest() -> None:
    each = grid()
    assert math.frexp(each.unit)[0] == 0.5
    assert each.encode(np.array([0.4, 0.6, -0.6, 1.4]) * each.unit).tolist() == [0, 1, -1, 1]


def test_a_coordinate_beyond_the_bound_or_no_number_is_refused_and_never_wraps() -> None:
    each = grid()
    for odd in (1301.0, -1e30, math.nan, math.inf):
        with pytest.raises(ConfigError, match="leaves the study's grid") as told:
            each.encode(np.array([0.0, odd], dtype=np.float32))
        assert str(odd) not in str(told.value)
    with pytest.raises(ConfigError, match="leaves the study's grid"):
        each.noised(np.array([0.0, 1e9]), Keystream.reproducible())


def test_a_grid_that_is_too_coarse_is_refused_by_name() -> None:
    with pytest.raises(ConfigError, match=r"8 sites.*coordinate"):
        grid(bound=1e9)
    huge = study(secure={"colluding": 1, "patients": 10**8})
    huge = huge.model_copy(
        update={"training": huge.training.model_copy(update={"expected_batch": 10**7})}
    )
    with pytest.raises(ConfigError, match=r"expected_batch smaller than 10000000") as told:
        grid_of_training(huge, 10**7)
    assert "training.parameters" in str(told.value)
    assert "50 sites" in str(told.value)


def test_the_noise_is_the_share_of_what_one_patient_moves_a_rounded_sum_by() -> None:
    """Neighbours that round apart in every coordinate: a bound without sqrt(D) would be broken."""
    size, unit = 400, grid(dimensions=400).unit
    away = np.full(size, 52_428.002) * unit  # a little more than whole, in each
    sensitivity = float(np.linalg.norm(away))
    each = grid(dimensions=size, sensitivity=sensitivity)
    assert each.unit == unit
    before = np.full(size, 0.499) * unit
    moved = float(np.linalg.norm(each.encode(before + away) - each.encode(before)))
    allowed = each.deviation / 0.7
    assert sensitivity / unit + 0.99 * math.sqrt(size) < moved <= allowed
    assert allowed < 1.001 * (sensitivity / unit + math.sqrt(size))


def test_noise_of_a_share_comes_on_top_of_the_rounded_sum() -> None:
    each = grid()
    values = np.linspace(-1000, 1000, 300_000)
    noise = each.noised(values, Keystream.reproducible(1)) - each.encode(values)
    assert abs(noise.std() / each.deviation - 1) < 0.01
    exact = grid(share=0.0)
    assert exact.deviation == 0
    assert np.array_equal(exact.noised(values, Keystream.reproducible(1)), exact.encode(values))


def test_every_site_finds_the_grid_of_the_study() -> None:
    told = study()
    again = Study.from_canonical(told.canonical)
    assert grid_of_training(told, 300_000) == grid_of_training(again, 300_000)
    assert grid_of_evaluation(told, "test") == grid_of_evaluation(again, "test")
    each = grid_of_training(told, 300_000)
    assert 2.0**-22 < each.unit / 0.7 < 2.0**-19  # as docs/privacy.md has it
    assert each.deviation == pytest.approx(1.2 / math.sqrt(3) * 0.7 / each.unit, rel=1e-3)
    histograms = grid_of_evaluation(told, "test")
    share = 1.2 / math.sqrt(3)
    assert histograms.deviation * histograms.unit == pytest.approx(share * math.sqrt(2), rel=1e-3)
    plain = study(secure=None, minimum_sites=2)
    for ask in (lambda: grid_of_training(plain, 3), lambda: grid_of_evaluation(plain, "test")):
        with pytest.raises(ProtocolError, match="no secure sums"):
            ask()


@pytest.mark.parametrize("expected", [1, 16, 1024, 10**6])
def test_more_patients_than_the_grid_allows_are_hardly_ever_drawn(expected: int) -> None:
    from scipy.stats import poisson

    most = most_drawn(expected)
    assert poisson.logsf(most, expected) < math.log(2.0**-100)
    assert most < expected + 14 * math.sqrt(expected) + 80
