"""Tiny random image encoders of each family, as transformers saves them."""

from pathlib import Path
from typing import Any

import torch
from transformers import (
    CLIPConfig,
    CLIPModel,
    CLIPVisionConfig,
    CLIPVisionModel,
    ConvNextConfig,
    ConvNextModel,
    Dinov2Config,
    Dinov2Model,
    Dinov2WithRegistersConfig,
    Dinov2WithRegistersModel,
    ViTConfig,
    ViTImageProcessor,
    ViTModel,
)

from irene_model.inputs.image_encoder import FrozenImageEncoder, sha256_of_image_encoder
from irene_model.study.shapes import ImageShape

TINY_WIDTH, SIZE, PATCH = 8, 16, 8
MEAN, DEVIATION = [0.4, 0.5, 0.6], [0.2, 0.3, 0.25]
_SHAPE = {
    "hidden_size": TINY_WIDTH, "num_hidden_layers": 2, "num_attention_heads": 2,
    "image_size": SIZE, "patch_size": PATCH,
}  # fmt: skip
_TEXT = {"hidden_size": 8, "num_hidden_layers": 1, "num_attention_heads": 2, "vocab_size": 9}


def _clip(**sizes: Any) -> CLIPModel:
    return CLIPModel(
        CLIPConfig(text_config=_TEXT, vision_config={**sizes, "intermediate_size": 16})
    )


KINDS: dict[str, Any] = {
    "vit": lambda **sizes: ViTModel(ViTConfig(**sizes, intermediate_size=16)),
    "dinov2": lambda **sizes: Dinov2Model(
        Dinov2Config(**sizes, mlp_ratio=2, layerscale_value=0.3)
    ),
    "dinov2_with_registers": lambda **sizes: Dinov2WithRegistersModel(
        Dinov2WithRegistersConfig(**sizes, mlp_ratio=2, num_register_tokens=3)
    ),
    "clip": _clip,
    "clip_vision_model": lambda **sizes: CLIPVisionModel(
        CLIPVisionConfig(**sizes, intermediate_size=16)
    ),
    "convnext": lambda **sizes: ConvNextModel(
        ConvNextConfig(
            num_stages=2, hidden_sizes=[4, sizes["hidden_size"]], depths=[1, 2],
            patch_size=sizes["patch_size"] // 2, image_size=sizes["image_size"],
        )
    ),
}  # fmt: skip


def write_tiny_image_encoder(folder: Path, kind: str = "vit", **changes: Any) -> Path:
    """A random encoder of `kind`, all of whose parameters differ from their first values."""
    torch.manual_seed(7)
    model = KINDS[kind](**{**_SHAPE, **changes})
    for parameter in model.parameters():
        parameter.data += 0.3 * torch.randn_like(parameter)
    model.save_pretrained(folder)
    ViTImageProcessor(
        size={"height": SIZE, "width": SIZE}, image_mean=MEAN, image_std=DEVIATION
    ).save_pretrained(folder)
    return folder


def image_of(folder: Path, **changes: Any) -> dict[str, Any]:
    """The key `image` of a study whose encoder lies in `folder`, under the name `film`."""
    encoder = {"kind": "frozen", "name": "film", "sha256": sha256_of_image_encoder(folder)}
    if changes.pop("interpolate", False):
        encoder["interpolate"] = True
    return {"size": SIZE, "patch": PATCH, "encoder": encoder, "width": TINY_WIDTH, **changes}


def open_image_encoder(folder: Path, **changes: Any) -> FrozenImageEncoder:
    shape = ImageShape.model_validate(image_of(folder, **changes))
    encoder = FrozenImageEncoder.open(shape, {"film": folder})
    assert encoder is not None
    return encoder
