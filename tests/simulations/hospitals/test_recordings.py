"""Recordings of synthetic hospitals: what is heard of a disease, and that nothing else changes."""

from pathlib import Path

import numpy as np
import pytest
import torch

from client.records.dataset import SiteDataset, open_dataset
from client.site.site import Site
from irene_model.weights.weights import new_model
from simulations.compare.judgement import without
from simulations.hospitals.hospitals import write_hospitals
from tests.helpers.small_scenario import small_scenario

_SOUNDS = "sounds={sample_rate: 2000, seconds: 5, mels: 16, patch: [16, 8]}"


def _files(folder: Path) -> dict[str, bytes]:
    names = (path for path in folder.rglob("*") if path.is_file())
    return {str(path.relative_to(folder)): path.read_bytes() for path in names}


def test_a_cohort_is_the_same_with_and_without_recordings(tmp_path: Path) -> None:
    few = ("cohort.patients=16", "cohort.sites=2")
    plain = small_scenario(tmp_path, *few)
    heard = small_scenario(tmp_path, *few, _SOUNDS)
    write_hospitals(plain, tmp_path / "plain", seed=3)
    write_hospitals(heard, tmp_path / "heard", seed=3)
    before, after = _files(tmp_path / "plain"), _files(tmp_path / "heard")
    for name, content in before.items():
        if Path(name).name not in {"site.yaml", "study.yaml", "split.csv"}:
            assert after[name] == content
    more = {Path(name).suffix for name in set(after) - set(before)}
    assert more == {".wav", ".flac", ".csv"}
    for site in ("site-0001", "site-0002"):
        dataset = open_dataset(Site.read(tmp_path / "heard" / site / "site.yaml"), heard.study)
        assert dataset.tensors["sound_mask"].any()


def test_a_hospital_may_lack_recordings(tmp_path: Path) -> None:
    few = ("cohort.patients=16", "cohort.sites=1", "federation.minimum_sites=1")
    heard = small_scenario(tmp_path, *few, _SOUNDS, "cohort.lacks=[sounds]")
    (path,) = write_hospitals(heard, tmp_path / "out", seed=3)
    assert not open_dataset(Site.read(path), heard.study).tensors["sound_mask"].any()


def _auroc(model: torch.nn.Module, dataset: SiteDataset) -> float:
    """Over all held-out records, by ranks."""
    held_out = [*dataset.patients["validation"], *dataset.patients["test"]]
    batch = dataset.batch(np.concatenate(held_out))
    with torch.no_grad():
        scores = model.eval()(**batch).logits[:, 0].numpy()
    ill = batch["labels"][:, 0].numpy() == 1
    pairs = scores[ill][:, None] - scores[~ill][None]
    return float((pairs > 0).mean() + 0.5 * (pairs == 0).mean())


def test_what_only_the_sound_tells_is_learned(tmp_path: Path) -> None:
    scenario = small_scenario(
        tmp_path,
        _SOUNDS,
        *("labels=[copd]", "labs=[]", "cohort.lacks=[image, text, labs, demographics]"),
        *("cohort.patients=900", "cohort.sites=1", "federation.minimum_sites=1"),
        "cohort.split=iid",
    )
    (path,) = write_hospitals(scenario, tmp_path / "out", seed=0)
    dataset = open_dataset(Site.read(path), scenario.study)
    model = new_model(scenario.study, seed=0)
    training = np.concatenate(dataset.patients["train"])
    optimizer = torch.optim.AdamW(model.parameters(), lr=0.002)
    rng = np.random.default_rng(0)
    for _ in range(200):
        loss = model(**dataset.batch(rng.choice(training, 32))).loss
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    assert _auroc(model, dataset) > 0.9
    assert _auroc(model, without(dataset, "sounds")) == pytest.approx(0.5, abs=0.01)
