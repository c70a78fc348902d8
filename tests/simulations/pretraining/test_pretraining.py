"""Pretraining on a public folder: what it reads, what it leaves, and how it goes on."""

import json
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import yaml
from safetensors.torch import load_file

from client.fine_tuning.epochs import Recipe
from client.records.dataset import open_dataset
from client.records.tables import read_placed_records
from client.site.site import Site
from client.training.exact import exact_histograms
from irene_model.errors import CheckpointError, ConfigError
from irene_model.metrics.metrics import macro_auroc
from irene_model.network.model import IreneModel
from irene_model.study.study import Study
from irene_model.weights.starting import StartingPoint
from irene_model.weights.weights import to_arrays
from server.runs.run_folder import RunFolder
from simulations.compare.arms import Member, train_at_one_place, without_privacy
from simulations.hospitals.hospitals import write_hospitals
from simulations.pretraining.pretraining import Progress, pretrain
from simulations.pretraining.start_only import judge_start
from tests.helpers.small_scenario import small_scenario

RECIPE = Recipe(epochs=3, batch=16, rate=0.01, seed=2)
WEIGHTS, UNFINISHED = "model.safetensors", "unfinished.safetensors"
DROPOUT = ("model.hidden_dropout_prob=0.2", "training.modality_dropout.text=0.3")


class CutError(Exception):
    """The process that trains is gone."""


@pytest.fixture(scope="module")
def archive(tmp_path_factory: pytest.TempPathFactory) -> Path:
    scenario = small_scenario(
        tmp_path_factory.mktemp("scenario"),
        "cohort.patients=60",
        "cohort.sites=[{name: archive, archive: true}]",
    )
    (written,) = write_hospitals(scenario, tmp_path_factory.mktemp("out") / "a", seed=0)
    return written


def study_of(archive: Path, *overrides: str) -> Study:
    return Study.read(archive.parent.parent / "study.yaml", overrides)


def state_of(folder: Path) -> dict[str, torch.Tensor]:
    return load_file(folder / WEIGHTS)


def test_an_interrupted_pretraining_equals_an_uninterrupted_one(
    archive: Path, tmp_path: Path
) -> None:
    study = study_of(archive, *DROPOUT)
    told = pretrain(study, [archive], tmp_path / "whole", RECIPE)

    def cut_after(last: int) -> Progress:
        def cut(epoch: int, _epochs: int, _auroc: float | None) -> None:
            if epoch == last:
                raise CutError

        return cut

    for last in (1, 2):
        with pytest.raises(CutError):
            pretrain(study, [archive], tmp_path / "cut", RECIPE, progress=cut_after(last))
        assert not (tmp_path / "cut" / WEIGHTS).exists()
    (tmp_path / "cut" / f"{UNFINISHED}.partial").write_bytes(b"half")  # cut off while it wrote
    seen: list[int] = []
    again = pretrain(
        study, [archive], tmp_path / "cut", RECIPE, progress=lambda done, *_: seen.append(done)
    )
    assert seen == [3]
    assert again.model_dump(exclude={"name"}) == told.model_dump(exclude={"name"})
    whole, resumed = state_of(tmp_path / "whole"), state_of(tmp_path / "cut")
    assert all(torch.equal(whole[name], resumed[name]) for name in whole)
    assert not list((tmp_path / "cut").glob("unfinished*"))


def test_the_kept_epoch_is_the_best_by_validation_and_the_folder_says_so(
    archive: Path, tmp_path: Path
) -> None:
    study, aurocs = study_of(archive), list[float]()

    def note(_done: int, _all: int, auroc: float | None) -> None:
        assert auroc is not None
        aurocs.append(auroc)

    told = pretrain(study, [archive], tmp_path / "start", RECIPE, progress=note)
    assert told.kept_epoch == 1 + int(np.argmax(aurocs)) and told.epochs == len(aurocs) == 3
    assert told.validation.auroc == pytest.approx(max(aurocs))
    dataset = open_dataset(Site.read_public(archive), study)
    weights = to_arrays(IreneModel.from_pretrained(tmp_path / "start"))
    histograms = exact_histograms(weights, dataset, "test", torch.device("cpu"))
    assert told.test.auroc == pytest.approx(macro_auroc([histograms]))
    assert told.training_patients == len(dataset.patients["train"])
    text = (tmp_path / "start" / "provenance.json").read_text()
    assert json.loads(text)["privacy"] == "none"
    for placed in read_placed_records(Site.read_public(archive), study):
        assert placed.record.patient_id not in text and placed.record.record_id not in text
    # All is trained, also what the study would not train, and no ledger is anywhere.
    first, _ = StartingPoint().model(study, seed=RECIPE.seed)
    assert all((weights[name] != array).any() for name, array in to_arrays(first).items())
    assert not list(archive.parent.rglob("*ledger*"))


