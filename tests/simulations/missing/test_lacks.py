"""Who loses what, at random and by pattern."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch

from client.records.dataset import SiteDataset, open_dataset
from client.site.site import Site
from simulations.hospitals.hospitals import write_hospitals
from simulations.missing.lacks import all_combinations, lacking, only, presence, without_it
from tests.helpers.small_scenario import small_scenario


@pytest.fixture(scope="module")
def dataset(tmp_path_factory: pytest.TempPathFactory) -> SiteDataset:
    folder = tmp_path_factory.mktemp("hospitals")
    scenario = small_scenario(
        folder / "s", "cohort.sites=[{name: one}]", "federation.minimum_sites=1"
    )
    (path,) = write_hospitals(scenario, folder / "h", seed=1)
    return open_dataset(Site.read(path), scenario.study)


def lose(dataset: SiteDataset, rate: float, **facts: Any) -> dict[str, torch.Tensor]:
    rng = np.random.default_rng(7)
    return lacking(dataset.tensors, dataset.study, "text", rate, rng=rng, **facts)


def test_at_random_one_modality_goes_and_nothing_else(dataset: SiteDataset) -> None:
    before, study = presence(dataset.tensors, dataset.study), dataset.study
    half, most = (presence(lose(dataset, rate), study) for rate in (0.4, 0.8))
    assert all((half[name] == before[name]).all() for name in before if name != "text")
    assert 0.45 < half["text"].sum() / before["text"].sum() < 0.75
    assert not (most["text"] & ~half["text"]).any()  # those of the lower rate are among them
    assert not presence(lose(dataset, 1.0), study)["text"].any()
    assert all((presence(lose(dataset, 0.0), study)[n] == before[n]).all() for n in before)
    assert (presence(dataset.tensors, study)["text"] == before["text"]).all()  # untouched


def test_by_pattern_a_donors_other_gaps_come_along(dataset: SiteDataset) -> None:
    study, before = dataset.study, presence(dataset.tensors, dataset.study)
    donors = {name: tensor[:1].clone() for name, tensor in dataset.tensors.items()}
    for name in ("image_mask", "text_mask", "lab_mask", "demographics_mask"):
        donors[name][:] = True
    donors["text_mask"][:] = False
    donors["lab_mask"][:, 0] = False
    found = lose(dataset, 0.5, donors=donors)
    gone = before["text"] & ~presence(found, study)["text"]
    assert gone.any()
    labs, lost = dataset.tensors["lab_mask"].numpy(), found["lab_mask"].numpy()
    hit = (labs != lost).any(axis=1)
    assert hit.any() and not (labs != lost)[:, 1:].any()
    assert not found["lab_mask"].numpy()[gone][:, 0].any()
    donors |= {name: torch.zeros_like(donors[name]) for name in ("image_mask", "lab_mask")}
    donors["demographics_mask"][:] = False
    left = presence(lose(dataset, 1.0, donors=donors), study)
    assert (left["image"] == before["image"]).all()  # a donor of nothing takes only the text


def test_donors_are_training_records_without_it(dataset: SiteDataset) -> None:
    rows = torch.from_numpy(np.concatenate(dataset.patients["train"]))
    tensors = {name: tensor.clone() for name, tensor in dataset.tensors.items()}
    tensors["text_mask"][:] = True
    assert without_it([replace(dataset, tensors=tensors)], "text") is None
    tensors["text_mask"][rows[:3]] = False
    donors = without_it([replace(dataset, tensors=tensors)], "text")
    assert donors is not None and len(donors["labels"]) == 3


def test_combinations_and_one_alone(dataset: SiteDataset) -> None:
    assert all_combinations(["a", "b"]) == [("a", "b"), ("a",), ("b",)]
    shown = presence(only(dataset.tensors, dataset.study, ["labs"]), dataset.study)
    assert shown["labs"].any()
    assert not any(shown[name].any() for name in ("image", "text", "demographics"))
