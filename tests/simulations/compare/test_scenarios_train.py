"""The scenarios that a researcher compares: every training has a name, and one of each ends."""

from pathlib import Path

import pytest

from simulations.compare.comparison_run import compare
from simulations.compare.trial_grid import grid
from simulations.hospitals.scenario import Scenario
from tests.helpers.federations.watched_comparison import Watching

SCENARIOS = Path(__file__).parents[3] / "simulations" / "scenarios"
TRAININGS = {
    "covid": 3 * (4 + 3),
    "exam": 20 + 3,
    "missing": 6,
    "epsilon": 1 + 4 + 4,
    "paper": 18,
}
SMALL = (
    "cohort.patients=240",
    "cohort.image_pixels=48",
    "training.expected_batch=32",
    "federation.rounds=1",
    "federation.evaluate_every=1",
)


@pytest.mark.parametrize(("name", "trainings"), TRAININGS.items())
def test_a_scenario_asks_for_so_many_trainings(name: str, trainings: int) -> None:
    assert len(grid(Scenario.read(SCENARIOS / f"{name}.yaml"))) == trainings


@pytest.mark.slow
@pytest.mark.parametrize("name", TRAININGS)
def test_a_small_one_of_each_trains(name: str, tmp_path: Path) -> None:
    smaller = (*SMALL, *(["cohort.split.quantity.least=5"] if name == "exam" else []))
    scenario = Scenario.read(SCENARIOS / f"{name}.yaml", smaller)
    private = scenario.compare.epsilons is not None
    trials = grid(
        scenario,
        arms=["central-dp" if private else "central"],
        models=["irene"],
        epsilons=[8] if private else None,
        seeds=1,
    )
    results = compare(scenario, trials, tmp_path / "out", parallel=1, observer=Watching())
    for row in results["arms"].values():
        assert set(row["auprc"]["by_label"]) == set(scenario.study.labels)
    assert (tmp_path / "out" / "seed-0" / "split.png").is_file()
