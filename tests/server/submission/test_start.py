"""`irene-server run --start`: known before a run is submitted, and kept where it is taken up."""

from pathlib import Path
from typing import Any

import pytest

from irene_model.errors import CheckpointError, ConfigError
from irene_model.inputs.processor import IreneProcessor
from irene_model.study.settings import dump
from irene_model.weights.weights import new_model
from server.coordinator.coordinator import Coordinator
from server.coordinator.run_records import read_record
from server.submission.submission import Submission, new_run, submit
from server.submission.taking_up import handed_before
from tests.helpers.federations.scripted_flower import Flower
from tests.helpers.made_up_site import STUDY


def wanted(coordinator: Coordinator, start: Path, **options: Any) -> Submission:
    study = coordinator.path / "small.yaml"
    study.write_text(dump(STUDY), encoding="utf-8")
    return new_run(coordinator, study, name="first", seed=7, start_irene=start, **options)


def test_a_start_goes_with_the_run_also_when_it_is_taken_up(
    coordinator: Coordinator, tmp_path: Path
) -> None:
    new_model(STUDY, seed=3).save_pretrained(tmp_path / "start")
    IreneProcessor(STUDY).save_pretrained(tmp_path / "start")
    flower = Flower()
    submit(coordinator, flower, wanted(coordinator, tmp_path / "start"))
    assert flower.submitted[0]["start-irene"] == str(tmp_path / "start")
    again = handed_before(coordinator, read_record(coordinator, "first"))
    assert again is not None and again.config(coordinator) == flower.submitted[0]


def test_what_does_not_fit_is_known_before_anything_is_submitted(
    coordinator: Coordinator, tmp_path: Path
) -> None:
    with pytest.raises(ConfigError, match=r"--start: .*: no such file"):
        wanted(coordinator, tmp_path / "nothing")
    with pytest.raises(CheckpointError, match=r"study\.yaml is missing"):
        wanted(coordinator, tmp_path)
    with pytest.raises(ConfigError, match="--start brings all first weights"):
        wanted(coordinator, tmp_path, start_text=tmp_path)
    app = coordinator.app / "pyproject.toml"
    app.write_text(app.read_text(encoding="utf-8").replace('start-irene = ""', ""))
    with pytest.raises(ConfigError, match="is of an older version; add the line `start-irene"):
        wanted(coordinator, tmp_path)
