"""A small Vision Transformer in both layouts of its file, and an IRENE of its size."""

from pathlib import Path
from typing import Any

import numpy as np
import torch
from transformers import ViTConfig, ViTForImageClassification, ViTModel

from irene_model.network.model import IreneConfig, IreneModel
from irene_model.study.study import Study
from tests.helpers.hospital_folder import STUDY

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


def study(**changes: Any) -> Study:
    sizes = {
        "hidden_size": D, "num_hidden_layers": 2, "num_bidirectional_layers": 1,
        "num_attention_heads": HEADS, "intermediate_size": MLP,
    }  # fmt: skip
    image = {"size": 8, "patch": PATCH}
    return Study.model_validate({**STUDY, "model": sizes, "image": image, **changes})
