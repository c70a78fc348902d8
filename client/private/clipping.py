"""What every engine of the private gradient agrees on: the clipped sum of one micro-batch.

Each row of a batch is one patient. A patient's gradient g over all trained parameters together is
scaled to L2 norm at most C, which bounds what one patient adds to the sum (Abadi et al. 2016,
"Deep learning with differential privacy", Alg. 1).
"""

from typing import Protocol

import torch
from torch import Tensor, nn

from irene_model.inputs import Batch

Sums = dict[nn.Parameter, Tensor]  # float32, shaped as the parameter


class ClippedSum(Protocol):
    """An engine: adds the clipped gradients of a micro-batch to running sums."""

    def add(self, batch: Batch, sums: Sums) -> None:
        """Add one clipped gradient a row of `batch`; a non-finite one counts as zero."""

    def close(self) -> None:
        """Leave the model as it was before the engine was built."""


def trained_parameters(model: nn.Module) -> list[nn.Parameter]:
    """The parameters that are not frozen, in the model's order."""
    return [p for p in model.parameters() if p.requires_grad]


def forward_losses(model: nn.Module, batch: Batch) -> tuple[Tensor, Tensor]:
    """Logits (B, K) and each record's loss (B,), in float32."""
    output = model(**batch)
    return output.logits.float(), output.losses


def clip_factors(norms: Tensor, clip_norm: float) -> Tensor:
    """min(1, C / norm) for each sample (B,), 0 where the norm is not finite.

    A gradient whose norm can't be bounded may add nothing; that it was left out is told nobody.
    """
    factors = (clip_norm / norms.clamp(min=1e-12)).clamp(max=1.0)
    return torch.where(torch.isfinite(norms), factors, torch.zeros_like(factors))
