"""Per-patient clipping and noise: the private gradient of one logical step.

Each sampled patient contributes one record, so a per-sample gradient is a per-patient gradient.
Opacus' hooks compute it; it is scaled to L2 norm at most C over all parameters together
(Abadi et al. 2016, Alg. 1), summed over the micro-batches of the logical batch, noised once with
standard deviation σC, and divided by the *expected* batch size, which is public, never by the
actual one.
"""

import warnings
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from opacus.grad_sample import GradSampleModule, register_grad_sampler
from torch import nn

from irene_model.embeddings import ClassToken, PositionTable
from irene_model.model import per_sample_loss
from irene_model.tensors import Batch


@register_grad_sampler(PositionTable)  # type: ignore[untyped-decorator]
def _position_gradient(
    layer: PositionTable, _activations: list[torch.Tensor], backprops: torch.Tensor
) -> dict[nn.Parameter, torch.Tensor]:
    """output = input + table, so the per-sample gradient is the output's (B, N, D)."""
    return {layer.table: backprops.reshape(-1, *layer.table.shape)}


@register_grad_sampler(ClassToken)  # type: ignore[untyped-decorator]
def _class_token_gradient(
    layer: ClassToken, _activations: list[torch.Tensor], backprops: torch.Tensor
) -> dict[nn.Parameter, torch.Tensor]:
    """The token is the first row of the output, (B, D)."""
    return {layer.token: backprops[:, 0].reshape(-1, *layer.token.shape)}


class PrivateGradient:
    """Accumulates clipped per-patient gradients of one model and releases their noised mean."""

    def __init__(self, model: nn.Module, *, clip_norm: float) -> None:
        """`clip_norm` is C, the L2 sensitivity of a sum to one patient."""
        self._module = GradSampleModule(model, batch_first=True, loss_reduction="sum")
        self._clip_norm = clip_norm
        self._parameters = [p for p in model.parameters() if p.requires_grad]
        self._sums = [torch.zeros_like(p) for p in self._parameters]

    def accumulate(self, batch: Batch) -> None:
        """Add the clipped gradients of `batch`, one row for each patient.

        A row with a non-finite gradient adds nothing: its norm can't be bounded otherwise.
        """
        inputs: dict[str, Any] = dict(batch)
        labels, label_mask = inputs.pop("labels"), inputs.pop("label_mask")
        logits = self._module(**inputs).logits
        with warnings.catch_warnings():
            # The first layers' inputs need no gradient; their hooks fire as they should.
            warnings.filterwarnings("ignore", message="Full backward hook is firing")
            torch.autograd.backward(per_sample_loss(logits.float(), labels, label_mask).sum())
        with torch.no_grad():
            per_sample = [p.grad_sample.float() for p in self._parameters]  # type: ignore[attr-defined]
            factors = clip_factors(per_sample, self._clip_norm)
            for total, gradients in zip(self._sums, per_sample, strict=True):
                finite = torch.where(
                    factors.view(-1, *[1] * (gradients.dim() - 1)) > 0, gradients, 0.0
                )
                total += torch.einsum("b...,b->...", finite, factors)
        self._module.zero_grad(set_to_none=True)

    def release(
        self, *, noise_multiplier: float, expected_batch: float, rng: np.random.Generator
    ) -> None:
        """Write the noised mean into each parameter's `.grad` and start the next step.

        An empty logical batch is legal and is pure noise: to leave it out would tell that it
        was empty.
        """
        deviation = noise_multiplier * self._clip_norm
        for parameter, total in zip(self._parameters, self._sums, strict=True):
            noise = rng.standard_normal(tuple(total.shape), dtype=np.float32)
            total += deviation * torch.from_numpy(np.asarray(noise)).to(total.device)
            parameter.grad = (total / expected_batch).to(parameter.dtype)
        self._sums = [torch.zeros_like(p) for p in self._parameters]

    def close(self) -> None:
        """Take Opacus' hooks off the model."""
        self._module.remove_hooks()


def clip_factors(gradients: Sequence[torch.Tensor], clip_norm: float) -> torch.Tensor:
    """min(1, C / norm) for each sample (B,), 0 where the norm is not finite.

    `gradients` hold one (B, ...) tensor a parameter; the norm is over all of them.
    """
    squares = [g.flatten(start_dim=1).pow(2).sum(dim=1) for g in gradients]
    norms = torch.stack(squares).sum(dim=0).sqrt()
    factors = (clip_norm / norms.clamp(min=1e-12)).clamp(max=1.0)
    return torch.where(torch.isfinite(norms), factors, torch.zeros_like(factors))
