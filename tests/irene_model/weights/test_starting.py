"""First weights: what a run starts from, and which Vision Transformers are refused."""

import hashlib
import json
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

from irene_model.errors import CheckpointError, ConfigError
from irene_model.weights.starting import StartingPoint, start_from_vit
from irene_model.weights.vit import Vit, read_vit
from irene_model.weights.weights import new_model, to_arrays
from server.app import starting_point
from server.runs.run_folder import RunFolder
from tests.helpers.hospital_folder import STUDY
from tests.helpers.models.small_vit import HEADS, folder_of, irene, study, vit
from tests.helpers.text_encoders import WORDS, text_of, write_tiny


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"hidden_size": 12}, "hidden_size is 8 and the study's model has 12"),
        ({"intermediate_size": 16}, "intermediate_size is 12"),
        ({"num_attention_heads": 4}, "num_attention_heads is 2"),
        ({"patch_size": 6}, "patch_size is 4"),
        ({"layer_norm_eps": 1e-12}, "layer_norm_eps is 1e-06 and the study's model has 1e-12"),
        ({"num_hidden_layers": 4}, "num_hidden_layers to 3 or less"),
    ],
)
def test_a_vit_of_another_size_is_refused(
    tmp_path: Path, changes: dict[str, int], message: str
) -> None:
    model = irene(**changes)
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    with pytest.raises(CheckpointError, match=message):
        start_from_vit(model, read_vit(folder_of(vit(), tmp_path)))
    assert all(torch.equal(before[name], value) for name, value in model.state_dict().items())


def test_a_model_without_the_images_side_is_refused(tmp_path: Path) -> None:
    model = irene()
    del model.embeddings.patches
    with pytest.raises(CheckpointError, match=r"the study's model has no embeddings\.patches"):
        start_from_vit(model, read_vit(folder_of(vit(), tmp_path)))


def test_every_entry_is_needed_and_checked(tmp_path: Path) -> None:
    whole = read_vit(folder_of(vit(), tmp_path))
    for name, tensor in whole.weights.items():
        lacking = {n: t for n, t in whole.weights.items() if n != name}
        for spoilt in (
            lacking,
            lacking | {name: torch.cat([tensor, tensor], dim=-1)},
            lacking | {name: tensor * torch.nan},
        ):
            source = Vit(
                place=tmp_path, file=tmp_path, weights=spoilt, num_heads=HEADS, layer_norm_eps=1e-6
            )
            with pytest.raises(CheckpointError, match=rf"{name}|patch_size|_size is"):
                start_from_vit(irene(), source)


def test_what_is_no_vit_is_refused(tmp_path: Path) -> None:
    folder = folder_of(vit(), tmp_path / "vit")
    config = json.loads((folder / "config.json").read_text())

    def refused(path: Path, message: str) -> None:
        with pytest.raises(CheckpointError, match=message):
            read_vit(path)

    for key, value, message in (
        ("model_type", "bert", "model_type is not 'vit'"),
        ("hidden_act", "gelu_new", "hidden_act is not 'gelu'"),
        ("num_attention_heads", None, "num_attention_heads is no whole number"),
    ):
        (folder / "config.json").write_text(json.dumps({**config, key: value}))
        refused(folder, message)
    (folder / "config.json").write_text("[]")
    refused(folder, "holds no JSON object")
    (folder / "config.json").write_text("{")
    refused(folder, "is not valid JSON")
    (folder / "config.json").write_text(json.dumps(config))
    (folder / "model.safetensors").write_bytes(b"half")
    refused(folder, "is damaged")
    (folder / "model.safetensors").unlink()
    refused(folder, "save the model anew")
    refused(tmp_path / "nowhere", "is missing")
    (tmp_path / "vit.pth").write_bytes(b"")
    refused(tmp_path / "vit.pth", r"expected a folder of transformers or an \.npz file")
    (tmp_path / "vit.npz").write_bytes(b"PK half")
    refused(tmp_path / "vit.npz", "is damaged")
    np.savez(tmp_path / "other.npz", weight=np.zeros(3))
    refused(tmp_path / "other.npz", "is no ViT of Google's")
    np.savez(tmp_path / "objects.npz", weight=np.array([{}], dtype=object))
    refused(tmp_path / "objects.npz", "is damaged, or no")


