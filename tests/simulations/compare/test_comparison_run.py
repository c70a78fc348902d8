"""Whole comparisons in a folder: real hospitals on disk, real training, results and resuming."""

import json
import os
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import yaml
from sklearn.metrics import roc_auc_score

from client.ledger.exposures import at_most, least_exposures
from client.ledger.ledger import Ledger
from client.records.dataset import open_dataset
from client.site.site import Site
from irene_model.errors import ConfigError
from irene_model.network.model import IreneModel
from irene_model.weights.weights import to_arrays
from simulations.compare.arms import exact_histograms
from simulations.compare.comparison_run import compare
from simulations.compare.judgement import without
from simulations.compare.trial_grid import Trial, grid
from simulations.hospitals.scenario import Scenario
from tests.helpers.small_scenario import SCENARIO, small_scenario

SMALL = (
    "cohort.patients=48",
    "cohort.sites=[{name: north}, {name: south}]",
    "federation.rounds=2",
    "federation.local_steps=1",
    "federation.round_deadline_s=600",
)
ARMS = ["central", "local"]


class Watching:
    """Writes down what a comparison tells."""

    def __init__(self) -> None:
        self.rows: list[tuple[int, str, int, int]] = []
        self.drawn = 0

    def hospitals(self, done: int, total: int) -> None:
        self.drawn += done == total

    def trials(self, total: int) -> None:
        self.total = total

    def trial(self, trial: Trial, result: dict[str, Any], done: int, total: int) -> None:
        assert result["seed"] == trial.seed and result["model"] == trial.model
        assert total == self.total
        self.rows.append((trial.seed, trial.row, done, total))


def run(
    scenario: Scenario, out: Path, *, arms: list[str] = ARMS, seeds: int = 2, parallel: int = 1
) -> tuple[dict[str, Any], Watching]:
    watching = Watching()
    trials = grid(scenario, arms=arms, seeds=seeds)
    results = compare(scenario, trials, out, parallel=parallel, observer=watching)
    assert json.loads((out / "results.json").read_text()) == results
    return results, watching


@pytest.fixture(scope="module")
def scenario(tmp_path_factory: pytest.TempPathFactory) -> Scenario:
    return small_scenario(tmp_path_factory.mktemp("scenario"), *SMALL)


@pytest.fixture(scope="module")
def compared(scenario: Scenario, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("compared") / "out"
    results, watching = run(scenario, out)
    assert list(results["arms"]) == ["central/irene", "local-north/irene", "local-south/irene"]
    assert [done for _, _, done, _ in watching.rows] == [1, 2, 3, 4, 5, 6]
    assert watching.drawn == 2  # one cohort a seed, whatever the number of arms
    return out


def stamps(out: Path) -> dict[str, int]:
    return {str(p.relative_to(out)): p.stat().st_mtime_ns for p in out.glob("seed-*/*/*/*.json")}


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
    assert "local-south/irene" in page and "without text" in page


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


def command(out: Path, *arguments: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-c", "from simulations.cli import main; main()", "compare", *arguments],
        cwd=out.parent,
        env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[3])},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )


@pytest.mark.slow
def test_after_kill_9_the_same_command_goes_on(
    compared: Path, scenario: Scenario, tmp_path: Path
) -> None:
    path, out = tmp_path / "scenario.yaml", tmp_path / "out"
    path.write_text(yaml.safe_dump(scenario.model_dump(mode="json")), encoding="utf-8")
    arguments = ["scenario.yaml", "--out", "out", "--arms", "central,local", "--seeds", "2",
                 "--parallel", "2"]  # fmt: skip
    first = command(out, *arguments)
    deadline = time.monotonic() + 300
    while not stamps(out) and time.monotonic() < deadline:
        assert first.poll() is None, first.communicate()
        time.sleep(0.05)
    os.kill(first.pid, signal.SIGKILL)
    first.communicate()
    while time.monotonic() < deadline:  # its workers end by themselves
        try:
            os.killpg(first.pid, 0)
        except ProcessLookupError:
            break
        time.sleep(0.2)
    else:
        raise AssertionError("a worker outlived its parent")
    kept = stamps(out)
    assert 0 < len(kept) < 6
    second = command(out, *arguments)
    printed, said = second.communicate(timeout=600)
    assert second.returncode == 0, said
    assert "local-south/irene" in printed and str(Path("out") / "report.html") in printed
    assert {name: stamps(out)[name] for name in kept} == kept
    results, expected = (
        json.loads((folder / "results.json").read_text())["arms"] for folder in (out, compared)
    )
    for row in expected:  # several processes train what one would
        assert results[row]["auroc"]["macro"] == pytest.approx(
            expected[row]["auroc"]["macro"], abs=5e-3
        )


