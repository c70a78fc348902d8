"""The simulated twin: the same noise in a mean gradient whatever its size, and it goes on."""

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from simulations.cli import app
from simulations.hospitals.scenario import Scenario
from simulations.patients import DISEASES
from simulations.planning.prospect import prospect_of
from simulations.planning.public import Public, public_of
from simulations.planning.settings import with_settings
from simulations.planning.twin import made_up, shrink
from tests.helpers.federations.run_here import without_engine
from tests.helpers.small_scenario import write_scenario

DEMO = Path(__file__).parents[3] / "simulations" / "scenarios" / "demo.yaml"


@pytest.mark.parametrize("overrides", [[], ["federation.secure=null"]], ids=["sums", "alone"])
def test_a_smaller_twin_has_the_noise_of_the_whole(overrides: list[str]) -> None:
    scenario = Scenario.read(DEMO, overrides)
    whole = public_of(scenario.study, scenario)
    quarter = Public(sites={name: size // 4 for name, size in whole.sites.items()}, missing={})
    study = shrink(scenario.study, whole, 0.25)
    before, after = prospect_of(scenario.study, whole), prospect_of(study, quarter)
    assert after.step_noise == pytest.approx(before.step_noise, rel=0.03)
    assert after.passes == pytest.approx(before.passes, rel=0.03)
    assert after.look_error == pytest.approx(before.look_error, rel=0.03)
    assert shrink(scenario.study, whole, 1.0).privacy == scenario.study.privacy


def test_made_up_diseases_stand_for_labels_that_nobody_can_make_up() -> None:
    study = Scenario.read(DEMO).study
    assert made_up(study) is study
    other = made_up(with_settings(study, {"labels": ["gout", "copd"]}))
    assert len(other.labels) == 2
    assert set(other.labels) <= set(DISEASES)


@pytest.mark.slow
def test_a_twin_is_trained_once_and_said_beside_the_present(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    without_engine(monkeypatch)
    scenario = write_scenario(tmp_path)
    arguments = ["plan", str(scenario), "--rounds", "3", "--json", "--twin", str(tmp_path / "twin"),
                 "--twin-patients", "60"]  # fmt: skip
    first = CliRunner().invoke(app, arguments)
    assert first.exit_code == 0, first.output
    found = json.loads(first.stdout)["twin"]
    assert (found["patients"], set(found["reached"])) == (60, {"now-epsilon8", "epsilon8"})
    for row in found["reached"].values():
        assert row["ci95"][0] <= row["auroc"] <= row["ci95"][1]
    results = sorted((tmp_path / "twin").rglob("result.json"))
    stamps = [each.stat().st_mtime_ns for each in results]
    again = CliRunner().invoke(app, arguments)
    assert json.loads(again.stdout)["twin"] == found
    assert [each.stat().st_mtime_ns for each in results] == stamps