def test_a_run_starts_from_both_and_says_so(tmp_path: Path) -> None:
    source, words = folder_of(vit(), tmp_path / "vit"), write_tiny(tmp_path / "words")
    ours = study(text=text_of(words, "tokenizer"))
    start = StartingPoint(image=source, text=words)
    run = RunFolder.create(tmp_path / "run", ours, seed=0, start=start)
    weights, fresh = run.load_checkpoint(0), to_arrays(new_model(ours, seed=0))
    table = load_file(words / "model.safetensors")["embeddings.word_embeddings.weight"]
    np.testing.assert_array_equal(weights["embeddings.text_tokens.weight"], table.numpy())
    kernels = vit().embeddings.patch_embeddings.projection.weight.detach().sum(1, keepdim=True)
    np.testing.assert_array_equal(weights["embeddings.patches.weight"], kernels.numpy())
    np.testing.assert_array_equal(weights["head.bias"], fresh["head.bias"])
    origin = json.loads((run.path / "run.json").read_text())["start"]
    for kind, folder in (("image", source), ("text", words)):
        content = (folder / "model.safetensors").read_bytes()
        assert origin[kind]["sha256"] == hashlib.sha256(content).hexdigest()
    assert "layernorm.weight" in origin["image"]["unused"]
    assert str(tmp_path) not in json.dumps(origin)


def test_a_run_without_a_starting_point_says_that_too(tmp_path: Path) -> None:
    assert RunFolder.create(tmp_path / "run", study(), seed=0).info["start"] == {}


def test_what_does_not_fit_is_refused_before_anything_is_written(tmp_path: Path) -> None:
    source, words = folder_of(vit(hidden_size=12), tmp_path / "vit"), write_tiny(tmp_path / "words")
    reads_words = text_of(words, "tokenizer")
    narrow = {**reads_words, "width": 7}
    other = {**reads_words, "encoder": {**reads_words["encoder"], "sha256": "0" * 64}}
    for start, text, message in (
        (StartingPoint(image=source), STUDY["text"], "hidden_size is 12"),
        (StartingPoint(image=tmp_path / "nowhere"), STUDY["text"], "is missing"),
        (StartingPoint(text=words), STUDY["text"], "this one has 'wordpiece'"),
        (StartingPoint(text=words), text_of(words), "this one has 'frozen'"),
        (StartingPoint(text=words), other, r"tokenizer\.json: is not the study's tokenizer"),
        (StartingPoint(text=words), narrow, rf"is \({len(WORDS)}, 8\); the study's .* \(11, 7\)"),
    ):
        with pytest.raises((CheckpointError, ConfigError), match=message):
            RunFolder.create(tmp_path / "run", study(text=text), seed=0, start=start)
        assert not (tmp_path / "run").exists()
    weights = {"bert.pooler.weight": torch.zeros(2)}
    save_file(weights, words / "model.safetensors")
    with pytest.raises(CheckpointError, match="no single table of token vectors"):
        StartingPoint(text=words).model(study(text=reads_words), seed=0)


def test_the_run_configuration_names_starting_points() -> None:
    assert starting_point({"start-image": "", "start-text": ""}) == StartingPoint()
    assert starting_point({"start-irene": "m"}) == StartingPoint(irene=Path("m"))
    named = starting_point({"start-image": "vit.npz", "start-text": "words", "seed": 3})
    assert named == StartingPoint(image=Path("vit.npz"), text=Path("words"))


@pytest.mark.parametrize("method", ["perceiver", "irene_joint"])
def test_a_rival_is_refused_a_vit_by_name(tmp_path: Path, method: str) -> None:
    source = folder_of(vit(), tmp_path / "vit")
    rival = study(model={**STUDY.get("model", {}), "method": method})
    with pytest.raises(ConfigError, match=rf"model\.method {method} can't start from a ViT"):
        RunFolder.create(tmp_path / "run", rival, seed=0, start=StartingPoint(image=source))
    assert not (tmp_path / "run").exists()