@pytest.mark.slow
def test_a_killed_worker_is_one_line_and_exit_code_1(scenario: Scenario, tmp_path: Path) -> None:
    path, out = tmp_path / "scenario.yaml", tmp_path / "out"
    path.write_text(yaml.safe_dump(scenario.model_dump(mode="json")), encoding="utf-8")
    begun = command(out, "scenario.yaml", "--out", "out", "--arms", "local", "--seeds", "1",
                    "--parallel", "2", "--set", "federation.rounds=4000")  # fmt: skip
    deadline = time.monotonic() + 300
    while not list(out.glob("seed-0/local-*/irene")) and time.monotonic() < deadline:
        assert begun.poll() is None, begun.communicate()
        time.sleep(0.1)
    listed = subprocess.run(
        ["ps", "-ww", "-o", "pid=,args=", "--ppid", str(begun.pid)],
        capture_output=True, text=True, check=True,
    ).stdout  # fmt: skip
    workers = [int(line.split()[0]) for line in listed.splitlines() if "spawn_main" in line]
    assert workers
    os.kill(workers[0], signal.SIGKILL)
    _, said = begun.communicate(timeout=120)
    assert begun.returncode == 1
    assert said.startswith("error: a training's process was killed") and said.count("\n") == 1


@pytest.mark.slow
def test_federated_arms_run_on_the_engine_with_ledgers_of_their_own(
    scenario: Scenario, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    results, _ = run(scenario, out, arms=["federated-dp", "federated"], seeds=1)
    private = results["arms"]["federated-dp/irene"]
    plain = results["arms"]["federated/irene"]
    assert {s["epsilon"] for s in plain["privacy"].values()} == {None}
    place = out / "seed-0" / "federated-dp" / "irene"
    for site in ("north", "south"):
        spent = private["privacy"][site]["epsilon"]
        ledger = Ledger(place / "run" / "ledgers" / f"{site}.sqlite", None)
        charged = ledger.reservations()
        assert sum(r.split == "train" for r in charged) == 2
        assert at_most(least_exposures(charged, delta=1e-3), delta=1e-3).smallest == spent
        assert 0 < spent <= 8
        assert not list((out / "seed-0" / "hospitals" / site / ".irene").glob("ledger*"))
    kept = json.loads((place / "result.json").read_text())
    written = (place / "run" / "rounds.jsonl").read_text(encoding="utf-8")
    lines = [json.loads(line) for line in written.splitlines()]
    assert kept["validation"] == {str(line["round"]): line["evaluation"]["auroc"] for line in lines}
    assert [p.name for p in (place / "run" / "checkpoints").iterdir()] == ["round-0002"]
    before = stamps(out)
    run(scenario, out, arms=["federated-dp", "federated"], seeds=1)
    assert stamps(out) == before


@pytest.mark.slow
def test_the_command_teaches_and_refuses_on_one_line(tmp_path: Path) -> None:
    (tmp_path / "scenario.yaml").write_text(yaml.safe_dump(SCENARIO), encoding="utf-8")
    helped = command(tmp_path / "out", "--help")
    printed, _ = helped.communicate(timeout=120)
    for word in ("--arms", "--models", "--seeds", "--parallel", "reference", "Example:"):
        assert word in printed
    wrong = command(tmp_path / "out", "scenario.yaml", "--out", "out", "--arms", "centrel")
    _, said = wrong.communicate(timeout=120)
    assert wrong.returncode == 2
    assert said.startswith("error: --arms: there is no arm 'centrel'; did you mean 'central'?")
    assert said.count("\n") == 1 and not (tmp_path / "out").exists()
