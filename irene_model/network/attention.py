"""Attention that leaves out what is missing.

Legend: B records, N queries, M keys, D width, H heads. A presence mask is boolean (B, M), True
for a token that exists; None says that every token does. Where a query has no key at all the
attention yields exactly zero, never NaN.
"""

import math
from collections.abc import Sequence
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

Attended = tuple[Tensor, Tensor | None]


class Streams(NamedTuple):
    """Tokens (B,N,D) of both streams and their presence (B,N), None where all are present."""

    image: Tensor
    clinical: Tensor
    image_present: Tensor | None
    clinical_present: Tensor | None


class BidirectionalMaps(NamedTuple):
    """The four attention maps of a bidirectional block, each (B, H, queries, keys)."""

    image_to_image: Tensor
    image_to_clinical: Tensor
    clinical_to_clinical: Tensor
    clinical_to_image: Tensor


def attend(
    query: Tensor,
    key: Tensor,
    value: Tensor,
    present: Tensor | None,
    *,
    num_heads: int,
    dropout: float,
    with_map: bool,
) -> Attended:
    """Scaled dot-product attention of `query` (B,N,D) over `key` and `value` (B,M,D).

    `present` is (B,M), or (B,N,M) where each query has keys of its own. Returns the mixed values
    (B,N,D), before any output projection, and, when asked, the map
    (B,H,N,M) before dropout. `dropout` is the probability to apply now: 0 outside training.
    """
    q, k, v = (
        x.reshape(*x.shape[:2], num_heads, x.shape[2] // num_heads).transpose(
            1, 2
        )  # (B, H, tokens, D/H)
        for x in (query, key, value)
    )
    allowed = any_key = None
    if present is not None:
        keys = present[:, None] if present.ndim == 2 else present  # (B, 1 or N, M)
        any_key = keys.any(dim=-1, keepdim=True)
        # A softmax over nothing is NaN, forward and backward. A query without keys reads all of
        # them instead, and its result is replaced by zero below.
        allowed = (keys | ~any_key)[:, None]  # (B, 1, 1 or N, M)
        any_key = any_key[:, None]
    weights = None
    if with_map or _products_are_faster(q, dropout):
        scores = (q / math.sqrt(q.shape[-1])) @ k.transpose(-1, -2)  # (B, H, N, M)
        if allowed is not None:
            scores = scores.masked_fill(~allowed, -math.inf)
        weights = scores.softmax(dim=-1)
        mixed = F.dropout(weights, dropout) @ v
        if not with_map:
            weights = None
        elif any_key is not None:
            weights = torch.where(any_key, weights, 0.0)
    else:
        mixed = F.scaled_dot_product_attention(q, k, v, attn_mask=allowed, dropout_p=dropout)
    if any_key is not None:
        mixed = torch.where(any_key, mixed, 0.0)
    return mixed.transpose(1, 2).flatten(2), weights


def _products_are_faster(q: Tensor, dropout: float) -> bool:
    """Whether plain matrix products beat PyTorch's fused attention here (`benchmarks.model`).

    On a CPU the fused kernel knows no dropout, and its backward pass in bfloat16 is slow.
    """
    return q.device.type == "cpu" and (dropout > 0 or q.dtype != torch.float32)


def join_presence(masks: Sequence[Tensor | None], tokens: Sequence[Tensor]) -> Tensor | None:
    """The presence of concatenated groups of `tokens`, each (B, N_i, D); None if all have all."""
    if all(mask is None for mask in masks):
        return None
    return torch.cat(
        [
            torch.ones(group.shape[:2], dtype=torch.bool, device=group.device)
            if mask is None
            else mask
            for mask, group in zip(masks, tokens, strict=True)
        ],
        dim=1,
    )


def mean_present(tokens: Tensor, present: Tensor | None) -> Tensor:
    """Mean of the present tokens, (B,N,D) to (B,D); zero for a record that has none."""
    if present is None:
        return tokens.mean(dim=1)
    total = torch.where(present[..., None], tokens, 0.0).sum(dim=1)
    return total / present.sum(dim=1, keepdim=True).clamp(min=1)


