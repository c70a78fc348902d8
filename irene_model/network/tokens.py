"""The leaves of which tokens are made. Each has one input, so that per-sample gradients are plain.

Legend: B records, N or T tokens, D width.
"""

import math
from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

Group = tuple[Tensor, Tensor | None]  # tokens (B,N,D) and their presence (B,N)


class ClassToken(nn.Module):
    """Prepends one learned token.

    The parameter lives in a leaf with one input, so that per-sample gradients are plain: of
    `token` (D,) it is the output's gradient at position 0.
    """

    def __init__(self, hidden_size: int) -> None:
        super().__init__()
        self.token = nn.Parameter(torch.zeros(hidden_size))

    def forward(self, tokens: Tensor) -> Tensor:
        """Tokens (B,N,D) to (B,1+N,D)."""
        return torch.cat([self.token.expand(tokens.shape[0], 1, -1), tokens], dim=1)


class PositionTable(nn.Module):
    """Adds a learned vector to every position.

    The per-sample gradient of `table` (N,D) is the output's gradient itself.
    """

    def __init__(self, length: int, hidden_size: int) -> None:
        super().__init__()
        self.table = nn.Parameter(torch.zeros(length, hidden_size))

    def forward(self, tokens: Tensor) -> Tensor:
        """Tokens (B,N,D) to (B,N,D)."""
        return tokens + self.table


class GroupedLinear(nn.Module):
    """Each token's own linear map of its own numbers: (B,T,I) to (B,T,D), without a bias.

    A leaf of one input: the per-sample gradient of `weight` (T,I,D) is the outer product of each
    token's numbers and of its output's gradient.
    """

    def __init__(self, tokens: int, inputs: int, hidden_size: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.zeros(tokens, inputs, hidden_size))

    def forward(self, numbers: Tensor) -> Tensor:
        """Numbers (B,T,I) to tokens (B,T,D)."""
        return torch.einsum("bti,tid->btd", numbers, self.weight)


class PanelTokens(nn.Module):
    """A panel's numbers (B,V), `per_token` after each other as one token.

    Where several share a token it is told which of them are there: 0 alone would be the middle of
    the reference interval.
    """

    def __init__(self, values: int, per_token: int, hidden_size: int) -> None:
        super().__init__()
        self.tokens, self.per_token = math.ceil(values / per_token), per_token
        self.padding = self.tokens * per_token - values
        self.groups = GroupedLinear(self.tokens, (1 + (per_token > 1)) * per_token, hidden_size)
        self.positions = PositionTable(self.tokens, hidden_size)

    def forward(self, values: Tensor, present: Tensor | None) -> Group:
        """Tokens (B,T,D) and their presence: a token is there if any of its numbers is."""
        dtype = self.groups.weight.dtype
        known = torch.ones_like(values, dtype=torch.bool) if present is None else present
        numbers = self._grouped(present_only(values, present).to(dtype))
        there = self._grouped(known)
        if self.per_token > 1:
            numbers = torch.cat([numbers, there.to(dtype)], dim=2)
        tokens: Tensor = self.positions(self.groups(numbers))
        return tokens, None if present is None else there.any(dim=2)

    def _grouped(self, values: Tensor) -> Tensor:
        padded = F.pad(values, (0, self.padding))
        return padded.reshape(len(values), self.tokens, self.per_token)


class SoundTokens(nn.Module):
    """Patches (B,N,F) of recordings, N = positions * bands * times, as one token each.

    Where a patch stands is the sum of three learned positions. Each is a table of nothing, spread
    over the grid after it, so that every engine knows its per-sample gradients.
    """

    def __init__(self, grid: Sequence[int], hidden_size: int) -> None:
        super().__init__()
        positions, bands, times, numbers = grid
        self.projection = nn.Linear(numbers, hidden_size)
        self.position = PositionTable(positions, hidden_size)
        self.band = PositionTable(bands, hidden_size)
        self.time = PositionTable(times, hidden_size)

    def forward(self, patches: Tensor, present: Tensor | None) -> Group:
        """Tokens (B,N,D) and their presence."""
        patches = present_only(patches, present).to(self.projection.weight.dtype)
        tokens: Tensor = self.projection(patches)
        of_position, of_band, of_time = (
            table(tokens.new_zeros(len(tokens), *table.table.shape))
            for table in (self.position, self.band, self.time)
        )
        places = of_position[:, :, None, None] + of_band[:, None, :, None] + of_time[:, None, None]
        return tokens + places.flatten(1, 3), present


def present_only(values: Tensor, present: Tensor | None) -> Tensor:
    """`values` with zero wherever `present` (its leading axes) is False.

    `torch.where` and not a product: NaN times zero is NaN.
    """
    if present is None:
        return values
    trailing = [1] * (values.ndim - present.ndim)
    return torch.where(present.reshape(*present.shape, *trailing), values, 0)
