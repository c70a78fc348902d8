"""A small IRENE, and random inputs, masks and labels for it."""

from typing import Any

import torch
from torch import Tensor

import client.private.opacus_engines  # noqa: F401  registers the samplers of ClassToken and PositionTable
from irene_model.network.model import IreneConfig, IreneModel

B, T, L, K, VOCABULARY = 5, 6, 4, 3, 11
MODALITY_MASKS = {
    "image": ["image_mask"],
    "text": ["text_mask"],
    "labs": ["lab_mask"],
    "demographics": ["demographics_mask"],
    "clinical": ["text_mask", "lab_mask", "demographics_mask"],
    "everything": ["image_mask", "text_mask", "lab_mask", "demographics_mask"],
}
VALUE_OF_MASK = {"image_mask": "pixel_values", "lab_mask": "lab_values"}


def small_config(**changes: Any) -> IreneConfig:
    sizes = {
        "hidden_size": 16,
        "num_hidden_layers": 3,
        "num_bidirectional_layers": 2,
        "num_attention_heads": 2,
        "intermediate_size": 24,
        "image_size": 8,
        "patch_size": 4,
        "num_channels": 1,
        "text_length": T,
        "text_width": 7,
        "vocab_size": VOCABULARY,
        "num_labs": L,
        "num_labels": K,
        "hidden_dropout_prob": 0.0,
        "attention_probs_dropout_prob": 0.0,
    }
    return IreneConfig(**{**sizes, **changes})


def small_model(seed: int = 0, **changes: Any) -> IreneModel:
    torch.manual_seed(seed)
    return IreneModel(small_config(**changes)).eval()


def inputs(seed: int = 0, *, records: int = B, own_vocabulary: bool = True) -> dict[str, Tensor]:
    g = torch.Generator().manual_seed(seed)
    batch = {
        "pixel_values": torch.randn(records, 1, 8, 8, generator=g),
        "lab_values": torch.randn(records, L, generator=g),
        "age": torch.rand(records, generator=g),
        "sex": torch.randint(0, 2, (records,), generator=g).float(),
    }
    if own_vocabulary:
        batch["input_ids"] = torch.randint(0, VOCABULARY, (records, T), generator=g)
    else:
        batch["text_embeddings"] = torch.randn(records, T, 7, generator=g)
    return batch


def masks(seed: int = 0, *, records: int = B, share: float = 0.6) -> dict[str, Tensor]:
    g = torch.Generator().manual_seed(seed)
    shapes = {
        "image_mask": (records,),
        "text_mask": (records, T),
        "lab_mask": (records, L),
        "demographics_mask": (records, 2),
    }
    return {name: torch.rand(shape, generator=g) < share for name, shape in shapes.items()}


def labelled(seed: int = 0, *, records: int = B) -> dict[str, Tensor]:
    g = torch.Generator().manual_seed(seed)
    return {
        "labels": torch.randint(0, 2, (records, K), generator=g).float(),
        "label_mask": torch.rand(records, K, generator=g) < 0.7,
    }
