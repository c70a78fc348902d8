"""Trained on the others, tested on a hospital never seen."""

import json
from pathlib import Path

import pytest

from irene_model.errors import ConfigError
from simulations.compare.trial_grid import grid
from tests.helpers.federations.run_here import without_engine
from tests.helpers.federations.watched_comparison import SMALL, run
from tests.helpers.small_scenario import small_scenario
from tests.simulations.test_secure_run import SECURE


def test_each_site_is_left_out_once_and_the_others_train_as_they_do_together(
    tmp_path: Path,
) -> None:
    scenario = small_scenario(tmp_path, *SECURE)
    trials = grid(scenario, arms=["leave-one-site-out", "federated"], seeds=1)
    assert [trial.left_out for trial in trials] == ["north", "south", "east", "west", None]
    *without, together = trials
    assert without[0].row == "leave-one-site-out-north/irene"
    for trial in without:
        assert not trial.study.privacy.enabled and trial.study.federation.secure is None
        assert trial.study.training == together.study.training
        assert trial.study.federation.minimum_sites == 3
    everyone = small_scenario(tmp_path, "federation.minimum_sites=4")
    (first, *_) = grid(everyone, arms=["leave-one-site-out"], seeds=1)
    assert first.study.federation.minimum_sites == 3


def test_nobody_is_left_where_there_is_one_site(tmp_path: Path) -> None:
    alone = small_scenario(tmp_path, "cohort.sites=[{name: north}]", "federation.minimum_sites=1")
    with pytest.raises(ConfigError, match="leave-one-site-out: needs two sites or more"):
        grid(alone, arms=["leave-one-site-out"])


@pytest.mark.slow
def test_the_site_left_out_sends_nothing_and_is_tested(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    without_engine(monkeypatch)
    scenario = small_scenario(tmp_path / "scenario", *SMALL)
    out = tmp_path / "out"
    arms = ["local", "leave-one-site-out"]
    results, _ = run(scenario, out, arms=arms, seeds=1)
    folder = out / "seed-0" / "leave-one-site-out-north" / "irene"
    lines = (folder / "run" / "rounds.jsonl").read_text().splitlines()
    assert [list(json.loads(line)["sites"]) for line in lines] == [["south"]] * 2
    row = results["arms"]["leave-one-site-out-north/irene"]
    assert row["auroc"]["by_site"]["north"] is not None and list(row["gain"]) == ["north"]
    assert list(results["joining"]["leave-one-site-out/irene"]["sites"]) == ["north", "south"]