class SelfAttention(nn.Module):
    """Multi-head self-attention of all tokens, or their attention to other ones."""

    def __init__(self, *, hidden_size: int, num_heads: int, dropout: float) -> None:
        super().__init__()
        self.num_heads = num_heads
        self.query = nn.Linear(hidden_size, hidden_size)
        self.key = nn.Linear(hidden_size, hidden_size)
        self.value = nn.Linear(hidden_size, hidden_size)
        self.out = nn.Linear(hidden_size, hidden_size)
        self.dropout = nn.Dropout(dropout)

    def forward(
        self,
        tokens: Tensor,
        present: Tensor | None,
        *,
        with_map: bool,
        others: Tensor | None = None,
    ) -> Attended:
        """Tokens (B,N,D) to (B,N,D), and the map (B,H,N,N) when asked.

        With `others` (B,M,D) the keys and values, and `present`, are theirs.
        """
        read = tokens if others is None else others
        mixed, weights = attend(
            self.query(tokens),
            self.key(read),
            self.value(read),
            present,
            num_heads=self.num_heads,
            dropout=self.dropout.p if self.training else 0.0,
            with_map=with_map,
        )
        return self.dropout(self.out(mixed)), weights


class BidirectionalAttention(nn.Module):
    """Each stream attends to itself and to the other one; the two results are averaged.

    The streams have their own query, key and value projections and share the output projection.
    Zhou et al. 2023, "bidirectional multimodal attention"; the mean is over the paths whose
    stream has any token, so that a missing modality does not halve what is there. A `direction`
    other than `both` closes the other path, as if the stream that it would read had no token.
    """

    def __init__(
        self, *, hidden_size: int, num_heads: int, dropout: float, direction: str = "both"
    ) -> None:
        super().__init__()
        self.num_heads = num_heads
        self.direction = direction
        self.image_query = nn.Linear(hidden_size, hidden_size)
        self.image_key = nn.Linear(hidden_size, hidden_size)
        self.image_value = nn.Linear(hidden_size, hidden_size)
        self.clinical_query = nn.Linear(hidden_size, hidden_size)
        self.clinical_key = nn.Linear(hidden_size, hidden_size)
        self.clinical_value = nn.Linear(hidden_size, hidden_size)
        self.out = nn.Linear(hidden_size, hidden_size)
        self.dropout = nn.Dropout(dropout)

    def forward(
        self, streams: Streams, *, with_maps: bool
    ) -> tuple[Tensor, Tensor, BidirectionalMaps | None]:
        """Streams (B,N,D) and (B,M,D) to the same shapes, and the four maps when asked."""
        image, clinical, image_present, clinical_present = streams
        image_qkv = (self.image_query(image), self.image_key(image), self.image_value(image))
        clinical_qkv = (
            self.clinical_query(clinical),
            self.clinical_key(clinical),
            self.clinical_value(clinical),
        )

        def path(query: Tensor, keys: tuple[Tensor, ...], present: Tensor | None) -> Attended:
            return attend(
                query,
                keys[1],
                keys[2],
                present,
                num_heads=self.num_heads,
                dropout=self.dropout.p if self.training else 0.0,
                with_map=with_maps,
            )

        read_by_image, read_by_clinical = clinical_present, image_present
        if self.direction == "clinical_to_image":
            read_by_image = clinical.new_zeros(clinical.shape[:2], dtype=torch.bool)
        elif self.direction == "image_to_clinical":
            read_by_clinical = image.new_zeros(image.shape[:2], dtype=torch.bool)
        image_image, map_ii = path(image_qkv[0], image_qkv, image_present)
        image_clinical, map_ic = path(image_qkv[0], clinical_qkv, read_by_image)
        clinical_clinical, map_cc = path(clinical_qkv[0], clinical_qkv, clinical_present)
        clinical_image, map_ci = path(clinical_qkv[0], image_qkv, read_by_clinical)
        image_paths = _available(image_present, image) + _available(read_by_image, clinical)
        clinical_paths = _available(read_by_clinical, image) + _available(
            clinical_present, clinical
        )
        mixed = torch.cat(
            [
                (image_image + image_clinical) / image_paths.clamp(min=1),
                (clinical_clinical + clinical_image) / clinical_paths.clamp(min=1),
            ],
            dim=1,
        )
        # One call for both streams: per-sample gradient hooks want each layer called once.
        image_out, clinical_out = self.dropout(self.out(mixed)).split(
            [image.shape[1], clinical.shape[1]], dim=1
        )
        if map_ii is None or map_ic is None or map_cc is None or map_ci is None:
            return image_out, clinical_out, None
        return image_out, clinical_out, BidirectionalMaps(map_ii, map_ic, map_cc, map_ci)


def _available(present: Tensor | None, tokens: Tensor) -> Tensor:
    """1 for a record whose stream has any token, else 0; (B,1,1) in the tokens' dtype."""
    if present is None:
        return tokens.new_ones(1, 1, 1)
    return present.any(dim=1)[:, None, None].to(tokens.dtype)
