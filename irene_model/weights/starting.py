"""First weights that were learned elsewhere: an earlier model's, or a Vision Transformer's and a
text encoder's vectors.

Of a Vision Transformer are loaded the projection of patches, the class token, the positions, the
self-attention blocks and the image stream of the bidirectional ones, block by block, as in the
authors' own code. The clinical stream of a bidirectional block starts fresh: a ViT has learned
nothing about words and laboratory values. Only the output projection is common to both streams.

Of a text encoder whose tokenizer the study uses, its table of token vectors is loaded.

Only the server makes first weights, so only the coordinator needs these files.
"""

import math
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from irene_model.errors import CheckpointError, ConfigError
from irene_model.exchange import LARGEST_FIRST
from irene_model.inputs import read_tensors, sha256_of, sha256_of_files
from irene_model.network import DiagnosticModel, IreneConfig
from irene_model.study import Study
from irene_model.weights.earlier import read_earlier
from irene_model.weights.matching import start_from_earlier
from irene_model.weights.vit import PATCHES, Vit, for_channels, read_vit, resize_positions
from irene_model.weights.weights import new_model

# Ours to the ViT's, both without the layer. An entry covers a weight and a bias.
_JOINT = {
    "attention_norm": "layernorm_before",
    "attention.query": "attention.attention.query",
    "attention.key": "attention.attention.key",
    "attention.value": "attention.attention.value",
    "attention.out": "attention.output.dense",
    "mlp_norm": "layernorm_after",
    "mlp.up": "intermediate.dense",
    "mlp.down": "output.dense",
}
_IMAGE_STREAM = {
    "image_attention_norm": "layernorm_before",
    "attention.image_query": "attention.attention.query",
    "attention.image_key": "attention.attention.key",
    "attention.image_value": "attention.attention.value",
    "attention.out": "attention.output.dense",
    "image_mlp_norm": "layernorm_after",
    "image_mlp.up": "intermediate.dense",
    "image_mlp.down": "output.dense",
}


@dataclass(frozen=True, kw_only=True)
class StartingPoint:
    """Where first weights come from; what is None starts fresh.

    image: a ViT, a folder of transformers or Google's .npz. text: a BERT-family encoder's folder.
    irene: a folder with a model of IRENE, which brings all weights; see `matching` beside this.
    """

    image: Path | None = None
    text: Path | None = None
    irene: Path | None = None

    def model(self, study: Study, *, seed: int) -> tuple[DiagnosticModel, dict[str, Any]]:
        """The study's first model, and what a run's folder should say of its origin."""
        model, origin = new_model(study, seed=seed), {}
        if self.irene is not None:
            if self.image is not None or self.text is not None:
                raise ConfigError(
                    "--start brings all first weights; leave --start-image and --start-text out"
                )
            earlier = read_earlier(self.irene, study)
            origin["irene"] = earlier.origin | start_from_earlier(model, study, earlier)
        if self.image is not None:
            _refuse_what_a_vit_does_not_fit(study)
            vit = read_vit(self.image)
            unused = start_from_vit(model, vit)
            origin["image"] = {"sha256": sha256_of_files([vit.file]), "unused": list(unused)}
        if self.text is not None:
            start_from_text(model, study, self.text)
            origin["text"] = {"sha256": sha256_of_files([self.text / "model.safetensors"])}
        for name, parameter in model.named_parameters():
            if not bool((parameter.abs() <= LARGEST_FIRST).all()):
                raise CheckpointError(
                    f"the first weights of '{name}' hold a number beyond {LARGEST_FIRST:g} or none"
                    " that is finite; hospitals refuse such weights, so start from another file"
                )
        return model, origin


def _refuse_what_a_vit_does_not_fit(study: Study) -> None:
    """A ViT has the widths of IRENE's blocks; a rival has others, to be as large as IRENE."""
    if study.image.encoder is not None:
        raise ConfigError(
            "--start-image: the study's radiographs are read by a frozen encoder (image.encoder), "
            "and its model has no image embedding that a ViT could start; leave it out"
        )
    if study.model.method != "irene":
        raise ConfigError(
            f"model.method {study.model.method} can't start from a ViT: its blocks are made "
            "narrower or wider, so that it has as many parameters as IRENE. Only irene can; leave "
            "--start-image out to compare both from fresh weights"
        )


