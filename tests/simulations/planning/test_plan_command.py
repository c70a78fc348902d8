"""`irene-sim plan` as people give it: a scenario, a study alone, JSON, mistakes, a file written."""

import json
from pathlib import Path

import pytest
import yaml
from typer.testing import CliRunner, Result

from irene_model.errors import ConfigError
from simulations.cli import app
from simulations.hospitals.scenario import Scenario
from tests.helpers.small_scenario import SCENARIO, write_scenario


def plan(*arguments: str | Path) -> Result:
    return CliRunner().invoke(app, ["plan", *map(str, arguments)])


def test_each_epsilon_has_a_column_and_each_choice_a_reason(tmp_path: Path) -> None:
    shown = plan(write_scenario(tmp_path), "--epsilon", "2", "--epsilon", "8")
    assert shown.exit_code == 0, shown.output
    for word in ("epsilon 2", "epsilon 8", "noise multiplier", "near chance", "--set"):
        assert word in shown.stdout
    assert "server rate: noise moves a weight" in shown.stdout  # once, since it is the same
    for epsilon in (2, 8):
        assert shown.stdout.count(f"expected batch (epsilon {epsilon})") == 1
        assert shown.stdout.count(f"epsilon {epsilon}: --set") == 1


def test_json_holds_it_all(tmp_path: Path) -> None:
    shown = plan(write_scenario(tmp_path), "--epsilon", "2", "--epsilon", "8", "--json")
    found = json.loads(shown.stdout)
    assert found["sites"] == {"north": 13, "south": 13, "east": 13, "west": 13}
    assert [each["epsilon"] for each in found["proposals"]] == [2, 8]
    for each in found["proposals"]:
        assert each["settings"]["federation.rounds"] == 144
        assert all(choice["why"] for choice in each["choices"])
        assert set(each["prospect"]["noise"]) == set(found["sites"])


def test_a_study_alone_needs_the_sizes(tmp_path: Path) -> None:
    path, planned = tmp_path / "study.yaml", tmp_path / "planned.yaml"
    path.write_text(yaml.safe_dump(SCENARIO["study"]), encoding="utf-8")
    assert "give --patients" in str(plan(path).exception)
    done = plan(path, "--patients", "400,90", "--missing", "text=0.2", "--write", planned)
    assert done.exit_code == 0, done.output
    assert yaml.safe_load(planned.read_text("utf-8"))["training"]["modality_dropout"]["text"] == 0.3


def test_what_is_written_runs(tmp_path: Path) -> None:
    path, planned = write_scenario(tmp_path), tmp_path / "planned.yaml"
    done = plan(path, "--epsilon", "4", "--set", "cohort.patients=200", "--write", planned)
    assert done.exit_code == 0, done.output
    found = Scenario.read(planned)
    assert found.cohort is not None
    assert (found.cohort.patients, found.study.privacy.epsilon) == (200, 4)
    assert found.study.federation.strategy == "fedadam"


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--epsilon", "0"], "--epsilon: must be from"),
        (["--epsilon", "nan"], "--epsilon: must be from"),
        (["--epsilon", "1", "--epsilon", "2", "--write", "new.yaml"], "takes one proposal"),
        (["--patients", "4"], "gives 1 numbers, and the scenario has 4 sites"),
        (["--patients", "4,5,6,0"], "--patients: give whole numbers from 1"),
        (["--missing", "blood=0.1"], "--missing: 'blood' is none of image"),
        (["--missing", "text=1.5"], "--missing: a share is from 0 to 1"),
        (["--missing", "text=nan"], "--missing: a share is from 0 to 1"),
        (["--twin", "new", "--twin-patients", "3"], "--twin-patients: must be from"),
    ],
)
def test_a_mistake_is_one_sentence(tmp_path: Path, arguments: list[str], said: str) -> None:
    done = plan(write_scenario(tmp_path), *arguments)
    assert isinstance(done.exception, ConfigError)
    assert said in str(done.exception)
    assert sorted(each.name for each in tmp_path.iterdir()) == ["scenario.yaml"]


def test_secure_sums_and_sizes_must_agree(tmp_path: Path) -> None:
    secure = ["--set", "federation.secure={patients: 1000}", "--set", "federation.local_steps=1",
              "--set", "training.optimizer=sgd", "--set", "federation.minimum_sites=3",
              "--delta", "1e-4"]  # fmt: skip
    done = plan(write_scenario(tmp_path), *secure, "--patients", "100,100,100,100")
    assert "add up to 400, and federation.secure.patients says 1000" in str(done.exception)
    assert plan(write_scenario(tmp_path), *secure, "--patients", "250,250,250,250").exit_code == 0
