"""A federation's model trained on at a hospital: what is kept, what it says, where it can't go."""

import json
import stat
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
import yaml
from safetensors.numpy import load_file
from typer.testing import CliRunner

from client import cli
from client.fine_tuning.epochs import Recipe
from client.fine_tuning.fine_tuning import Progress, fine_tune, fitted_at_home
from client.fine_tuning.gain import gain_of
from client.records.dataset import open_dataset
from client.records.tables import read_placed_records
from client.site.site import Site
from client.training.exact import exact_histograms
from irene_model.errors import CheckpointError, ConfigError
from irene_model.inputs.processor import IreneProcessor
from irene_model.metrics import macro_auroc
from irene_model.study.recipe import NamedSubset
from irene_model.study.study import Study
from irene_model.weights.starting import StartingPoint
from irene_model.weights.weights import new_model, to_arrays
from simulations.hospitals.hospitals import write_hospitals
from tests.helpers.small_scenario import small_scenario

RECIPE = Recipe(epochs=4, batch=8, rate=0.01, seed=2)
STILL = replace(RECIPE, rate=0.0)


class CutError(Exception):
    """The process that trains is gone."""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A hospital, its study, and a model in `model/` as a run leaves it."""
    place = tmp_path_factory.mktemp("home")
    scenario = small_scenario(
        place, "cohort.patients=90", "cohort.sites=[{name: north}]", "model.hidden_dropout_prob=0.1"
    )
    (written,) = write_hospitals(scenario, place / "hospitals", seed=0)
    new_model(scenario.study, seed=1).save_pretrained(place / "model")
    IreneProcessor(scenario.study).save_pretrained(place / "model")
    return written.parent


def parts(folder: Path) -> tuple[Site, Study, Path]:
    return (
        Site.read(folder / "site.yaml"),
        Study.read(folder.parent / "study.yaml"),
        folder.parent.parent / "model",
    )


def test_the_kept_epoch_is_the_best_and_its_gain_is_that_of_its_weights(
    folder: Path, tmp_path: Path
) -> None:
    site, study, model = parts(folder)
    seen: list[float] = []

    def note(_done: int, _all: int, auroc: float | None) -> None:
        assert auroc is not None
        seen.append(auroc)

    told, gain = fine_tune(site, study, model, tmp_path / "own", RECIPE, anew=2, progress=note)
    dataset, cpu = open_dataset(site, study), torch.device("cpu")
    start = load_file(model / "model.safetensors")
    kept = load_file(tmp_path / "own" / "model.safetensors")

    def auroc(weights: dict[str, np.ndarray], split: str) -> float | None:
        return macro_auroc([exact_histograms(weights, dataset, split, cpu)])  # type: ignore[arg-type]

    judged = [auroc(start, "validation"), *seen]
    assert len(seen) == told.epochs == 6 and told.anew == 2
    assert told.kept_epoch == int(np.argmax(judged)) > 0
    assert auroc(kept, "validation") == max(judged)
    assert gain.before.auroc == auroc(start, "test") and gain.after.auroc == auroc(kept, "test")
    assert gain.difference == pytest.approx(gain.after.auroc - gain.before.auroc)
    assert gain.ci95 is not None and gain.ci95[0] <= gain.difference <= gain.ci95[1]
    assert not list(folder.glob(".irene/ledger*"))  # nothing leaves, so nothing is charged


def test_the_federations_weights_stay_where_nothing_is_better(folder: Path, tmp_path: Path) -> None:
    site, study, model = parts(folder)
    told, gain = fine_tune(site, study, model, tmp_path / "own", STILL, anew=0)
    assert told.kept_epoch == 0 and told.anew == 0
    assert gain.difference == 0 and gain.ci95 == (0.0, 0.0)
    start, kept = (load_file(f / "model.safetensors") for f in (model, tmp_path / "own"))
    assert all((start[name] == kept[name]).all() for name in start)


@pytest.mark.parametrize("last", [2, 4, 5])
def test_an_interrupted_fine_tuning_equals_an_uninterrupted_one(
    folder: Path, tmp_path: Path, last: int
) -> None:
    """Within the first model's epochs, between both, and within the second's."""
    site, study, model = parts(folder)
    told, _ = fine_tune(site, study, model, tmp_path / "whole", RECIPE, anew=2)

    def cut_after(last: int) -> Progress:
        def cut(epoch: int, _epochs: int, _auroc: float | None) -> None:
            if epoch == last:
                raise CutError

        return cut

    out = tmp_path / "cut"
    with pytest.raises(CutError):
        fine_tune(site, study, model, out, RECIPE, anew=2, progress=cut_after(last))
    with pytest.raises(ConfigError, match="was begun with another rate"):
        fine_tune(site, study, model, out, STILL, anew=2)
    with pytest.raises(ConfigError, match="was begun with another anew"):
        fine_tune(site, study, model, out, RECIPE, anew=3)
    again, _ = fine_tune(site, study, model, out, RECIPE, anew=2)
    assert again == told
    whole, resumed = (load_file(f / "model.safetensors") for f in (tmp_path / "whole", out))
    assert all((whole[name] == resumed[name]).all() for name in whole)
    with pytest.raises(ConfigError, match="holds a finished model"):
        fine_tune(site, study, model, out, RECIPE, anew=2)


def test_the_folder_is_private_names_nobody_and_starts_nothing(
    folder: Path, tmp_path: Path
) -> None:
    site, study, model = parts(folder)
    out = tmp_path / "own"
    fine_tune(site, study, model, out, replace(RECIPE, epochs=1), anew=0)
    assert stat.S_IMODE(out.stat().st_mode) == 0o700
    text = (out / "provenance.json").read_text()
    for placed in read_placed_records(site, study):
        assert placed.record.patient_id not in text and placed.record.record_id not in text
    with pytest.raises(CheckpointError, match="must not leave that hospital"):
        StartingPoint(irene=out).model(study, seed=0)
    with pytest.raises(CheckpointError, match="must not leave that hospital"):
        fine_tune(site, study, out, tmp_path / "again", RECIPE)


def test_what_was_cut_off_before_it_said_what_it_is_starts_nothing_either(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    site, study, model = parts(folder)
    out = tmp_path / "own"

    def cut(*_: object) -> None:
        raise CutError

    with monkeypatch.context() as patched:
        patched.setattr("client.fine_tuning.fine_tuning.finish", cut)
        with pytest.raises(CutError):
            fine_tune(site, study, model, out, replace(RECIPE, epochs=1), anew=0)
    assert (out / "model.safetensors").exists() and not (out / "provenance.json").exists()
    with pytest.raises(CheckpointError, match="its training is not finished"):
        StartingPoint(irene=out).model(study, seed=0)
    fine_tune(site, study, model, out, replace(RECIPE, epochs=1), anew=0)
    with pytest.raises(CheckpointError, match="must not leave that hospital"):
        StartingPoint(irene=out).model(study, seed=0)


def test_only_what_the_study_trains_is_trained(folder: Path) -> None:
    site, study, _ = parts(folder)
    training = study.training.model_copy(update={"parameters": {"kind": "head"}})
    training = study.training.model_copy(update={"parameters": NamedSubset(kind="head")})
    study = study.model_copy(update={"training": training})
    start = to_arrays(new_model(study, seed=1))
    reached = fitted_at_home(start, site, open_dataset(site, study), RECIPE)
    assert reached.epoch == RECIPE.epochs  # fresh weights around a head would know nothing
    moved = {name for name in start if (reached.weights[name] != start[name]).any()}
    assert moved and all(name.startswith("head") for name in moved)


def test_nobody_to_choose_by_or_to_train_on_is_refused(folder: Path, tmp_path: Path) -> None:
    site, study, model = parts(folder)
    other = folder / "other.yaml"
    document = yaml.safe_load((folder / "site.yaml").read_text())
    other.write_text(yaml.safe_dump(document | {"splits": {"validation": 0.0, "test": 0.2}}))
    with pytest.raises(ConfigError, match="can't choose between two models"):
        fine_tune(Site.read(other), study, model, tmp_path / "own", RECIPE)
    assert not list(tmp_path.glob("own/model*"))
    dataset = open_dataset(site, study)
    nobody = replace(dataset, patients={**dataset.patients, "train": ()})
    with pytest.raises(ConfigError, match="no train patients"):
        fitted_at_home(to_arrays(new_model(study, seed=1)), site, nobody, RECIPE)


def test_the_same_weights_gain_nothing(folder: Path) -> None:
    site, study, _ = parts(folder)
    weights = to_arrays(new_model(study, seed=1))
    gain = gain_of(weights, weights, site, open_dataset(site, study))
    assert gain.difference == 0 and gain.ci95 == (0, 0) and gain.before == gain.after


def test_the_command_says_what_it_gained(folder: Path, tmp_path: Path) -> None:
    _, _, model = parts(folder)
    arguments = [
        *("fine-tune", str(folder / "site.yaml"), "--study", str(folder.parent / "study.yaml")),
        *("--model", str(model), "--epochs", "1", "--anew", "1", "--batch", "8"),
    ]
    done = CliRunner().invoke(cli.app, [*arguments, "--out", str(tmp_path / "a")])
    assert done.exit_code == 0, done.output
    assert "must stay in the hospital" in " ".join(done.output.split())
    assert "macro" in done.output and "kept     epoch" in done.output
    done = CliRunner().invoke(cli.app, [*arguments, "--out", str(tmp_path / "b"), "--json"])
    told = json.loads(done.stdout)
    assert told["kind"] == "fine_tuned" and told["before"]["patients"] > 0
