"""IRENE's encoder: bidirectional blocks over two streams, then joint blocks over all tokens.

Legend: B records, N image tokens, M clinical tokens, D width, H heads. All blocks are pre-norm
transformers blocks with GELU.
"""

from collections.abc import Callable
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from irene_model.network.attention import (
    BidirectionalAttention,
    BidirectionalMaps,
    SelfAttention,
    join_presence,
)
from irene_model.network.config import IreneConfig

AttentionMaps = tuple[BidirectionalMaps | Tensor, ...]


class Mlp(nn.Module):
    """Two linear layers with GELU between, on every token."""

    def __init__(self, *, hidden_size: int, intermediate_size: int, dropout: float) -> None:
        super().__init__()
        self.up = nn.Linear(hidden_size, intermediate_size)
        self.down = nn.Linear(intermediate_size, hidden_size)
        self.dropout = nn.Dropout(dropout)

    def forward(self, tokens: Tensor) -> Tensor:
        """Tokens (B,N,D) to (B,N,D)."""
        inner: Tensor = self.dropout(F.gelu(self.up(tokens)))
        output: Tensor = self.dropout(self.down(inner))
        return output


class BidirectionalBlock(nn.Module):
    """One block over the image and the clinical stream, each with its own norms and MLP."""

    def __init__(self, config: IreneConfig) -> None:
        super().__init__()
        self.image_attention_norm = _norm(config)
        self.clinical_attention_norm = _norm(config)
        self.attention = BidirectionalAttention(
            hidden_size=config.hidden_size,
            num_heads=config.num_attention_heads,
            dropout=config.attention_probs_dropout_prob,
            direction=config.attention_direction,
        )
        self.image_mlp_norm = _norm(config)
        self.clinical_mlp_norm = _norm(config)
        self.image_mlp = _mlp(config)
        self.clinical_mlp = _mlp(config)

    def forward(
        self,
        image: Tensor,
        clinical: Tensor,
        image_present: Tensor | None,
        clinical_present: Tensor | None,
        *,
        with_maps: bool,
    ) -> tuple[Tensor, Tensor, BidirectionalMaps | None]:
        """Streams (B,N,D) and (B,M,D) to the same shapes, and the four maps when asked."""
        image_delta, clinical_delta, maps = self.attention(
            self.image_attention_norm(image),
            self.clinical_attention_norm(clinical),
            image_present,
            clinical_present,
            with_maps=with_maps,
        )
        image = image + image_delta
        clinical = clinical + clinical_delta
        image = image + self.image_mlp(self.image_mlp_norm(image))
        clinical = clinical + self.clinical_mlp(self.clinical_mlp_norm(clinical))
        return image, clinical, maps


class JointBlock(nn.Module):
    """One ordinary transformer block over all tokens."""

    def __init__(self, config: IreneConfig) -> None:
        super().__init__()
        self.attention_norm = _norm(config)
        self.attention = SelfAttention(
            hidden_size=config.hidden_size,
            num_heads=config.num_attention_heads,
            dropout=config.attention_probs_dropout_prob,
        )
        self.mlp_norm = _norm(config)
        self.mlp = _mlp(config)

    def forward(
        self,
        tokens: Tensor,
        present: Tensor | None,
        *,
        with_map: bool,
        others: Tensor | None = None,
    ) -> tuple[Tensor, Tensor | None]:
        """Tokens (B,N+M,D) to the same shape, and the map (B,H,N+M,N+M) when asked.

        With `others`, already normed, these are attended to, and `present` is theirs.
        """
        delta, weights = self.attention(
            self.attention_norm(tokens), present, with_map=with_map, others=others
        )
        tokens = tokens + delta
        return tokens + self.mlp(self.mlp_norm(tokens)), weights


class Blocks(nn.Module):
    """Runs blocks: under `gradient_checkpointing`, which transformers turns on, training keeps the
    inputs of each block and computes the rest again on the way back.
    """

    _gradient_checkpointing_func: Callable[..., Any]

    def __init__(self) -> None:
        super().__init__()
        self.gradient_checkpointing = False

    def run(self, block: nn.Module, *inputs: Tensor | None, **asked: bool) -> Any:
        """What `block` gives."""
        if self.gradient_checkpointing and self.training:
            return self._gradient_checkpointing_func(block, *inputs, **asked)
        return block(*inputs, **asked)


class IreneEncoder(Blocks):
    """All blocks and the final norm."""

    def __init__(self, config: IreneConfig) -> None:
        super().__init__()
        num_joint = config.num_hidden_layers - config.num_bidirectional_layers
        self.bidirectional = nn.ModuleList(
            BidirectionalBlock(config) for _ in range(config.num_bidirectional_layers)
        )
        self.joint = nn.ModuleList(JointBlock(config) for _ in range(num_joint))
        self.norm = _norm(config)

    def forward(
        self,
        image: Tensor,
        clinical: Tensor,
        image_present: Tensor | None,
        clinical_present: Tensor | None,
        *,
        with_maps: bool,
    ) -> tuple[Tensor, Tensor | None, AttentionMaps]:
        """Streams (B,N,D) and (B,M,D) to tokens (B,N+M,D), their presence, and maps if asked."""
        maps: list[BidirectionalMaps | Tensor | None] = []
        for block in self.bidirectional:
            image, clinical, four_maps = self.run(
                block, image, clinical, image_present, clinical_present, with_maps=with_maps
            )
            maps.append(four_maps)
        present = join_presence([image_present, clinical_present], [image, clinical])
        tokens = torch.cat([image, clinical], dim=1)
        for block in self.joint:
            tokens, weights = self.run(block, tokens, present, with_map=with_maps)
            maps.append(weights)
        return self.norm(tokens), present, tuple(m for m in maps if m is not None)


def _norm(config: IreneConfig) -> nn.LayerNorm:
    return nn.LayerNorm(config.hidden_size, eps=config.layer_norm_eps)


def _mlp(config: IreneConfig) -> Mlp:
    return Mlp(
        hidden_size=config.hidden_size,
        intermediate_size=config.intermediate_size,
        dropout=config.hidden_dropout_prob,
    )
