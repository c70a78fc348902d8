"""The levers' training is a comparison's, and what the product lacks is computed as published."""

import json
import math
from pathlib import Path

import numpy as np
from typer.testing import CliRunner

from benchmarks.learning.levers import LEVERS, Corrected, Lever, _learned, _with, app
from client.records.dataset import open_dataset
from client.site.site import Site
from server.aggregation.strategies import FedAdam
from simulations.compare.arms import Member, train_at_one_place
from simulations.hospitals.hospitals import write_hospitals
from tests.helpers.small_scenario import small_scenario

ADAM = ("training.optimizer=sgd", "training.learning_rate=1.0", "federation.local_steps=1",
        "federation.strategy=fedadam", "federation.server_learning_rate=0.01")  # fmt: skip


def test_as_it_is_trains_as_one_place_does(tmp_path: Path) -> None:
    scenario = small_scenario(tmp_path, *ADAM, "federation.evaluate_every=3")
    write_hospitals(scenario, tmp_path / "hospitals", seed=1)
    sites = [Site.read(path) for path in sorted((tmp_path / "hospitals").glob("*/site.yaml"))]
    members = [Member(site=site, dataset=open_dataset(site, scenario.study)) for site in sites]
    expected = train_at_one_place(scenario.study, members, name="pool", seed=4).weights
    found = _learned(scenario.study, members, Lever(), seed=4, honest=1.0)
    for name, weights in expected.items():
        np.testing.assert_array_equal(found[name], weights, err_msg=name)
    others = (
        _learned(scenario.study, members, Lever(), seed=4, honest=0.5),
        _learned(scenario.study, members, Lever(averaged=True), seed=4, honest=1.0),
        _learned(scenario.study, members, Lever(corrected=True), seed=4, honest=1.0),
    )
    for other in others:
        assert np.abs(other["head.weight"] - expected["head.weight"]).max() > 0


def test_the_noises_share_is_taken_from_the_second_moment() -> None:
    """Two steps of one weight, by hand."""
    weights = {"w": np.zeros(2, np.float32)}
    steps = [np.array([0.3, 0.01], np.float32), np.array([-0.1, 0.02], np.float32)]
    variance = 0.01
    strategy, moved = Corrected(variance=variance), weights
    for step in steps:
        moved = strategy.apply(moved, {"w": step}, 0.1)
    place = np.zeros(2)
    for t in (1, 2):
        first = sum(0.1 * 0.9 ** (t - i) * steps[i - 1] for i in range(1, t + 1)) / (1 - 0.9**t)
        second = sum(0.001 * 0.999 ** (t - i) * steps[i - 1] ** 2 for i in range(1, t + 1)) / (
            1 - 0.999**t
        )
        place += 0.1 * first / np.sqrt(np.maximum(second - variance, 0.1 * variance))
    np.testing.assert_allclose(moved["w"], place, rtol=1e-4)
    none, plain = Corrected(variance=0.0), FedAdam()
    for step in steps:
        np.testing.assert_allclose(
            none.apply(weights, {"w": step}, 0.1)["w"], plain.apply(weights, {"w": step}, 0.1)["w"]
        )


def test_a_lever_changes_the_scenarios_own_setting(tmp_path: Path) -> None:
    small_scenario(tmp_path, *ADAM)
    path, changed = next(tmp_path.glob("*.yaml")), [*ADAM, "federation.rounds=10"]
    own = _with(path, changed, LEVERS["as it is"])
    assert own.federation.rounds == 10
    assert _with(path, changed, LEVERS["half the rounds"]).federation.rounds == 5
    twice = _with(path, changed, LEVERS["twice the rate"])
    assert math.isclose(twice.federation.server_learning_rate, 0.02)


def test_it_goes_on_where_it_was_cut_off(tmp_path: Path) -> None:
    small_scenario(tmp_path)
    path, out = next(tmp_path.glob("*.yaml")), tmp_path / "out"
    settings = [word for each in ADAM for word in ("--set", each)]
    command = [str(path), "--out", str(out), "--seed", "2", *settings]
    for only in (["as it is"], ["as it is", "averaged weights"]):
        chosen = [word for each in only for word in ("--only", each)]
        result = CliRunner().invoke(app, [*command, *chosen])
        assert result.exit_code == 0, result.output
    lines = (out / "seed-2.jsonl").read_text(encoding="utf-8").splitlines()
    assert [json.loads(line)["lever"] for line in lines] == ["as it is", "averaged weights"]
