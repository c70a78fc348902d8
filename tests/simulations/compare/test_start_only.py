"""A comparison from a start: the start alone is an arm, and all other arms begin there."""

import json
from pathlib import Path

import numpy as np
import pytest

from irene_model.errors import ConfigError
from irene_model.inputs.processor import IreneProcessor
from irene_model.network.model import IreneModel
from irene_model.weights.weights import new_model, to_arrays
from simulations.compare.comparison_run import compare
from simulations.compare.trial_grid import grid
from simulations.display import RunProgress
from simulations.hospitals.scenario import Scenario
from tests.helpers.small_scenario import small_scenario

SMALL = ("cohort.patients=48", "cohort.sites=[{name: north}]", "federation.rounds=1")


def start_of(scenario: Scenario, folder: Path, seed: int) -> Path:
    new_model(scenario.study, seed=seed).save_pretrained(folder)
    IreneProcessor(scenario.study).save_pretrained(folder)
    return folder


def test_the_start_is_judged_untrained_and_the_others_begin_there(tmp_path: Path) -> None:
    scenario = small_scenario(tmp_path / "s", *SMALL, "training.learning_rate=1e-9")
    start = start_of(scenario, tmp_path / "start", seed=41)
    warm = scenario.starting_from(start)
    out = tmp_path / "out"
    trials = grid(warm, arms=["start-only", "local"], seeds=1)
    results = compare(warm, trials, out, parallel=1, observer=RunProgress())
    rows = results["arms"]
    assert rows["start-only/irene"]["rounds"] == 0
    first = to_arrays(IreneModel.from_pretrained(start))
    for place in ("start-only", "local-north"):  # its rate is next to nothing
        trained = to_arrays(IreneModel.from_pretrained(out / "seed-0" / place / "irene" / "model"))
        for name, array in first.items():
            np.testing.assert_allclose(trained[name], array, atol=1e-6)
    assert rows["start-only/irene"]["auroc"] == rows["local-north/irene"]["auroc"]
    told = json.loads((out / "seed-0" / "start-only" / "irene" / "result.json").read_text())
    assert told["privacy"] == {} and told["kept_round"] == 0
    other = scenario.starting_from(start_of(scenario, tmp_path / "other", seed=42))
    with pytest.raises(ConfigError, match="was trained from another start"):
        again = grid(other, arms=["local"], seeds=1)
        compare(other, again, out, parallel=1, observer=RunProgress())
    # A comparison's own model is a start as well.
    model = out / "seed-0" / "local-north" / "irene" / "model"
    assert grid(scenario.starting_from(model), seeds=1)[0].start == model


def test_without_a_start_there_is_no_such_arm(tmp_path: Path) -> None:
    scenario = small_scenario(tmp_path / "s", *SMALL)
    assert "start-only" not in {trial.arm for trial in grid(scenario)}
    with pytest.raises(ConfigError, match="arm start-only: name a model to start from"):
        grid(scenario, arms=["start-only"])


def test_a_scenarios_start_is_seen_from_its_file(tmp_path: Path) -> None:
    scenario = small_scenario(tmp_path / "s", *SMALL, "start=../start")
    assert scenario.start_folder == tmp_path / "start"
    assert {trial.start for trial in grid(scenario)} == {tmp_path / "start"}
    assert scenario.starting_from(None) is scenario
