"""The fused engine as it would be if nobody lied, to measure what its guard costs.

Norms are ghost norms in float32 wherever a gradient is a little larger than its factors, and a sum
is one product over all patients' tokens. Weights that a hostile server chose can bring such a norm
to 0; no study can ask for it.
"""

from dataclasses import dataclass
from unittest.mock import patch

import torch
from torch import Tensor

import client.private.contributions
from client.private import Clip, Contribution, Factors, FusedSum, PerPatient, Rows, Sums
from irene_model.inputs import Batch

_MEMORY_FOR_TIME = 1.25  # how much larger than its factors a gradient was kept


class UnguardedSum(FusedSum):
    """Clipped sums whose norms bound what is summed only as far as float32 is exact."""

    def add(self, batch: Batch, sums: Sums) -> None:
        """Add one clipped gradient a row of `batch`."""
        with (
            patch.object(client.private.contributions, "weight_contribution", _weight),
            patch.object(client.private.contributions, "PerPatient", _PerPatient),
            patch.object(client.private.contributions, "Rows", _Rows),
        ):
            super().add(batch, sums)


@dataclass(frozen=True)
class _PerPatient(PerPatient):
    def squares(self) -> Tensor:
        norms: Tensor = torch.linalg.vector_norm(
            self.gradients.flatten(1), dim=1, dtype=torch.float32
        )
        return norms.square().double()

    def add_to(self, total: Tensor, clip: Clip) -> None:
        total.view(-1).addmv_(self.gradients.flatten(1).float().T, clip.factors)


@dataclass(frozen=True)
class _Factors(Factors):
    def squares(self) -> Tensor:
        a, g = self.inputs.float(), self.backprops.float()
        ghost: Tensor = (torch.bmm(a, a.mT) * torch.bmm(g, g.mT)).sum(dim=(1, 2))
        return ghost.clamp(min=0).double()

    def add_to(self, total: Tensor, clip: Clip) -> None:
        weighted = self.backprops.float() * clip.factors[:, None, None]
        flat = self.inputs.float().flatten(0, 1)
        total.view(len(total), -1).addmm_(weighted.flatten(0, 1).T, flat)


@dataclass(frozen=True)
class _Rows(Rows):
    @classmethod
    def of(cls, looked_up: Tensor, backprops: Tensor) -> "_Rows":
        return cls(looked_up, backprops.float())

    def squares(self) -> Tensor:
        same = self.looked_up[:, :, None] == self.looked_up[:, None, :]
        products = torch.bmm(self.gradients, self.gradients.mT)
        ghost: Tensor = torch.where(same, products, 0.0).sum(dim=(1, 2))
        return ghost.clamp(min=0).double()


def _weight(inputs: Tensor, backprops: Tensor) -> Contribution:
    (_, tokens, width), out = inputs.shape, backprops.shape[2]
    if width * out > _MEMORY_FOR_TIME * tokens * (width + out):
        return _Factors(inputs, backprops)
    return _PerPatient(torch.bmm(backprops.float().mT, inputs.float()))
