"""Which token read which: attention maps of all blocks on one axis of tokens, and their rollout.

Legend: B records, A blocks, H heads, S all tokens (see `TokenLayout`), N image and M clinical
tokens, (h, w) the grid of patches. A map's row says what one token reads: the share of each token.
Absent tokens read nothing and are not read; the row of a present token sums to 1.

Attention says where information could flow from, not what it said: what moved a finding's logit is
in `irene_model.explain.integrated_gradients`.
"""

import torch
from torch import Tensor

from irene_model.explain.layout import TokenLayout
from irene_model.network import AttentionMaps


def block_maps(attentions: AttentionMaps, present: Tensor) -> Tensor:
    """The maps of all blocks and heads, (B,A,H,S,S), from `IreneOutput.attentions`.

    `present` (B,S) is of the same batch. A bidirectional block takes the mean of two paths, so a
    row of it is the mean of that stream's two maps, side by side; a record without one of the
    streams has one path, which then counts whole.
    """
    blocks = [
        maps
        if isinstance(maps, Tensor)
        else torch.cat(
            [
                torch.cat([maps.image_to_image, maps.image_to_clinical], dim=-1),
                torch.cat([maps.clinical_to_image, maps.clinical_to_clinical], dim=-1),
            ],
            dim=-2,
        )
        for maps in attentions
    ]
    reads = torch.stack(blocks, dim=1) * present[:, None, None, :, None]
    # A row over two paths sums to 2 here, one over a single path or a joint block's to 1.
    return reads / reads.sum(dim=-1, keepdim=True).clamp(min=torch.finfo(reads.dtype).tiny)


def rollout(maps: Tensor, present: Tensor) -> Tensor:
    """What each token has read of the inputs through all blocks, (B,S,S); `maps` is (B,A,H,S,S).

    Abnar & Zuidema, "Quantifying Attention Flow in Transformers", ACL 2020: heads averaged, half
    for the residual connection, A~ = (A + I) / 2, and the product over the blocks, last to first.
    """
    still = torch.diag_embed(present.to(maps.dtype))  # an absent token keeps nothing either
    flowed = still
    for block in maps.mean(dim=2).unbind(dim=1):
        flowed = (block + still) / 2 @ flowed
    return flowed


def read_by_head(rolled: Tensor, present: Tensor) -> Tensor:
    """What the diagnosis has read, (B,S): IRENE's head reads the mean of all present tokens.

    Zero for a record that has no token at all.
    """
    return rolled.sum(dim=-2) / present.sum(dim=-1, keepdim=True).clamp(min=1)


def patches_read(maps: Tensor, layout: TokenLayout) -> Tensor:
    """The patches that each clinical token read, (..., M, h, w), from any maps (..., S, S)."""
    reads = maps[..., layout.clinical, layout.parts["patches"]]
    return reads.reshape(*reads.shape[:-1], *layout.grid)


def clinical_read(maps: Tensor, layout: TokenLayout) -> Tensor:
    """The clinical tokens that the image read, (..., M), from any maps (..., S, S).

    The mean over the image's tokens; zero for a record without an image.
    """
    return maps[..., layout.image, layout.clinical].mean(dim=-2)
