"""irene-client look through the real command, on a hospital's folder and a saved model."""

import json
import stat
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import load_file, save_file

from client import cli
from client.records.dataset import open_dataset
from irene_model.weights.weights import new_model, read_model
from tests.helpers.hospital_folder import HospitalFolder


@pytest.fixture
def model(hospital: HospitalFolder) -> Path:
    folder = hospital.folder / "model"
    new_model(hospital.study, seed=1).save_pretrained(folder)
    return folder


@dataclass(frozen=True)
class Command:
    """`irene-client look` on the folder and the model."""

    hospital: HospitalFolder
    model: Path
    monkeypatch: pytest.MonkeyPatch
    capsys: pytest.CaptureFixture[str]

    def __call__(self, *options: str) -> tuple[int, str, str]:
        """Exit code, stdout, stderr."""
        files = (str(self.hospital.site_file), "--study", str(self.hospital.study_file))
        command = ["irene-client", "look", *files, "--model", str(self.model), *options]
        self.monkeypatch.setattr(sys, "argv", command)
        with pytest.raises(SystemExit) as done:
            cli.main()
        return (done.value.code or 0, *self.capsys.readouterr())  # type: ignore[return-value]


@pytest.fixture
def look(
    hospital: HospitalFolder,
    model: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> Command:
    return Command(hospital, model, monkeypatch, capsys)


def test_a_picture_for_its_owner_alone(look: Command, tmp_path: Path) -> None:
    out = tmp_path / "picture.png"
    out.write_text("an older one")
    out.chmod(0o644)
    before = set(look.hospital.folder.rglob("*"))
    code, shown, said = look("--record", "R005", "--out", str(out))
    assert code == 0, said
    assert "patient's data" in said and shown == ""
    assert stat.S_IMODE(out.stat().st_mode) == 0o600
    with Image.open(out) as picture:
        assert picture.size[0] == 1560
        assert len(np.unique(np.asarray(picture.convert("L")))) > 50
    assert set(look.hospital.folder.rglob("*")) == before  # no cache, no ledger
    assert sorted(tmp_path.glob(".look-*")) == []


def test_json_is_the_models_answer_to_this_record(look: Command) -> None:
    code, shown, said = look("--record", "R005", "--json", "--label", "death")
    assert (code, said) == (0, "")
    document = json.loads(shown)
    batch = open_dataset(look.hospital.site, look.hospital.study).batch(np.array([5]))
    inputs = {name: tensor for name, tensor in batch.items() if not name.startswith("label")}
    with torch.no_grad():
        out = read_model(look.model, look.hospital.study)(**inputs)
    expected = out.logits[0].sigmoid().tolist()
    assert list(document["probabilities"].values()) == pytest.approx(expected, abs=1e-6)
    assert document["label"] == "death"
    assert document["logit"] == pytest.approx(float(out.logits[0, 1]), abs=1e-5)
    total = sum(document["evidence"].values())
    assert total == pytest.approx(document["logit"] - document["baseline_logit"], abs=0.01)
    assert [word["name"] for word in document["words"]] == ["cough,", "and", "fever"]
    assert [lab["shown"] for lab in document["labs"]] == ["5 mg/L", "1.25 10^9/L"]
    assert document["demographics"][0]["shown"] == "32 years"


@pytest.mark.parametrize("record", ["R003", "R004", "R008"])
def test_records_with_gaps(record: str, look: Command, tmp_path: Path) -> None:
    """Without image; without text; without age and with a value above detection."""
    out = tmp_path / "picture.svg"
    code, shown, _ = look("--record", record, "--out", str(out), "--json")
    assert code == 0
    document = json.loads(shown)
    assert (document["image"]["attention"] is None) == (record == "R003")
    assert (document["words"] == []) == (record == "R004")
    assert ([i["name"] for i in document["demographics"]] == ["sex"]) == (record == "R008")
    censored = any("detection" in lab["shown"] for lab in document["labs"])
    assert censored == (record == "R008")
    assert out.read_text(encoding="utf-8").startswith("<?xml")


def other_labels(hospital: HospitalFolder, model: Path) -> None:
    document = json.loads((model / "config.json").read_text())
    document["id2label"]["0"] = "COPD"
    (model / "config.json").write_text(json.dumps(document))


def other_size(hospital: HospitalFolder, model: Path) -> None:
    hospital.configure("image.patch", 4, "study.yaml")


def cut_weights(hospital: HospitalFolder, model: Path) -> None:
    weights = model / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:500])


def lost_weights(hospital: HospitalFolder, model: Path) -> None:
    state = load_file(model / "model.safetensors")
    state.pop("head.bias")
    save_file(state, model / "model.safetensors")


def nan_weights(hospital: HospitalFolder, model: Path) -> None:
    state = load_file(model / "model.safetensors")
    state["head.bias"][0] = torch.nan
    save_file(state, model / "model.safetensors")


def no_config(hospital: HospitalFolder, model: Path) -> None:
    (model / "config.json").unlink()


def odd_config(hospital: HospitalFolder, model: Path) -> None:
    (model / "config.json").write_text("[1]")


def excluded(hospital: HospitalFolder, model: Path) -> None:
    hospital.configure("exclude", ["R005"])


@pytest.mark.parametrize(
    ("damage", "more", "said"),
    [
        (None, ("--record", "Erika-4711", "--json"), "no record of encounters.csv has this id"),
        (excluded, ("--json",), "those that `exclude` lists are not read"),
        (None, ("--label", "copd", "--json"), "no label 'copd'; it has pneumonia, death"),
        (None, (), "--out PICTURE.png, --json, or both"),
        (None, ("--out", "x.gif"), "name a file that ends in .png, .svg, .pdf"),
        (None, ("--out", "nowhere/x.png"), "its folder does not exist"),
        (other_labels, ("--json",), "its labels are not those of the study"),
        (other_size, ("--json",), "its patch_size is 8, the study 'test study' needs 4"),
        (cut_weights, ("--json",), "model.safetensors: is damaged"),
        (lost_weights, ("--json",), "does not fit the config.json"),
        (nan_weights, ("--json",), "not finite"),
        (no_config, ("--json",), "config.json is missing"),
        (odd_config, ("--json",), "is no configuration of IRENE"),
    ],
)
def test_mistakes_are_one_sentence(
    damage: Callable[[HospitalFolder, Path], None] | None,
    more: tuple[str, ...],
    said: str,
    look: Command,
) -> None:
    if damage is not None:
        damage(look.hospital, look.model)
    record = () if "--record" in more else ("--record", "R005")
    code, shown, error = look(*record, *more)
    assert (code, shown) == (2, "")
    assert said in error
    assert error.startswith("error: ") and error.count("\n") == 1
    assert "Erika" not in error
