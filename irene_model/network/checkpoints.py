"""The authors' published checkpoints to and from this model's parameter names.

The two models have the same parameters; only names differ, and the authors keep tokens and
positions with leading axes of 1. Pure functions over state dicts: nothing is read from disk here
(`IreneModel.save_pretrained` and `from_pretrained` do that for this project's own files).
"""

import logging
import re
from collections.abc import Mapping

from torch import Tensor

from irene_model.errors import CheckpointError
from irene_model.network.config import IreneConfig

logger = logging.getLogger(__name__)

# Ours to the authors'. A layer's entry covers its weight and bias.
_WHOLE = {"head": "head", "encoder.norm": "transformer.encoder.encoder_norm"}
_EMBEDDINGS = {
    "patches": "patch_embeddings",
    "class_token.token": "cls_token",
    "image_positions.table": "position_embeddings",
    "text": "cc_embeddings",
    "text_positions.table": "pe_cc",
    "labs": "lab_embeddings",
    "lab_positions.table": "pe_lab",
    "sex": "sex_embeddings",
    "sex_position.table": "pe_sex",
    "age": "age_embeddings",
    "age_position.table": "pe_age",
}
_JOINT = {
    "attention_norm": "attention_norm",
    "attention.query": "attn.query",
    "attention.key": "attn.key",
    "attention.value": "attn.value",
    "attention.out": "attn.out",
    "mlp_norm": "ffn_norm",
    "mlp.up": "ffn.fc1",
    "mlp.down": "ffn.fc2",
}
_BIDIRECTIONAL = {
    "image_attention_norm": "attention_norm",
    "clinical_attention_norm": "att_norm_text",
    "attention.image_query": "attn.query",
    "attention.image_key": "attn.key",
    "attention.image_value": "attn.value",
    "attention.clinical_query": "attn.query_text",
    "attention.clinical_key": "attn.key_text",
    "attention.clinical_value": "attn.value_text",
    "attention.out": "attn.out",
    "image_mlp_norm": "ffn_norm",
    "clinical_mlp_norm": "ffn_norm_text",
    "image_mlp.up": "ffn.fc1",
    "image_mlp.down": "ffn.fc2",
    "clinical_mlp.up": "ffn_text.fc1",
    "clinical_mlp.down": "ffn_text.fc2",
}
_LAYER = "transformer.encoder.layer"
_NEVER_CALLED = re.compile(r"transformer\.encoder\.layer\.\d+\.attn\.out_text\.(weight|bias)")


def authors_config(
    state: Mapping[str, Tensor], *, image_size: int, patch_size: int, num_attention_heads: int
) -> IreneConfig:
    """The configuration of the authors' `state`: sizes from its shapes, their dropouts."""
    state = _without_prefix(state)
    layers = {m[1] for key in state if (m := re.match(rf"{re.escape(_LAYER)}\.(\d+)\.", key))}
    bidirectional = [i for i in layers if f"{_LAYER}.{i}.attn.query_text.weight" in state]
    if not layers:
        raise CheckpointError(f"not the authors' IRENE: it has no entry {_LAYER}.0.*")
    embeddings = "transformer.embeddings"
    return IreneConfig(
        image_size=image_size,
        patch_size=patch_size,
        num_attention_heads=num_attention_heads,
        num_hidden_layers=len(layers),
        num_bidirectional_layers=len(bidirectional),
        hidden_size=_size(state, "head.weight", axis=1, axes=2),
        num_labels=_size(state, "head.weight", axis=0, axes=2),
        intermediate_size=_size(state, f"{_LAYER}.0.ffn.fc1.weight", axis=0, axes=2),
        num_channels=_size(state, f"{embeddings}.patch_embeddings.weight", axis=1, axes=4),
        text_width=_size(state, f"{embeddings}.cc_embeddings.weight", axis=1, axes=2),
        text_length=_size(state, f"{embeddings}.pe_cc", axis=1, axes=3),
        num_labs=_size(state, f"{embeddings}.pe_lab", axis=1, axes=3),
    )


