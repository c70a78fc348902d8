"""The image encoders that are known, and what their config.json may say of them.

Only sizes are taken from a folder, each within bounds, and whatever else config.json holds (code to
run, kernels to fetch, quantisation) is not read. Each family gives one vector of the whole image
and one of each patch, both behind the family's own last norm.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal

import torch
from pydantic import Field, model_validator
from torch import Tensor, nn

from irene_model.errors import ConfigError
from irene_model.study import Settings, parse

Width = Annotated[int, Field(ge=1, le=4096)]
Depth = Annotated[int, Field(ge=1, le=100)]


class Sizes(Settings):
    """What all families have; what is None is left to transformers' default."""

    image_size: int | None = Field(default=None, ge=8, le=2048)
    patch_size: int | None = Field(default=None, ge=1, le=64)
    num_channels: Literal[1, 3] = 3
    hidden_act: Literal["gelu", "gelu_new", "quick_gelu", "relu", "silu"] | None = None
    layer_norm_eps: float | None = Field(default=None, gt=0, lt=1)


class TransformerSizes(Sizes):
    """Of a ViT, and of the vision model of a CLIP."""

    hidden_size: Width | None = None
    num_hidden_layers: Depth | None = None
    num_attention_heads: int | None = Field(default=None, ge=1, le=128)
    intermediate_size: int | None = Field(default=None, ge=1, le=32_768)
    qkv_bias: bool | None = None

    @model_validator(mode="after")
    def _heads_share_the_width(self) -> "TransformerSizes":
        width, heads = self.hidden_size, self.num_attention_heads
        if width is not None and heads is not None and width % heads:
            raise ValueError("hidden_size must be a multiple of num_attention_heads")
        return self


class DinoSizes(TransformerSizes):
    """Of a DINOv2, with register tokens or without."""

    intermediate_size: None = Field(default=None, exclude=True)
    mlp_ratio: int | None = Field(default=None, ge=1, le=16)
    use_swiglu_ffn: bool | None = None
    num_register_tokens: int | None = Field(default=None, ge=0, le=64)


class ConvNextSizes(Sizes):
    """Of a ConvNeXt: each stage after the first halves the grid."""

    hidden_sizes: tuple[Width, ...] | None = Field(default=None, min_length=1, max_length=8)
    depths: tuple[Depth, ...] | None = Field(default=None, min_length=1, max_length=8)
    num_stages: int | None = Field(default=None, ge=1, le=8)

    @model_validator(mode="after")
    def _stages_agree(self) -> "ConvNextSizes":
        counts = {len(each) for each in (self.hidden_sizes, self.depths) if each is not None}
        if self.num_stages is not None:
            counts.add(self.num_stages)
        if len(counts) > 1:
            raise ValueError("hidden_sizes, depths and num_stages must be of as many stages")
        return self


def _plain(model: Any, pixels: Tensor, fitted: bool) -> Tensor:
    hidden: Tensor = model(pixel_values=pixels, interpolate_pos_encoding=fitted).last_hidden_state
    return hidden[0]


def _dino(model: Any, pixels: Tensor, _fitted: bool) -> Tensor:
    hidden: Tensor = model(pixel_values=pixels).last_hidden_state[0]
    registers = getattr(model.config, "num_register_tokens", 0)
    return torch.cat([hidden[:1], hidden[1 + registers :]])


def _clip(model: Any, pixels: Tensor, fitted: bool) -> Tensor:
    """CLIP norms the class token alone, which is all that it was trained by; here all are."""
    tokens: Tensor = model.post_layernorm(_plain(model, pixels, fitted))
    return tokens


def _convnext(model: Any, pixels: Tensor, _fitted: bool) -> Tensor:
    """ConvNeXt norms the mean of the grid, which is its vector of the whole image."""
    grid = model(pixel_values=pixels).last_hidden_state[0].flatten(1).T
    tokens: Tensor = model.layernorm(torch.cat([grid.mean(dim=0, keepdim=True), grid]))
    return tokens


@dataclass(frozen=True, kw_only=True)
class Family:
    """config, model: classes of transformers. sizes: what is read of config.json.

    read: a model, one normed image (1,C,H,W) and whether positions are fitted to its size, to its
    tokens (1+N,F). prefix: of the entries that are the encoder's, among others in the file.
    """

    config: str
    model: str
    sizes: type[Sizes]
    read: Callable[[Any, Tensor, bool], Tensor]
    prefix: str = ""
    any_size: bool = False
    attention: str | None = "sdpa"

    def build(self, sizes: Sizes) -> tuple[Any, type[Any]]:
        """The configuration, and the model's class."""
        import transformers

        config = getattr(transformers, self.config)(**sizes.model_dump(exclude_none=True))
        return config, getattr(transformers, self.model)


_CLIP = Family(
    config="CLIPVisionConfig", model="CLIPVisionModel", sizes=TransformerSizes, read=_clip,
    prefix="vision_model.",
)  # fmt: skip
FAMILIES: dict[str, Family] = {
    "vit": Family(config="ViTConfig", model="ViTModel", sizes=TransformerSizes, read=_plain),
    "dinov2": Family(config="Dinov2Config", model="Dinov2Model", sizes=DinoSizes, read=_dino),
    "dinov2_with_registers": Family(
        config="Dinov2WithRegistersConfig", model="Dinov2WithRegistersModel", sizes=DinoSizes,
        read=_dino,
    ),
    "clip": _CLIP,
    "clip_vision_model": _CLIP,
    "convnext": Family(
        config="ConvNextConfig", model="ConvNextModel", sizes=ConvNextSizes, read=_convnext,
        any_size=True, attention=None,
    ),
}  # fmt: skip


def family_of(file: Path, document: Mapping[str, Any]) -> tuple[Family, Sizes]:
    """The family of a folder's config.json, and its sizes; else a ConfigError that says why not."""
    kind = document.get("model_type")
    if not isinstance(kind, str) or kind not in FAMILIES:
        raise ConfigError(f"{file}: model_type is none of {', '.join(FAMILIES)}")
    if kind == "clip":
        document = document.get("vision_config") or {}
        if not isinstance(document, Mapping):
            raise ConfigError(f"{file}: vision_config holds no JSON object")
    family = FAMILIES[kind]
    known = {key: document[key] for key in family.sizes.model_fields if key in document}
    return family, parse(family.sizes, known, file)


def grid_step(model: nn.Module) -> int:
    """Pixels, in each direction, of the square that one of its vectors is of."""
    config: Any = model.config
    stages = getattr(config, "depths", None)
    step: int = config.patch_size * (1 if stages is None else 2 ** (len(stages) - 1))
    return step
