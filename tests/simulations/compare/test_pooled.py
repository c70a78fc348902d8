"""Patients of several sites as one data set, whatever arrays a data set has; and noise for all."""

from dataclasses import fields, replace
from pathlib import Path

import numpy as np
import pytest
import torch
import yaml

from client.records.dataset import SiteDataset, open_dataset
from client.site.site import Site
from irene_model.privacy.calibration import noise_multiplier_for
from simulations.compare.arms import (
    Member,
    plan_at_one_place,
    pool_patients,
    privacy_at_one_place,
    train_at_one_place,
)
from simulations.hospitals.hospitals import write_hospitals
from simulations.hospitals.scenario import Scenario
from tests.helpers.small_scenario import SCENARIO
from tests.helpers.text_encoders import text_of, write_tiny


@pytest.fixture(scope="module")
def scenario(tmp_path_factory: pytest.TempPathFactory) -> Scenario:
    """Two sites whose texts a frozen encoder reads."""
    folder = tmp_path_factory.mktemp("scenario")
    encoder = write_tiny(folder / "encoder")
    document = {
        "study": {
            **SCENARIO["study"],
            "text": text_of(encoder),
            "federation": {"rounds": 2, "local_steps": 1},
        },
        "cohort": {"patients": 30, "image_pixels": 32, "sites": [{"name": "a"}, {"name": "b"}]},
        "encoders": {"enc": str(encoder)},
    }
    path = folder / "scenario.yaml"
    path.write_text(yaml.safe_dump(document), encoding="utf-8")
    return Scenario.read(path)


@pytest.fixture(scope="module")
def members(scenario: Scenario, tmp_path_factory: pytest.TempPathFactory) -> list[Member]:
    written = write_hospitals(scenario, tmp_path_factory.mktemp("out") / "hospitals", seed=0)
    sites = [Site.read(path) for path in written]
    return [Member(site=site, dataset=open_dataset(site, scenario.study)) for site in sites]


def test_every_array_of_a_data_set_is_pooled(members: list[Member]) -> None:
    datasets = [member.dataset for member in members]
    pooled = pool_patients(datasets)
    rows = sum(len(each.pixels) for each in datasets)
    arrays = 0
    for each in fields(SiteDataset):
        value = getattr(pooled, each.name)
        if isinstance(value, np.ndarray):
            assert len(value) == rows, each.name
            arrays += 1
    assert arrays == 2 and {len(tensor) for tensor in pooled.tensors.values()} == {rows}
    last = pooled.patients["train"][-1]
    own = datasets[1].patients["train"][-1]
    mine, theirs = pooled.batch(last), datasets[1].batch(own)
    assert all(torch.equal(mine[name], theirs[name]) for name in mine)


def test_what_is_no_rows_is_not_pooled_in_silence(members: list[Member]) -> None:
    odd = [replace(each.dataset, text="a word") for each in members]  # type: ignore[arg-type]
    with pytest.raises(AssertionError, match="no rows: str"):
        pool_patients(odd)


def test_one_noise_for_all_spends_the_studys_epsilon_at_the_pools_rate(
    scenario: Scenario, members: list[Member]
) -> None:
    plan = plan_at_one_place(scenario.study, members, 1)
    assert plan.declared_patients == 20 and plan.expected_batch == 16  # tens; two batches of 8
    assert plan.mechanism.noise_multiplier == noise_multiplier_for(
        8.0, delta=1e-3, sample_rate=16 / 20, steps=2
    )
    spent = privacy_at_one_place(scenario.study, members)
    assert set(spent) == {"a", "b"} and 7.9 < spent["a"]["epsilon"] <= 8
    once, again = (
        train_at_one_place(scenario.study, members, name="central-dp", seed=1) for _ in range(2)
    )
    for name, array in once.weights.items():
        np.testing.assert_array_equal(array, again.weights[name])


def test_a_study_without_laboratory_values_is_written_and_read(
    scenario: Scenario, tmp_path: Path
) -> None:
    study = scenario.study.model_copy(update={"labs": ()})
    bare = scenario.model_copy(update={"study": study})
    for path in write_hospitals(bare, tmp_path / "hospitals", seed=0):
        site = Site.read(path)
        assert site.lab_table is None and not list(path.parent.glob("labs.*"))
        assert open_dataset(site, study).tensors["lab_values"].shape[1] == 0
