"""IRENE's blocks as the paper's equations stand: what `benchmarks.model` measures against.

Explicit matrix products and softmax; the four attention paths of a bidirectional block one by one;
the shared output projection once for each stream. It reads the weights of an `IreneModel`, so the
two can be compared in result as well as in time.
"""

import math
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from irene_model.explain import TokenLayout
from irene_model.inputs import Batch
from irene_model.network import IreneModel


def transcribed_logits(model: IreneModel, batch: Batch) -> Tensor:
    """Logits (B,K) of a batch whose masks, where given, hide single tokens or the whole image."""
    masked = any(name.endswith("_mask") and name != "label_mask" for name in batch)
    present = TokenLayout.of(model.config).presence(batch) if masked else None
    inputs = {name: batch.get(name) for name in _INPUTS}
    image, clinical, _, _ = model.embeddings(**inputs)
    N = image.shape[1]
    both = (None, None) if present is None else (present[:, :N], present[:, N:])
    for block in model.encoder.bidirectional:
        image, clinical = _bidirectional(block, image, clinical, both)
    tokens = torch.cat([image, clinical], dim=1)
    for block in model.encoder.joint:
        tokens = _joint(block, tokens, present)
    tokens = model.encoder.norm(tokens)
    if present is None:
        features = tokens.mean(dim=1)
    else:
        weights = present.to(tokens.dtype)
        features = (tokens * weights[..., None]).sum(1) / weights.sum(1, keepdim=True).clamp(min=1)
    logits: Tensor = model.head(features)
    return logits


_INPUTS = (
    *("pixel_values", "image_mask", "text_embeddings", "input_ids", "text_mask"),
    *("lab_values", "lab_mask", "age", "sex", "demographics_mask"),
)


def _bidirectional(
    block: Any,
    image: Tensor,
    clinical: Tensor,
    present: tuple[Tensor | None, Tensor | None],
) -> tuple[Tensor, Tensor]:
    attention = block.attention
    x, y = block.image_attention_norm(image), block.clinical_attention_norm(clinical)
    H, p = attention.num_heads, attention.dropout.p if attention.training else 0.0
    xq, xk, xv = (
        _heads(layer(x), H)
        for layer in (attention.image_query, attention.image_key, attention.image_value)
    )
    yq, yk, yv = (
        _heads(layer(y), H)
        for layer in (attention.clinical_query, attention.clinical_key, attention.clinical_value)
    )
    x_mixed = _attended(xq, xk, xv, present[0], p) + _attended(xq, yk, yv, present[1], p)
    y_mixed = _attended(yq, yk, yv, present[1], p) + _attended(yq, xk, xv, present[0], p)
    paths: Tensor | float = 2.0
    if present[0] is not None and present[1] is not None:
        there = present[0].any(dim=1).float() + present[1].any(dim=1).float()
        paths = there.clamp(min=1)[:, None, None]
    image = image + attention.dropout(attention.out(_joined(x_mixed) / paths))
    clinical = clinical + attention.dropout(attention.out(_joined(y_mixed) / paths))
    image = image + _mlp(block.image_mlp, block.image_mlp_norm(image))
    return image, clinical + _mlp(block.clinical_mlp, block.clinical_mlp_norm(clinical))


def _joint(block: Any, tokens: Tensor, present: Tensor | None) -> Tensor:
    attention = block.attention
    x = block.attention_norm(tokens)
    H, p = attention.num_heads, attention.dropout.p if attention.training else 0.0
    q, k, v = (_heads(layer(x), H) for layer in (attention.query, attention.key, attention.value))
    mixed = _joined(_attended(q, k, v, present, p))
    tokens = tokens + attention.dropout(attention.out(mixed))
    return tokens + _mlp(block.mlp, block.mlp_norm(tokens))


def _attended(q: Tensor, k: Tensor, v: Tensor, present: Tensor | None, dropout: float) -> Tensor:
    """softmax(q k^T / sqrt(d)) v, (B,H,N,D/H); zero for a record without keys."""
    scores = torch.matmul(q, k.transpose(-1, -2)) / math.sqrt(q.shape[-1])
    if present is not None:
        scores = scores.masked_fill(~present[:, None, None, :], torch.finfo(scores.dtype).min)
    weights = F.dropout(torch.softmax(scores, dim=-1), dropout)
    mixed = torch.matmul(weights, v)
    if present is not None:
        mixed = mixed * present.any(dim=1)[:, None, None, None]
    return mixed


def _mlp(mlp: Any, tokens: Tensor) -> Tensor:
    inner = mlp.dropout(F.gelu(mlp.up(tokens)))
    output: Tensor = mlp.dropout(mlp.down(inner))
    return output


def _heads(tokens: Tensor, heads: int) -> Tensor:
    B, N, D = tokens.shape
    return tokens.view(B, N, heads, D // heads).permute(0, 2, 1, 3)


def _joined(mixed: Tensor) -> Tensor:
    B, H, N, d = mixed.shape
    return mixed.permute(0, 2, 1, 3).contiguous().view(B, N, H * d)
