"""A small comparison of two hospitals, compared once a file."""

from pathlib import Path

import pytest

from simulations.hospitals.scenario import Scenario
from tests.helpers.federations.watched_comparison import SMALL, run
from tests.helpers.small_scenario import small_scenario


@pytest.fixture(scope="module")
def scenario(tmp_path_factory: pytest.TempPathFactory) -> Scenario:
    return small_scenario(tmp_path_factory.mktemp("scenario"), *SMALL)


@pytest.fixture(scope="module")
def compared(scenario: Scenario, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("compared") / "out"
    results, watching = run(scenario, out)
    assert list(results["arms"]) == ["central/irene", "local-north/irene", "local-south/irene"]
    assert [done for _, _, done, _ in watching.rows] == [1, 2, 3, 4, 5, 6]
    assert watching.drawn == 2  # one cohort a seed, whatever the number of arms
    return out