def start_from_text(model: DiagnosticModel, study: Study, folder: Path) -> None:
    """Put the token vectors of the encoder in `folder` into `model`'s table.

    A study without such a table is a ConfigError; an encoder with another tokenizer than the
    study's, or with a table of another shape, is a CheckpointError.
    """
    encoder = study.text.encoder
    if encoder.kind != "tokenizer":
        raise ConfigError(
            f"a text encoder's token vectors fit a study with text.encoder.kind 'tokenizer'; this "
            f"one has '{encoder.kind}'"
        )
    if sha256_of(folder, "tokenizer") != encoder.sha256:
        raise CheckpointError(f"{folder / 'tokenizer.json'}: is not the study's tokenizer")
    file = folder / "model.safetensors"
    tables = [
        tensor
        for name, tensor in read_tensors(file).items()
        if name.endswith("embeddings.word_embeddings.weight")
    ]
    own = model.embeddings.text_tokens.weight.data
    if len(tables) != 1:
        raise CheckpointError(f"{file}: has no single table of token vectors")
    if tables[0].shape != own.shape:
        raise CheckpointError(
            f"{file}: its table of token vectors is {tuple(tables[0].shape)}; the study's "
            f"text.encoder.vocab_size and text.width ask for {tuple(own.shape)}"
        )
    own.copy_(tables[0])


def start_from_vit(model: DiagnosticModel, vit: Vit) -> tuple[str, ...]:
    """Put the weights of `vit` into `model`; returns the names in it that were not used.

    A model with fewer blocks takes the first ones, and not the final norm, which belongs to the
    output of all. A ViT of another width, patch, number of heads, norm or with fewer blocks is a
    CheckpointError that names what differs; so is a missing entry, or one of a wrong shape.
    """
    _check_sizes(model.config, vit)
    own = model.state_dict()
    values: dict[str, Tensor] = {}
    used: set[str] = set()
    for name, theirs in _names(model.config, vit):
        if name not in own:
            raise CheckpointError(
                f"{vit.place}: the study's model has no {name}; a ViT starts a model with IRENE's "
                "image embedding and encoder"
            )
        value = _entry(vit, theirs)
        if theirs == f"{PATCHES}.weight":
            value = for_channels(value, model.config.num_channels)
        elif theirs == "embeddings.position_embeddings":
            side = math.isqrt(model.config.num_patches)
            value = resize_positions(value.flatten(0, -2), side)
        elif theirs == "embeddings.cls_token":
            value = value.flatten()
        if value.shape != own[name].shape:
            raise CheckpointError(
                f"{vit.place}: {theirs} becomes {tuple(value.shape)}; the model needs "
                f"{tuple(own[name].shape)}"
            )
        if not torch.isfinite(value).all():
            raise CheckpointError(f"{vit.place}: {theirs} holds a value that is not finite")
        values[name] = value
        used.add(theirs)
    for name, value in values.items():
        own[name].copy_(value)
    return tuple(sorted(vit.weights.keys() - used))


def _check_sizes(config: IreneConfig, vit: Vit) -> None:
    patches = _entry(vit, f"{PATCHES}.weight")
    mlp = _entry(vit, "encoder.layer.0.intermediate.dense.weight")
    if patches.ndim != 4:
        raise CheckpointError(f"{vit.place}: {PATCHES}.weight is no convolution")
    for size, theirs, ours in (
        ("hidden_size", patches.shape[0], config.hidden_size),
        ("patch_size", patches.shape[-1], config.patch_size),
        ("num_attention_heads", vit.num_heads, config.num_attention_heads),
        ("intermediate_size", mlp.shape[0], config.intermediate_size),
        ("layer_norm_eps", vit.layer_norm_eps, config.layer_norm_eps),
    ):
        if theirs != ours:
            raise CheckpointError(
                f"{vit.place}: {size} is {theirs} and the study's model has {ours}; they must agree"
            )
    if vit.num_layers < config.num_hidden_layers:
        raise CheckpointError(
            f"{vit.place}: has {vit.num_layers} blocks and the study's model "
            f"{config.num_hidden_layers}; set model.num_hidden_layers to {vit.num_layers} or less"
        )


def _names(config: IreneConfig, vit: Vit) -> Iterator[tuple[str, str]]:
    """Names of ours that a ViT has, and its."""
    yield "embeddings.class_token.token", "embeddings.cls_token"
    yield "embeddings.image_positions.table", "embeddings.position_embeddings"
    layers = {"embeddings.patches": PATCHES}
    for number in range(config.num_hidden_layers):
        joint = number - config.num_bidirectional_layers
        ours = f"encoder.joint.{joint}" if joint >= 0 else f"encoder.bidirectional.{number}"
        for name, theirs in (_JOINT if joint >= 0 else _IMAGE_STREAM).items():
            layers[f"{ours}.{name}"] = f"encoder.layer.{number}.{theirs}"
    if vit.num_layers == config.num_hidden_layers:
        layers["encoder.norm"] = "layernorm"
    for name, theirs in layers.items():
        for leaf in ("weight", "bias"):
            yield f"{name}.{leaf}", f"{theirs}.{leaf}"


def _entry(vit: Vit, name: str) -> Tensor:
    value = vit.weights.get(name)
    if value is None:
        raise CheckpointError(f"{vit.place}: has no entry {name}")
    return value