def from_authors_state(
    state: Mapping[str, Tensor], config: IreneConfig, own: Mapping[str, Tensor]
) -> tuple[dict[str, Tensor], tuple[str, ...]]:
    """The authors' `state` under the names and in the shapes of `own`, the model's state dict.

    Also returns the entries that were ignored, by the authors' names, and logs them at info.
    """
    state = _without_prefix(state)
    ignored = tuple(sorted(key for key in state if _NEVER_CALLED.fullmatch(key)))
    if ignored:
        logger.info("left out what the authors never call: %s", ", ".join(ignored))
    names = {name: _authors_name(name, config) for name in own}
    if unknown := sorted(state.keys() - set(names.values()) - set(ignored)):
        raise CheckpointError(f"unknown entries in the authors' weights: {', '.join(unknown)}")
    if missing := sorted(set(names.values()) - state.keys()):
        raise CheckpointError(f"missing from the authors' weights: {', '.join(missing)}")
    loaded = {}
    for name, parameter in own.items():
        theirs = _entry(state, names[name])
        shape = _authors_shape(name, parameter)
        if tuple(theirs.shape) != shape:
            raise CheckpointError(
                f"{names[name]} has shape {tuple(theirs.shape)}; expected {shape}"
            )
        loaded[name] = theirs.reshape(parameter.shape)
    return loaded, ignored


def to_authors_state(own: Mapping[str, Tensor], config: IreneConfig) -> dict[str, Tensor]:
    """The inverse of `from_authors_state`, for a model that the authors' code can hold."""
    if not (config.reads_image and config.reads_demographics and config.num_labs) or (
        config.vocab_size
        or config.image_width
        or not config.text_length
        or config.panels
        or config.attention_direction != "both"
        or config.linear_path
    ):
        raise CheckpointError(
            "the authors' model always reads text embeddings, laboratory values, pixels and"
            " demographics, no further panels, in both directions, without a linear path; this one"
            f" has vocab_size {config.vocab_size}, image_width {config.image_width}, text_length"
            f" {config.text_length}, num_labs {config.num_labs}, reads_image {config.reads_image},"
            f" reads_demographics {config.reads_demographics}, {len(config.panels)} panels,"
            f" attention_direction {config.attention_direction} and linear_path"
            f" {config.linear_path}"
        )
    return {
        _authors_name(name, config): parameter.reshape(_authors_shape(name, parameter))
        for name, parameter in own.items()
    }


def _authors_name(name: str, config: IreneConfig) -> str:
    """The authors' name of our parameter `name`."""
    table = dict(_WHOLE)
    table |= {f"embeddings.{k}": f"transformer.embeddings.{v}" for k, v in _EMBEDDINGS.items()}
    if match := re.match(r"encoder\.(bidirectional|joint)\.(\d+)\.", name):
        joint = match[1] == "joint"
        layer = int(match[2]) + (config.num_bidirectional_layers if joint else 0)
        entries = _JOINT if joint else _BIDIRECTIONAL
        table = {f"{match[0]}{k}": f"{_LAYER}.{layer}.{v}" for k, v in entries.items()}
    if name in table:  # a bare parameter
        return table[name]
    module, _, leaf = name.rpartition(".")
    return f"{table[module]}.{leaf}"


def _authors_shape(name: str, parameter: Tensor) -> tuple[int, ...]:
    """The authors' shape of our `parameter`: tokens and positions are (1, N, D) with them."""
    if name.endswith((".token", ".table")):
        return (1,) * (3 - parameter.ndim) + tuple(parameter.shape)
    return tuple(parameter.shape)


def _without_prefix(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """`state` without the `module.` that DataParallel puts before every name."""
    bare = {key.removeprefix("module."): value for key, value in state.items()}
    if len(bare) < len(state):
        twice = sorted(key for key in bare if key in state and f"module.{key}" in state)
        raise CheckpointError(f"{twice[0]} is there twice, with and without the prefix module.")
    return bare


def _entry(state: Mapping[str, Tensor], key: str) -> Tensor:
    value = state.get(key)
    if value is None:
        raise CheckpointError(f"missing from the authors' weights: {key}")
    if not isinstance(value, Tensor):
        raise CheckpointError(f"{key} is a {type(value).__name__}; expected a tensor")
    return value


def _size(state: Mapping[str, Tensor], key: str, *, axis: int, axes: int) -> int:
    shape = _entry(state, key).shape
    if len(shape) != axes:
        raise CheckpointError(f"{key} has shape {tuple(shape)}; expected {axes} axes")
    return shape[axis]
