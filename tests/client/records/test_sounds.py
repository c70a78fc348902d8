"""A hospital's recordings from its folder to tensors, check and look."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from rich.console import Console

from client.check.quality import inspect
from client.look import look, save
from client.pages.check_view import show_check
from client.records.dataset import open_dataset
from client.site.mapped import mapped_modalities
from irene_model.errors import ConfigError, DataError
from irene_model.inputs.processor import Case, IreneProcessor
from irene_model.weights.weights import new_model
from tests.helpers.hospital_folder import HospitalFolder
from tests.helpers.sites.sounds import record, tone, with_recordings


@pytest.fixture
def heard(hospital: HospitalFolder) -> HospitalFolder:
    return with_recordings(hospital)


def _batch(hospital: HospitalFolder) -> dict[str, torch.Tensor]:
    dataset = open_dataset(hospital.site, hospital.study)
    return dataset.batch(np.arange(len(dataset.pixels)))


def test_patches_of_each_record_are_those_of_the_processor(heard: HospitalFolder) -> None:
    batch = _batch(heard)
    assert batch["sound_values"].shape[1:] == (12, 64)
    there = batch["sound_mask"].reshape(-1, 2, 2, 3)
    assert there[:-1, 0].all()  # the left of all but the last record
    assert not there[-1].any()
    assert not there[:, 1].any()
    made = IreneProcessor(heard.study)([Case(sounds={"left": (tone(2, hertz=140), 2000)})])
    difference = (made["sound_values"][0] - batch["sound_values"][2]).abs()
    assert difference.max() < 0.2  # the file has 16 bits
    assert difference.mean() < 0.01
    torch.testing.assert_close(made["sound_mask"][0], batch["sound_mask"][2])


def test_a_recording_that_changes_is_read_again(heard: HospitalFolder) -> None:
    before = _batch(heard)["sound_values"]
    record(heard.folder / "breath" / "r1.wav", tone(2, hertz=700))
    after = _batch(heard)["sound_values"]
    changed = (before != after).flatten(1).any(dim=1)
    assert changed.nonzero().flatten().tolist() == [1]


def test_a_site_without_recordings_has_the_same_other_tensors(heard: HospitalFolder) -> None:
    full = _batch(heard)
    assert mapped_modalities(heard.site, heard.study)[-1] == "sounds"
    heard.configure("sounds", None)
    assert "sounds" not in mapped_modalities(heard.site, heard.study)
    none = _batch(heard)
    assert not none["sound_mask"].any()
    heard.configure("sounds", None, "study.yaml")
    plain = _batch(heard)
    for name, tensor in plain.items():
        torch.testing.assert_close(tensor, none[name])
        torch.testing.assert_close(tensor, full[name])


def test_bad_recordings_are_one_error_and_the_check_counts_them(heard: HospitalFolder) -> None:
    (heard.folder / "breath" / "r0.wav").write_bytes(b"RIFF")
    (heard.folder / "breath" / "r1.wav").unlink()
    with pytest.raises(DataError, match=r"2 recordings can't be used: 1 × .*line 2.*1 × .*line 4"):
        _batch(heard)
    report = inspect(heard.site, heard.study)
    assert report.verdict == "not ready"
    assert sum("recordings can't be used" in warning for warning in report.warnings) == 2


def test_the_check_counts_what_is_poor(
    heard: HospitalFolder, capsys: pytest.CaptureFixture[str]
) -> None:
    breath = heard.folder / "breath"
    record(breath / "r0.wav", np.zeros(4000))
    record(breath / "r1.wav", tone(0.2))
    record(breath / "r2.wav", np.clip(9 * tone(2), -1, 1))
    record(breath / "r3.wav", np.stack([tone(5)] * 2, axis=1))
    report = inspect(heard.site, heard.study)
    left = report.sounds["left"]
    assert left.kinds == {
        "silent": 1, "short": 1, "long": 1, "clipped": 1, "mixed": 1, "coarse": 0,
    }  # fmt: skip
    assert (left.recordings, left.missing) == (report.records - 1, 1)
    assert report.sounds["right"].mapped is False
    assert report.modalities["sounds"] == report.records - 1
    said = " ".join(report.warnings)
    assert f"left: 1 of {report.records - 1} recordings are silent" in said
    assert "are clipped" in said
    assert any("in stereo" in note for note in report.notes)
    json.dumps(report.as_json())
    show_check(report, Console(width=200))
    assert "Recordings" in capsys.readouterr().out


def test_a_look_says_which_seconds_were_read(heard: HospitalFolder, tmp_path: Path) -> None:
    model = heard.folder / "model"
    new_model(heard.study, seed=1).save_pretrained(model)
    first, *_, last = (row["record_id"] for row in heard.rows())
    seen = look(heard.site, heard.study, model, first, None)
    said = seen.reading.sounds["left"]
    assert list(seen.reading.sounds) == ["left"]
    assert len(said.attention) == len(said.evidence) == 3
    assert said.seconds == pytest.approx(16 * 0.032)
    total = sum(value or 0.0 for value in said.evidence)
    assert total == pytest.approx(seen.reading.evidence["sounds"], abs=1e-5)
    assert json.loads(json.dumps(seen.reading.as_json()))["sounds"]["left"]["seconds"]
    save(seen, tmp_path / "seen.png")
    assert (tmp_path / "seen.png").stat().st_size > 1000
    assert look(heard.site, heard.study, model, last, None).reading.sounds == {}


@pytest.mark.parametrize(
    ("sounds", "said"),
    [
        ({"middle": {"column": "breath"}}, "has no such name; it has left, right"),
        ({"column": "breath"}, "has no such name; it has left, right"),
        ({"left": {"column": "breath", "pattern": "all.wav"}}, "must hold {} once"),
        ({"left": "breath"}, "expected keys"),
        ("breath", "expected keys"),
    ],
)
def test_a_wrong_mapping_is_one_error(heard: HospitalFolder, sounds: Any, said: str) -> None:
    heard.configure("sounds", sounds)
    with pytest.raises(ConfigError, match=said):
        _batch(heard)


def test_a_study_without_sounds_has_none_to_map(heard: HospitalFolder) -> None:
    heard.configure("sounds", None, "study.yaml")
    with pytest.raises(ConfigError, match=r"sounds\.left: the study .* has no such name"):
        _batch(heard)


@pytest.mark.parametrize(
    ("sounds", "said"),
    [
        ({"middle": (tone(1), 2000)}, "only left, right"),
        ({"left": (tone(1), 10)}, "1000 to 192000 Hz"),
        ({"left": (tone(1) * np.nan, 2000)}, "finite samples"),
        ({"left": (np.zeros((2, 9)), 2000)}, "finite samples"),
    ],
)
def test_a_case_with_a_wrong_sound_is_refused(
    heard: HospitalFolder, sounds: Any, said: str
) -> None:
    with pytest.raises(DataError, match=said):
        IreneProcessor(heard.study)([Case(sounds=sounds)])
