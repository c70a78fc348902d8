"""Checkpoints without a model are those of transformers, and wait for the disk where they must."""

import os
from pathlib import Path

import numpy as np
import pytest

from irene_model.errors import CheckpointError
from irene_model.weights.weights import load_arrays, new_model, to_arrays
from server.runs.model_files import ModelFiles
from server.runs.run_folder import RunFolder
from server.secure.attempts import Attempts
from tests.server.runs.test_run_folder import play, study


def contents(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def test_each_round_has_the_files_that_transformers_writes(tmp_path: Path) -> None:
    model = new_model(study(), seed=3)
    first = to_arrays(model)
    files = ModelFiles(study())
    for round in range(3):
        weights = {name: array + np.float32(round) for name, array in first.items()}
        files.write(tmp_path / f"ours-{round}", weights)
        load_arrays(model, weights)
        model.save_pretrained(tmp_path / f"theirs-{round}")
        ours = contents(tmp_path / f"ours-{round}")
        assert ours == contents(tmp_path / f"theirs-{round}") and len(ours) == 2
        read = files.read(tmp_path / f"ours-{round}")
        assert list(read) == list(weights)
        assert all(np.array_equal(read[name], weights[name]) for name in weights)


def test_weights_of_another_model_are_not_written(tmp_path: Path) -> None:
    weights = to_arrays(new_model(study(), seed=3))
    name, array = next(iter(weights.items()))
    for wrong in ({name: array}, weights | {name: array[:0]}, weights | {"more": array}):
        with pytest.raises(CheckpointError, match="not those of the study's model"):
            ModelFiles(study()).write(tmp_path / "round", wrong)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("told", [{}, {"synthetic": False}, {"synthetic": "yes"}])
def test_a_run_with_real_patients_is_on_the_disk(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, told: dict[str, object]
) -> None:
    synced: list[int] = []
    real = os.fsync
    monkeypatch.setattr(os, "fsync", lambda file: (synced.append(file), real(file))[1])
    waits = []
    for name, facts in (("real", told), ("made-up", {"synthetic": True})):
        folder = RunFolder.create(tmp_path / name, study(), seed=3, **facts)
        synced.clear()
        play(folder, 1)
        folder.update_info(note=1)
        Attempts(folder.path, durable=folder.durable).begin("train", 1, ["a", "b"])
        waits.append(len(synced))
        assert RunFolder.resume(folder.path).last_round == 1
    assert waits[0] >= 8 and waits[1] == 0


def test_what_run_json_says_already_is_not_written_again(tmp_path: Path) -> None:
    folder = RunFolder.create(tmp_path / "run", study(), seed=3)
    folder.update_info(waiting=None, late=[1])
    before = (tmp_path / "run" / "run.json").stat().st_ino
    folder.update_info(waiting=None)
    folder.update_info(late=[1])
    assert (tmp_path / "run" / "run.json").stat().st_ino == before
    folder.update_info(late=[])
    assert RunFolder.resume(folder.path).info["late"] == []
