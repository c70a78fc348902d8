"""First weights from a Vision Transformer, against transformers' own encoder."""

import hashlib
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor
from transformers import ViTConfig, ViTForImageClassification, ViTModel

from irene_model.errors import CheckpointError, ConfigError
from irene_model.network.model import IreneConfig, IreneModel
from irene_model.study.study import Study
from irene_model.weights.starting import StartingPoint, start_from_vit
from irene_model.weights.vit import Vit, read_vit
from irene_model.weights.weights import config_of, new_model, to_arrays
from server.app import starting_point
from server.runs.run_folder import RunFolder
from tests.helpers.hospital_folder import STUDY
from tests.helpers.text_encoders import WORDS, text_of, write_tiny

LAYERS, HEADS, D, MLP, PATCH, SIDE = 3, 2, 8, 12, 4, 12


def vit(seed: int = 0, *, head: bool = False, **changes: Any) -> Any:
    """A small random ViT whose every parameter matters: transformers starts many at 0 or 1."""
    config = ViTConfig(
        **{
            "hidden_size": D, "num_hidden_layers": LAYERS, "num_attention_heads": HEADS,
            "intermediate_size": MLP, "image_size": SIDE, "patch_size": PATCH, "num_channels": 3,
            "layer_norm_eps": 1e-6, **changes,
        }
    )  # fmt: skip
    model = ViTForImageClassification(config) if head else ViTModel(config, add_pooling_layer=False)
    g = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            centre = 1.0 if "layernorm" in name and name.endswith("weight") else 0.0
            parameter.copy_(centre + 0.3 * torch.randn(parameter.shape, generator=g))
    return model.eval()


def irene(**changes: Any) -> IreneModel:
    torch.manual_seed(1)
    sizes = {
        "hidden_size": D, "num_hidden_layers": LAYERS, "num_bidirectional_layers": 1,
        "num_attention_heads": HEADS, "intermediate_size": MLP, "image_size": SIDE,
        "patch_size": PATCH, "num_channels": 3, "text_length": 4, "text_width": 5, "num_labs": 3,
    }  # fmt: skip
    return IreneModel(IreneConfig(**{**sizes, **changes})).eval()


def folder_of(model: Any, path: Path) -> Path:
    model.save_pretrained(path)
    return path


def image_tokens(model: IreneModel, pixels: Tensor) -> Tensor:
    """The image's tokens after all blocks and the final norm, with nothing but an image there."""
    B, config = len(pixels), model.config
    absent = torch.zeros(B, 2, dtype=torch.bool)
    with torch.no_grad():
        streams = model.embeddings(
            pixel_values=pixels,
            image_mask=None,
            text_embeddings=torch.zeros(B, config.text_length, config.text_width),
            input_ids=None,
            text_mask=torch.zeros(B, config.text_length, dtype=torch.bool),
            lab_values=torch.zeros(B, config.num_labs),
            lab_mask=torch.zeros(B, config.num_labs, dtype=torch.bool),
            age=torch.zeros(B),
            sex=torch.zeros(B),
            demographics_mask=absent,
        )
        tokens, _, _ = model.encoder(streams, with_maps=False)
    return tokens[:, : 1 + config.num_patches]


def own_tokens(model: Any, pixels: Tensor, **options: Any) -> Tensor:
    with torch.no_grad():
        tokens: Tensor = model(pixels, **options).last_hidden_state
    return tokens


def pixels(channels: int, side: int = SIDE, records: int = 2) -> Tensor:
    g = torch.Generator().manual_seed(7)
    return torch.rand(records, channels, side, side, generator=g) * 2 - 1


def assert_close(actual: Tensor, expected: Tensor) -> None:
    torch.testing.assert_close(actual, expected, atol=1e-5, rtol=1e-5)


