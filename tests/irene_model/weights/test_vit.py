"""The image stream from a Vision Transformer, against transformers' own encoder."""

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor

from irene_model.errors import CheckpointError
from irene_model.network.model import IreneModel
from irene_model.weights.starting import start_from_vit
from irene_model.weights.vit import read_vit
from irene_model.weights.weights import config_of
from tests.helpers.models.small_vit import (
    HEADS,
    LAYERS,
    SIDE,
    folder_of,
    google_npz,
    irene,
    study,
    vit,
)


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
