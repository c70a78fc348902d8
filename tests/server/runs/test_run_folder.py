"""The run folder: whole or not there, and taken up again where it stopped."""

import json
import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from irene_model.errors import CheckpointError, ConfigError
from irene_model.exchange.protocol import Arrays
from irene_model.network.model import IreneModel
from irene_model.study.study import Study
from irene_model.weights.weights import new_model, to_arrays
from server.runs.run_folder import RunFolder, arm_name
from tests.helpers.hospital_folder import SMALL, STUDY


def study(**changes: Any) -> Study:
    return Study.model_validate({**STUDY, "model": SMALL, **changes})


@pytest.fixture
def folder(tmp_path: Path) -> RunFolder:
    """A new run."""
    return RunFolder.create(tmp_path / "run", study(), seed=3, color="blue")


def after(folder: RunFolder, round: int) -> Arrays:
    """Weights that tell the round they are of."""
    return {name: array + round for name, array in folder.load_checkpoint(0).items()}


def play(folder: RunFolder, *rounds: int) -> None:
    """What the round loop writes."""
    for round in rounds:
        folder.save_checkpoint(round, after(folder, round))
        folder.append_round({"round": round, "loss": 1 / round})


def assert_same(left: Arrays, right: Arrays) -> None:
    assert left.keys() == right.keys()
    for name, array in left.items():
        np.testing.assert_array_equal(array, right[name], err_msg=name)


def test_a_new_run_has_initial_weights_and_says_what_it_is(folder: RunFolder) -> None:
    info = json.loads((folder.path / "run.json").read_text())
    assert info["seed"] == 3 and info["color"] == "blue" and info["arm"] == "federated-dp"
    assert info["fingerprint"] == study().fingerprint
    assert {"torch", "flwr", "opacus", "python"} <= info["versions"].keys()
    assert info["finished"] is None
    assert Study.read(folder.path / "study.yaml") == study()
    assert folder.last_round == 0 and folder.rounds() == []
    assert_same(folder.load_checkpoint(0), to_arrays(new_model(study(), seed=3)))


def test_runs_have_names_of_their_own(tmp_path: Path) -> None:
    names = {RunFolder.create(tmp_path / n, study(), seed=0).info["run"] for n in ("a", "b")}
    assert len(names) == 2


def test_the_arm_says_whether_there_is_privacy() -> None:
    assert arm_name(study(privacy={"noise_multiplier": 0.0})) == "federated"
    assert arm_name(study(privacy={"noise_multiplier": 1.0})) == "federated-dp"


def test_a_folder_that_holds_something_is_refused(folder: RunFolder, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="is not empty"):
        RunFolder.create(folder.path, study(), seed=0)
    (tmp_path / "other").mkdir()
    RunFolder.create(tmp_path / "other", study(), seed=0)  # empty is as good as new


def test_a_checkpoint_is_a_model_that_anyone_can_load(folder: RunFolder) -> None:
    play(folder, 1)
    model = IreneModel.from_pretrained(folder.checkpoint(1))
    assert_same(to_arrays(model), after(folder, 1))
    assert list(model.config.id2label.values()) == list(STUDY["labels"])


def test_a_run_resumes_from_its_last_round(folder: RunFolder) -> None:
    play(folder, 1, 2)
    again = RunFolder.resume(folder.path)
    assert again.study == folder.study
    assert again.info == folder.info | {"restarted": [3], "stopped": None}  # 3 may have begun
    assert RunFolder.resume(folder.path).info["restarted"] == [3]
    assert again.last_round == 2
    assert [line["round"] for line in again.rounds()] == [1, 2]
    assert_same(again.load_checkpoint(2), after(folder, 2))


def test_a_partial_checkpoint_is_ignored_and_written_over(folder: RunFolder) -> None:
    play(folder, 1)
    partial = folder.checkpoint(2).with_suffix(".partial")
    partial.mkdir()
    (partial / "model.safetensors").write_bytes(b"half")
    again = RunFolder.resume(folder.path)
    assert again.last_round == 1
    play(again, 2)
    assert not partial.exists()
    assert_same(again.load_checkpoint(2), after(folder, 2))