def google_npz(model: Any, path: Path) -> Path:
    """The model under Google's names: written out from their layout, not from our reader."""
    w = {name: p.detach().numpy() for name, p in model.named_parameters()}
    arrays = {
        "cls": w["embeddings.cls_token"],
        "Transformer/posembed_input/pos_embedding": w["embeddings.position_embeddings"],
        "embedding/kernel": np.einsum(
            "dchw->hwcd", w["embeddings.patch_embeddings.projection.weight"]
        ),
        "embedding/bias": w["embeddings.patch_embeddings.projection.bias"],
        "Transformer/encoder_norm/scale": w["layernorm.weight"],
        "Transformer/encoder_norm/bias": w["layernorm.bias"],
        "head/kernel": np.zeros((D, 21), dtype=np.float32),
        "head/bias": np.zeros(21, dtype=np.float32),
    }
    for n in range(LAYERS):
        theirs, ours = f"Transformer/encoderblock_{n}", f"layers.{n}"
        for number, name in ((0, "before"), (2, "after")):
            arrays[f"{theirs}/LayerNorm_{number}/scale"] = w[f"{ours}.layernorm_{name}.weight"]
            arrays[f"{theirs}/LayerNorm_{number}/bias"] = w[f"{ours}.layernorm_{name}.bias"]
        attention = f"{theirs}/MultiHeadDotProductAttention_1"
        for name in ("query", "key", "value"):
            weight = w[f"{ours}.attention.{name[0]}_proj.weight"]  # (H·d, D)
            bias = w[f"{ours}.attention.{name[0]}_proj.bias"]
            per_head = weight.reshape(HEADS, D // HEADS, D)
            arrays[f"{attention}/{name}/kernel"] = np.einsum("hdi->ihd", per_head)
            arrays[f"{attention}/{name}/bias"] = bias.reshape(HEADS, D // HEADS)
        per_head = w[f"{ours}.attention.o_proj.weight"].reshape(D, HEADS, D // HEADS)
        arrays[f"{attention}/out/kernel"] = np.einsum("ohd->hdo", per_head)
        arrays[f"{attention}/out/bias"] = w[f"{ours}.attention.o_proj.bias"]
        for number in (0, 1):
            arrays[f"{theirs}/MlpBlock_3/Dense_{number}/kernel"] = w[
                f"{ours}.mlp.fc{number + 1}.weight"
            ].T
            arrays[f"{theirs}/MlpBlock_3/Dense_{number}/bias"] = w[
                f"{ours}.mlp.fc{number + 1}.bias"
            ]
    np.savez(path, **arrays)
    return path


@pytest.mark.parametrize("bidirectional", [0, 1, LAYERS])
@pytest.mark.parametrize("layout", ["folder", "npz"])
def test_the_image_stream_is_the_vits_own(tmp_path: Path, bidirectional: int, layout: str) -> None:
    theirs = vit()
    path = (
        folder_of(theirs, tmp_path / "vit")
        if layout == "folder"
        else google_npz(theirs, tmp_path / "vit.npz")
    )
    model = irene(num_bidirectional_layers=bidirectional)
    unused = start_from_vit(model, read_vit(path))
    assert unused == (() if layout == "folder" else ("head/bias", "head/kernel"))
    assert_close(image_tokens(model, pixels(3)), own_tokens(theirs, pixels(3)))


@pytest.mark.parametrize("eps", [1e-12, 1e-3])
def test_the_norms_are_those_of_the_vit(tmp_path: Path, eps: float) -> None:
    source = vit(layer_norm_eps=eps)
    with torch.no_grad():
        for parameter in source.embeddings.parameters():
            parameter.mul_(0.003)  # as small as what a norm adds: it counts
    folder_of(source, tmp_path)
    run = {"layer_norm_eps": eps}
    sizes = config_of(study(model={**study().model.model_dump(exclude_none=True), **run}))
    assert sizes.layer_norm_eps == eps
    model = irene(**run)
    start_from_vit(model, read_vit(tmp_path))
    assert_close(image_tokens(model, pixels(3)), own_tokens(source, pixels(3)))


def test_both_layouts_read_alike(tmp_path: Path) -> None:
    theirs = vit()
    folder = read_vit(folder_of(theirs, tmp_path / "vit"))
    npz = read_vit(google_npz(theirs, tmp_path / "vit.npz"))
    assert npz.weights.keys() - folder.weights.keys() == {"head/bias", "head/kernel"}
    assert all(torch.equal(npz.weights[name], folder.weights[name]) for name in folder.weights)
    assert npz.num_heads == folder.num_heads == HEADS


def test_a_model_with_a_head_and_the_names_in_memory_are_read_too(tmp_path: Path) -> None:
    theirs = vit(head=True)
    folder = folder_of(theirs, tmp_path / "vit")
    on_disk = read_vit(folder)
    assert "vit.encoder.layer.0.output.dense.bias" in load_file(folder / "model.safetensors")
    save_file(dict(theirs.state_dict()), folder / "model.safetensors")
    in_memory = read_vit(folder)
    assert in_memory.weights.keys() == on_disk.weights.keys()
    model = irene()
    assert start_from_vit(model, in_memory) == ("classifier.bias", "classifier.weight")
    assert_close(image_tokens(model, pixels(3)), own_tokens(theirs.vit, pixels(3)))


@pytest.mark.parametrize(("theirs", "ours"), [(3, 1), (1, 3), (1, 1)])
def test_a_grey_image_gives_the_same_in_any_number_of_channels(
    tmp_path: Path, theirs: int, ours: int
) -> None:
    model, source = irene(num_channels=ours), vit(num_channels=theirs)
    start_from_vit(model, read_vit(folder_of(source, tmp_path)))
    grey = pixels(1)
    expected = own_tokens(source, grey.expand(-1, theirs, -1, -1))
    assert_close(image_tokens(model, grey.expand(-1, ours, -1, -1)), expected)


@pytest.mark.parametrize("side", [8, 20])
def test_positions_are_interpolated_to_another_grid(tmp_path: Path, side: int) -> None:
    source = vit()
    model = irene(image_size=side)
    start_from_vit(model, read_vit(folder_of(source, tmp_path)))
    expected = own_tokens(source, pixels(3, side), interpolate_pos_encoding=True)
    assert_close(image_tokens(model, pixels(3, side)), expected)


def test_another_scale_of_pixels_goes_into_the_projection(tmp_path: Path) -> None:
    source, folder = vit(), folder_of(vit(), tmp_path)
    mean, std = [0.485, 0.456, 0.406], [0.229, 0.224, 0.225]
    settings = {"do_normalize": True, "image_mean": mean, "image_std": std}
    (folder / "preprocessor_config.json").write_text(json.dumps(settings))
    model = irene()
    start_from_vit(model, read_vit(folder))
    x = pixels(3)
    z = ((x + 1) / 2 - torch.tensor(mean)[:, None, None]) / torch.tensor(std)[:, None, None]
    assert_close(image_tokens(model, x), own_tokens(source, z))
    settings["image_mean"] = [0.5]
    settings["image_std"] = [0.5, 0.5]
    (folder / "preprocessor_config.json").write_text(json.dumps(settings))
    with pytest.raises(CheckpointError, match="image_mean and image_std don't fit"):
        read_vit(folder)


def test_fewer_blocks_take_the_first_ones_and_say_what_was_left(tmp_path: Path) -> None:
    source = vit()
    model, fresh = irene(num_hidden_layers=2), irene(num_hidden_layers=2)
    unused = start_from_vit(model, read_vit(folder_of(source, tmp_path)))
    assert {name.split(".")[0] for name in unused} == {"encoder", "layernorm"}
    assert len(unused) == 16 + 2
    assert torch.equal(model.encoder.norm.weight, fresh.encoder.norm.weight)
    second = source.layers[1].attention.q_proj.weight
    assert torch.equal(model.encoder.joint[0].attention.query.weight, second)


def test_what_is_not_the_images_stays_fresh(tmp_path: Path) -> None:
    model, fresh = irene(), irene()
    start_from_vit(model, read_vit(folder_of(vit(), tmp_path)))
    before = fresh.state_dict()
    same = {name for name, value in model.state_dict().items() if torch.equal(value, before[name])}
    clinical = {name for name in before if "clinical" in name}
    others = ("text", "lab", "age", "sex", "head")
    assert same == clinical | {
        n for n in before if n.removeprefix("embeddings.").startswith(others)
    }


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


# --- a run's first weights -----------------------------------------------------------------------


def study(**changes: Any) -> Study:
    sizes = {
        "hidden_size": D, "num_hidden_layers": 2, "num_bidirectional_layers": 1,
        "num_attention_heads": HEADS, "intermediate_size": MLP,
    }  # fmt: skip
    image = {"size": 8, "patch": PATCH}
    return Study.model_validate({**STUDY, "model": sizes, "image": image, **changes})


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
    named = starting_point({"start-image": "vit.npz", "start-text": "words", "seed": 3})
    assert named == StartingPoint(image=Path("vit.npz"), text=Path("words"))


@pytest.mark.parametrize("method", ["perceiver", "irene_joint"])
def test_a_rival_is_refused_a_vit_by_name(tmp_path: Path, method: str) -> None:
    source = folder_of(vit(), tmp_path / "vit")
    rival = study(model={**STUDY.get("model", {}), "method": method})
    with pytest.raises(ConfigError, match=rf"model\.method {method} can't start from a ViT"):
        RunFolder.create(tmp_path / "run", rival, seed=0, start=StartingPoint(image=source))
    assert not (tmp_path / "run").exists()
