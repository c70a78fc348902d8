"""Whole comparisons in a folder: real hospitals on disk, real training, results and resuming."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from sklearn.metrics import roc_auc_score

from client.records.dataset import open_dataset
from client.site.site import Site
from client.training.exact import exact_histograms
from irene_model.errors import ConfigError
from irene_model.network.model import IreneModel
from irene_model.weights.weights import to_arrays
from simulations.compare.comparison_run import compare
from simulations.compare.judgement import without
from simulations.compare.trial_grid import Trial, grid
from simulations.hospitals.scenario import Scenario
from tests.helpers.federations.watched_comparison import SMALL, Watching, run, stamps
from tests.helpers.small_scenario import SCENARIO, small_scenario


def test_results_follow_the_contract(compared: Path) -> None:
    results = json.loads((compared / "results.json").read_text())
    assert results["schema"] == 1 and results["sites"] == ["north", "south"]
    assert results["labels"] == SCENARIO["study"]["labels"]
    for row in results["arms"].values():
        assert {"model", "rounds", "seconds", "auroc", "auprc", "calibration", "privacy"} <= set(
            row
        )
        assert set(row["auroc"]) == {"macro", "ci95", "by_label", "by_site"}
        assert set(row["calibration"]) >= {"brier", "ece"}
        assert [seed["seed"] for seed in row["seeds"]] == [0, 1]
        assert all(seed["auroc"]["ci95"] is not None for seed in row["seeds"])
        assert set(row["without"]) == {"image", "text", "labs", "demographics"}
        assert row["privacy"] == {}
    page = (compared / "report.html").read_text()
    assert "local-south/<wbr>irene" in page and "without text" in page


def test_a_rows_auroc_is_that_of_its_model_on_all_sites_test_patients(
    compared: Path, scenario: Scenario
) -> None:
    """By scikit-learn, on scores of the saved model; a patient weighs 1 over its records."""
    folder = compared / "seed-1" / "local-north" / "irene"
    model = IreneModel.from_pretrained(folder / "model").eval()
    scores, truth, weights = [], [], []
    for site in ("north", "south"):
        read = Site.read(compared / "seed-1" / "hospitals" / site / "site.yaml")
        dataset = open_dataset(read, scenario.study)
        for rows in dataset.patients["test"]:
            batch = dataset.batch(rows)
            labels = batch.pop("labels")
            batch.pop("label_mask")
            with torch.no_grad():
                scores.append(torch.sigmoid(model(**batch).logits).numpy())
            truth.append(labels.numpy())
            weights += [1 / len(rows)] * len(rows)
    by_label = json.loads((folder / "result.json").read_text())["auroc"]["by_label"]
    score, target = np.concatenate(scores), np.concatenate(truth)
    judged = 0
    for column, label in enumerate(scenario.study.labels):
        if 0 < target[:, column].sum() < len(target):
            expected = roc_auc_score(target[:, column], score[:, column], sample_weight=weights)
            assert by_label[label]["value"] == pytest.approx(expected, abs=0.02)  # binned scores
            judged += 1
    assert judged


def test_the_same_call_trains_nothing_again_and_more_seeds_only_themselves(
    compared: Path, scenario: Scenario
) -> None:
    before, results = stamps(compared), json.loads((compared / "results.json").read_text())
    again, watching = run(scenario, compared)
    assert again == results and stamps(compared) == before
    assert len(watching.rows) == 6 and watching.drawn == 0
    _, watching = run(scenario, compared, arms=["central"], seeds=3)
    after = stamps(compared)
    assert {name: after[name] for name in before} == before
    assert {name.split("/")[0] for name in set(after) - set(before)} == {"seed-2"}
    run(scenario, compared)


def test_a_lost_trial_is_trained_again_to_the_same_numbers(
    compared: Path, scenario: Scenario
) -> None:
    path = compared / "seed-0" / "central" / "irene" / "result.json"
    whole = json.loads(path.read_text())
    path.unlink()
    (path.parent / "model" / "model.safetensors").write_bytes(b"half a file")
    run(scenario, compared)
    again = json.loads(path.read_text())
    assert again["auroc"] == whole["auroc"] and again["without"] == whole["without"]


def test_what_was_begun_otherwise_is_refused(compared: Path, tmp_path: Path) -> None:
    before = stamps(compared)
    other = small_scenario(tmp_path, *SMALL, "training.learning_rate=0.5", "cohort.alpha=2")
    with pytest.raises(ConfigError) as error:
        run(other, compared)
    assert "study.training.learning_rate, cohort.alpha differ; give a new folder" in str(
        error.value
    )
    full = tmp_path / "full"
    full.mkdir()
    (full / "thesis.txt").touch()
    with pytest.raises(ConfigError, match="is not empty and holds no comparison"):
        run(other, full)
    joined = small_scenario(tmp_path, *SMALL, "join=[somewhere/site.yaml]")
    with pytest.raises(ConfigError, match="join: a comparison takes real folders or"):
        run(joined, tmp_path / "new")
    assert stamps(compared) == before and not (tmp_path / "new").exists()


def test_a_variant_that_changed_is_refused(compared: Path, tmp_path: Path) -> None:
    def with_variant(layers: int) -> list[Trial]:
        variants = f"compare.variants={{short: ['model.num_hidden_layers={layers}']}}"
        varied = small_scenario(tmp_path, *SMALL, variants)
        trials = grid(varied, arms=["central"], models=["short"], seeds=1)
        compare(varied, trials, compared, parallel=1, observer=Watching())
        return trials

    with_variant(1)
    with pytest.raises(ConfigError, match="was trained under other settings of 'short'"):
        with_variant(2)


def test_taking_a_modality_leaves_nothing_of_it(compared: Path, scenario: Scenario) -> None:
    site = Site.read(compared / "seed-0" / "hospitals" / "north" / "site.yaml")
    dataset = open_dataset(site, scenario.study)
    weights = to_arrays(
        IreneModel.from_pretrained(compared / "seed-0" / "central" / "irene" / "model")
    )

    def histograms(of: Any) -> Any:
        return exact_histograms(weights, of, "train", torch.device("cpu"))

    changed = replace(
        dataset,
        pixels=255 - dataset.pixels,
        tensors={
            **dataset.tensors,
            "input_ids": dataset.tensors["input_ids"].flip(0),
            "lab_values": dataset.tensors["lab_values"] + 1,
            "age": 1 - dataset.tensors["age"],
            "sex": 1 - dataset.tensors["sex"],
        },
    )
    assert (histograms(dataset) != histograms(changed)).any()
    for modality, inputs in {
        "image": ["pixels"],
        "text": ["input_ids"],
        "labs": ["lab_values"],
        "demographics": ["age", "sex"],
    }.items():
        other = replace(
            dataset,
            pixels=changed.pixels if inputs == ["pixels"] else dataset.pixels,
            tensors={
                name: changed.tensors[name] if name in inputs else tensor
                for name, tensor in dataset.tensors.items()
            },
        )
        taken = histograms(without(dataset, modality))  # type: ignore[arg-type]
        np.testing.assert_array_equal(taken, histograms(without(other, modality)))  # type: ignore[arg-type]
        assert (taken != histograms(dataset)).any(), modality
