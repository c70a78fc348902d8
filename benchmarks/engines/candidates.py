"""Two ways in which the fused engine could use a GPU's matrix units, to measure before choosing.

On a GPU float32 products without TF32 are an order of magnitude slower than those of bfloat16. A
patient's gradient is a product of two bfloat16 matrices under autocast: their products are exact in
float32, and the matrix units add them in float32. Nothing else changes: a norm is that of the
numbers that are kept (or built again, by the same kernel at the same shape), and these are added.
"""

from dataclasses import dataclass
from unittest.mock import patch

import torch
from torch import Tensor

import client.private.contributions
from client.private import Clip, Contribution, FusedSum, PerPatient, Sums
from irene_model.inputs import Batch

_weight_contribution = client.private.contributions.weight_contribution


class TensorCores(FusedSum):
    """`fused`, whose gradients of weights are built from bfloat16 factors and kept."""

    def add(self, batch: Batch, sums: Sums) -> None:
        """Add one clipped gradient a row of `batch`."""
        with patch.object(client.private.contributions, "weight_contribution", _kept):
            super().add(batch, sums)


class BuiltTwice(FusedSum):
    """The same, once for the norm and once more for the sum, and not kept between."""

    def add(self, batch: Batch, sums: Sums) -> None:
        """Add one clipped gradient a row of `batch`."""
        with patch.object(client.private.contributions, "weight_contribution", _Twice):
            super().add(batch, sums)


@dataclass(frozen=True)
class _Twice:
    """a (B,T,d) and g (B,T,p) of a weight (p,d)."""

    inputs: Tensor
    backprops: Tensor

    def squares(self) -> Tensor:
        return _built(self.inputs, self.backprops).squares()

    def add_to(self, total: Tensor, clip: Clip) -> None:
        _built(self.inputs, self.backprops).add_to(total, clip)


def _kept(inputs: Tensor, backprops: Tensor) -> Contribution:
    contribution = _weight_contribution(inputs[:0], backprops[:0])
    if not isinstance(contribution, PerPatient):
        return _weight_contribution(inputs, backprops)
    return _built(inputs, backprops)


def _built(inputs: Tensor, backprops: Tensor) -> PerPatient:
    """Σ_t g_t a_tᵀ for each patient, (B,p,d) float32."""
    if inputs.is_cuda and inputs.dtype == backprops.dtype == torch.bfloat16:
        return PerPatient(torch.bmm(backprops.mT, inputs, out_dtype=torch.float32))
    return PerPatient(torch.bmm(backprops.float().mT, inputs.float()))