def test_a_run_starts_from_it_and_a_local_training_too(archive: Path, tmp_path: Path) -> None:
    study = study_of(archive, "federation.rounds=1")
    pretrain(study, [archive], tmp_path / "start", RECIPE)
    start = StartingPoint(irene=tmp_path / "start")
    run = RunFolder.create(
        tmp_path / "run", study, seed=9, start=start, site_files=[str(archive.resolve())]
    )
    kept = state_of(tmp_path / "start")
    for name, array in run.load_checkpoint(0).items():
        np.testing.assert_array_equal(array, kept[name].numpy())
    judge_start(run)
    told = json.loads((tmp_path / "start" / "provenance.json").read_text())
    judged = run.info["start_only"]
    assert judged["auroc"]["macro"] == pytest.approx(told["test"]["auroc"])  # the same patients
    assert judged["rounds"] == 0 and judged["privacy"] == {}
    slow = without_privacy(study_of(archive, "federation.rounds=1", "training.learning_rate=1e-9"))
    member = Member(
        site=Site.read_public(archive), dataset=open_dataset(Site.read_public(archive), slow)
    )
    fitted = train_at_one_place(slow, [member], name="central", seed=0, start=start)
    for name, array in fitted.weights.items():
        np.testing.assert_allclose(array, kept[name].numpy(), atol=1e-6)


def test_an_archive_is_no_hospital_of_the_same_seed(archive: Path, tmp_path: Path) -> None:
    scenario = small_scenario(
        tmp_path / "s",
        "cohort.patients=60",
        "cohort.sites=[{name: north}, {name: a, archive: true}]",
    )
    north, other = write_hospitals(scenario, tmp_path / "h", seed=0)
    ages = [
        sorted(
            line.split(",")[4] for line in (path.parent / "encounters.csv").read_text().splitlines()
        )
        for path in (north, other)
    ]
    assert ages[0] != ages[1]
    assert yaml.safe_load(north.read_text())["budget"] != "none"
    assert yaml.safe_load(other.read_text())["budget"] == "none"


@pytest.mark.parametrize(
    ("site", "message"),
    [
        ({"budget": {"epsilon": 8, "delta": 1e-5}}, "budget: this folder's patients are protected"),
        ({"splits": {"validation": 0.0, "test": 0.1}}, "no validation patients"),
        ({"labels": {"gout": {"column": "x"}}}, "gout: the study 'small' has no such name"),
    ],
)
def test_what_is_not_public_or_not_enough_is_refused(
    archive: Path, tmp_path: Path, site: dict[str, Any], message: str
) -> None:
    path = archive.with_name("other.yaml")
    path.write_text(yaml.safe_dump({**yaml.safe_load(archive.read_text()), **site}))
    with pytest.raises(ConfigError, match=message):
        pretrain(study_of(archive), [path], tmp_path / "start", RECIPE)
    assert not list(tmp_path.glob("start/model*"))


def test_a_site_file_without_any_budget_will_do(archive: Path) -> None:
    path = archive.with_name("bare.yaml")
    document = yaml.safe_load(archive.read_text())
    del document["budget"]
    path.write_text(yaml.safe_dump(document))
    assert Site.read_public(path).budget == "none"


def test_a_folder_that_holds_something_else_is_refused(archive: Path, tmp_path: Path) -> None:
    study, one = study_of(archive), Recipe(epochs=1, batch=16)

    def cut(*_: object) -> None:
        raise CutError

    out = tmp_path / "start"
    with pytest.raises(CutError):
        pretrain(study, [archive], out, one, progress=cut)
    with pytest.raises(ConfigError, match="was begun with another rate"):
        pretrain(study, [archive], out, Recipe(epochs=1, batch=16, rate=0.5))
    pretrain(study, [archive], out, one)
    with pytest.raises(ConfigError, match="holds a finished model"):
        pretrain(study, [archive], out, one)
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "letter.txt").write_text("hello")
    with pytest.raises(ConfigError, match="is not empty"):
        pretrain(study, [archive], tmp_path / "full", one)
    (tmp_path / "bad").mkdir()
    (tmp_path / "bad" / UNFINISHED).write_bytes(b"\x80\x04no")
    with pytest.raises(CheckpointError, match="is damaged; remove it and begin anew"):
        pretrain(study, [archive], tmp_path / "bad", one)


def test_the_rate_warms_up_and_falls() -> None:
    rates = [Recipe(rate=1.0).rate_at(step, 100) for step in range(100)]
    assert rates[:5] == pytest.approx([0.2, 0.4, 0.6, 0.8, 1.0])
    assert rates[5] == 1.0 and rates[99] == pytest.approx(0.02, abs=1e-3)
    assert all(later <= earlier for earlier, later in pairwise(rates[5:]))
