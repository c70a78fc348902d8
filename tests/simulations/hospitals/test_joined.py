"""Real folders in a scenario: read where they lie, left as they are, split by patient."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import yaml

from client.records.dataset import open_dataset
from client.records.tables import read_records
from client.site.site import Site
from irene_model.errors import ConfigError
from simulations.hospitals.joined import joined_sites, site_names, write_joined
from simulations.hospitals.scenario import Scenario
from simulations.run import start_run
from tests.helpers.hospital_folder import STUDY, write_hospital


def scenario_of(folder: Path, **changes: Any) -> Scenario:
    """Two real folders with 12 patients each, and nothing synthetic."""
    for seed, name in enumerate(("north", "south")):
        if not (folder / name).exists():
            write_hospital(folder / name, patients=12, seed=seed).configure("site", name)
    join = ["north/site.yaml", "south/site.yaml"]
    document = {"study": STUDY, "join": join, "folds": 3, **changes}
    path = folder / "scenario.yaml"
    path.write_text(yaml.safe_dump({k: v for k, v in document.items() if v is not None}))
    return Scenario.read(path)


def contents(folder: Path) -> dict[str, bytes]:
    return {str(p): p.read_bytes() for p in sorted(folder.rglob("*")) if p.is_file()}


def test_each_seed_tests_other_patients_and_three_test_all(tmp_path: Path) -> None:
    scenario = scenario_of(tmp_path)
    before = contents(tmp_path / "north")
    tested: list[str] = []
    for seed in range(3):
        written = write_joined(scenario, tmp_path / "out" / str(seed), seed=seed)
        assert [path.parent.name for path in written] == ["north", "south"]
        site = Site.read(written[0])
        assert len(open_dataset(site, scenario.study).patients["test"]) == 4
        records = read_records(site, scenario.study)
        assert len(records) == 24 and {r.split for r in records} == {"train", "validation", "test"}
        tested += {r.patient_id for r in records if r.split == "test"}
    assert sorted(tested) == [f"P{number:03d}" for number in range(12)]
    assert contents(tmp_path / "north") == before  # no cache, no ledger, no log


def test_a_fold_reads_all_that_the_folder_has(tmp_path: Path) -> None:
    scenario = scenario_of(tmp_path)
    path = write_joined(scenario, tmp_path / "out", seed=0)[0]
    own = read_records(Site.read(tmp_path / "north" / "site.yaml"), scenario.study)
    fold = read_records(Site.read(path), scenario.study)
    assert all(mine.split in ("train", "validation", "test") for mine in fold)
    assert [replace(r, split="train") for r in fold] == [replace(r, split="train") for r in own]


def test_without_folds_a_folder_keeps_its_own_split(tmp_path: Path) -> None:
    scenario = scenario_of(tmp_path, folds=None)
    path = write_joined(scenario, tmp_path / "out", seed=5)[0]
    own = read_records(Site.read(tmp_path / "north" / "site.yaml"), scenario.study)
    assert [r.split for r in read_records(Site.read(path), scenario.study)] == [
        r.split for r in own
    ]


def test_what_two_folders_can_not_be_is_refused(tmp_path: Path) -> None:
    scenario = scenario_of(tmp_path)
    assert site_names(scenario) == ["north", "south"]
    south = tmp_path / "south" / "site.yaml"
    south.write_text(south.read_text().replace("site: south", "site: north"))
    with pytest.raises(ConfigError, match="another site of the scenario is named 'north'"):
        joined_sites(scenario)
    with pytest.raises(ConfigError, match="13 folds; take fewer folds"):
        write_joined(scenario_of(tmp_path / "few", folds=13), tmp_path / "out", seed=0)


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"join": None, "folds": None}, "cohort: is required, or `join`"),
        ({"folds": 2}, "folds: input should be greater than or equal to 3"),
        ({"cohort": {"patients": 20, "sites": [{"name": "a"}]}}, "folds: deal the patients of"),
        ({"own_models": True}, "own_models: judges exactly, which is for synthetic patients"),
    ],
)
def test_a_scenario_that_can_not_be_is_refused(
    tmp_path: Path, changes: dict[str, Any], said: str
) -> None:
    with pytest.raises(ConfigError, match=said):
        scenario_of(tmp_path, **changes)


def test_no_noise_where_a_folder_has_a_budget_is_refused_at_once(tmp_path: Path) -> None:
    scenario = scenario_of(tmp_path, study={**STUDY, "privacy": {"noise_multiplier": 0}})
    with pytest.raises(ConfigError, match=r"north: budget: .* write `budget: none` into its site"):
        start_run(scenario, tmp_path / "run", seed=0)
    assert not (tmp_path / "run").exists()


def test_a_run_of_real_folders_alone_begins_and_calls_nobody_made_up(tmp_path: Path) -> None:
    folder = start_run(scenario_of(tmp_path), tmp_path / "run", seed=0)
    assert folder.info["synthetic"] is False
    assert folder.info["site_files"] == [
        str(tmp_path / name / "site.yaml") for name in ("north", "south")
    ]