def test_a_checkpoint_appears_whole(folder: RunFolder, monkeypatch: pytest.MonkeyPatch) -> None:
    play(folder, 1)

    def crash(_arrays: Arrays, path: Path, **_told: object) -> None:
        path.write_bytes(b"half of it")
        raise OSError("the disk is full")

    monkeypatch.setattr("server.runs.model_files.save_file", crash)
    with pytest.raises(OSError, match="full"):
        folder.save_checkpoint(2, after(folder, 2))
    assert RunFolder.resume(folder.path).last_round == 1


def test_a_round_whose_line_is_missing_is_trained_again(folder: RunFolder) -> None:
    """The server was killed after the checkpoint, while the round was evaluated."""
    play(folder, 1)
    folder.save_checkpoint(2, after(folder, 2))
    again = RunFolder.resume(folder.path)
    assert again.last_round == 1
    assert not again.checkpoint(2).exists()


def test_a_line_that_was_cut_off_goes_with_its_round(folder: RunFolder) -> None:
    play(folder, 1, 2)
    lines = folder.path / "rounds.jsonl"
    lines.write_text(lines.read_text()[:-9])
    again = RunFolder.resume(folder.path)
    assert again.last_round == 1
    play(again, 2)
    assert [json.loads(line)["round"] for line in lines.read_text().splitlines()] == [1, 2]


def test_a_line_without_a_checkpoint_goes(folder: RunFolder) -> None:
    """The run was stopped for want of budget; resumed, the round is asked for again."""
    play(folder, 1)
    folder.append_round({"round": 2, "checkpoint": None})
    folder.update_info(stopped="round 2: too few sites have budget left")
    again = RunFolder.resume(folder.path)
    assert [line["round"] for line in again.rounds()] == [1]
    assert again.info["stopped"] is None


def test_lost_lines_are_no_reason_to_throw_checkpoints_away(folder: RunFolder) -> None:
    play(folder, 1, 2, 3)
    (folder.path / "rounds.jsonl").unlink()
    with pytest.raises(CheckpointError, match="lacks the line of round 1"):
        RunFolder.resume(folder.path)
    assert folder.last_round == 3


def test_what_is_no_run_is_refused(folder: RunFolder, tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match=r"run\.json is missing"):
        RunFolder.resume(tmp_path)
    (folder.path / "run.json").write_text("{")
    with pytest.raises(CheckpointError, match="not valid JSON"):
        RunFolder.resume(folder.path)


def test_a_changed_study_is_refused(folder: RunFolder) -> None:
    path = folder.path / "study.yaml"
    path.write_text(path.read_text().replace("epsilon: 8", "epsilon: 9"))
    with pytest.raises(CheckpointError, match=r"study\.yaml: was changed since the run started"):
        RunFolder.resume(folder.path)


def test_a_run_without_checkpoints_is_refused(folder: RunFolder) -> None:
    folder.checkpoint(0).rename(folder.checkpoint(0).with_suffix(".partial"))
    with pytest.raises(CheckpointError, match="no checkpoint"):
        RunFolder.resume(folder.path)


def test_results_hold_no_nan_and_are_written_all_the_same(folder: RunFolder) -> None:
    results = {"auroc": float("nan"), "sites": [{"loss": float("-inf")}, 1.5, "n"]}
    written = folder.write_results(results).read_text(encoding="utf-8")
    assert json.loads(written) == {"auroc": None, "sites": [{"loss": None}, 1.5, "n"]}
    assert "NaN" not in written and "Infinity" not in written


def test_another_process_gets_the_folder_without_the_model_in_it(folder: RunFolder) -> None:
    weights = after(folder, 0)
    copy = pickle.loads(pickle.dumps(folder))
    # torch would move a model's memory to be shared, while a checkpoint is written from it.
    assert not any(isinstance(each, torch.nn.Module) for each in vars(folder._models).values())
    moved = {name: array + np.float32(0.01) for name, array in weights.items()}
    copy.save_checkpoint(1, moved)
    assert_same(folder.load_checkpoint(1), moved)
