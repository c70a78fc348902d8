"""Settings in a YAML file: the same as `--set`, and everything else as people wrote it."""

from pathlib import Path
from typing import Any

import pytest
import yaml

from irene_model.errors import ConfigError
from irene_model.study import override
from simulations.hospitals.scenario import Scenario
from simulations.planning.rewriting import rewritten
from simulations.planning.settings import assignments
from simulations.planning.writing import write_plan
from tests.helpers.small_scenario import write_scenario

SCENARIOS = sorted((Path(__file__).parents[3] / "simulations" / "scenarios").glob("*.yaml"))
SETTINGS = {"study.training.expected_batch": 77, "study.federation.rounds": 9,
            "study.training.parameters": {"kind": "lora", "rank": 8, "alpha": 8.0},
            "study.training.modality_dropout.text": 0.4, "study.text.trainable": False,
            "study.privacy.noise_multiplier": None}  # fmt: skip


@pytest.mark.parametrize("path", SCENARIOS, ids=lambda path: path.stem)
def test_the_scenarios_that_come_along_read_back(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    found = rewritten(text, SETTINGS)
    assert yaml.safe_load(found) == override(yaml.safe_load(text), assignments(SETTINGS))
    comments = [line for line in text.splitlines() if line.lstrip().startswith("#")]
    assert [line for line in found.splitlines() if line.lstrip().startswith("#")] == comments


@pytest.mark.parametrize(
    ("text", "key", "value"),
    [
        ("a: 1  # why\nb: 2\n", "a", 5),
        ("a: 1  # why\nb: 2", "c.d", 5),
        ("a:\n  b: 1  # why\n\n# of c\nc: 3\n", "a.d", [1, 2]),
        ("a:\n  b:\n    - x\n    - y  # why\nc: 3\n", "a.b", [1]),
        ("a:\n  b:\n    - x\n    - y  # why\nc: 3\n", "a.d", 4),
        ("a: {}\n", "a.b.c", 1),
        ("a: {b: 1,}\n", "a.c", 1),
        ("a: {b: 1}  # why\n", "a.c", "x y"),
        ("a: {\n  b: 1,  # why\n  c: 2\n}\n", "a.d", None),
        ("a:\nb: 2\n", "a", 5),
        ("a: ~\nb: 2\n", "a", {"c": 5}),
        ("a: |\n  some\n  text\n\nb: 2\n", "c", True),
        ("x:\n  a: |\n    some\n    text\n\n\nb: 2\n", "x.c", True),
        ("x:\n  a: 'it''s'\n\n\nb: 2\n", "x.a", "no"),
        ("x: ü  # ä\ny: {ß: 1}\n", "y.ß", 2),
    ],
)
def test_a_value_goes_where_it_belongs(text: str, key: str, value: Any) -> None:
    found = rewritten(text, {key: value})
    assert yaml.safe_load(found) == override(yaml.safe_load(text), assignments({key: value}))
    assert found.count("# why") == text.count("# why")


def test_a_written_scenario_is_the_one_of_its_settings(tmp_path: Path) -> None:
    source, out = write_scenario(tmp_path), tmp_path / "planned.yaml"
    settings = {"federation.rounds": 9, "training.expected_batch": 7}
    write_plan(source, out, settings, overrides=["privacy.epsilon=2", "cohort.patients=90"])
    wanted = [*assignments(settings), "privacy.epsilon=2", "cohort.patients=90"]
    assert Scenario.read(out) == Scenario.read(source, wanted)
    with pytest.raises(ConfigError, match="is there already"):
        write_plan(source, out, settings)


def test_what_can_not_be_changed_in_place_is_not_written(tmp_path: Path) -> None:
    source, out = tmp_path / "shared.yaml", tmp_path / "planned.yaml"
    text = write_scenario(tmp_path).read_text(encoding="utf-8")
    anchored = text.replace("expected_batch: 8", "expected_batch: &eight 8")
    source.write_text(f"{anchored}\nparallel_sites: *eight\n", encoding="utf-8")
    with pytest.raises(ConfigError, match="can't be changed in place; use the settings"):
        write_plan(source, out, {"training.expected_batch": 7})
    assert not out.exists()


def test_paths_that_would_point_elsewhere_are_refused(tmp_path: Path) -> None:
    source = write_scenario(tmp_path)
    source.write_text(source.read_text("utf-8") + "start: model\n", encoding="utf-8")
    (tmp_path / "other").mkdir()
    with pytest.raises(ConfigError, match="write beside it"):
        write_plan(source, tmp_path / "other" / "planned.yaml", {"federation.rounds": 9})
    with pytest.raises(ConfigError, match="does not exist"):
        write_plan(source, tmp_path / "none" / "planned.yaml", {"federation.rounds": 9})
