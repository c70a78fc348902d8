"""Per-patient gradients of one layer, as small as they can be kept: their norms and their sum.

Legend: B patients, T tokens, d width in, p width out; a (B,T,d) a layer's inputs, g (B,T,p) the
gradients of its outputs. The gradient of a linear layer's weight is G = Σ_t g_t a_tᵀ for each
patient. Bu et al. 2023, "Differentially private optimization on large model at small cost", never
build G where its factors are smaller: the norm is the ghost norm ‖G‖² = ⟨a aᵀ, g gᵀ⟩ of two T×T
products, and the clipped sum Σ_b f_b G_b is one product over all tokens. Their MixOpt chooses for
each layer, as `weight_contribution` does here.

Norms and sums are float32 whatever the precision of a and g.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Protocol

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from irene_model.network import ClassToken, GroupedLinear, PositionTable

# How much larger than its factors G may be and still be kept. A kept G needs no second product of
# the same cost for the sum, so a little memory buys up to a third of the layer's time.
_MEMORY_FOR_TIME = 1.25


PatientRows = Tensor | slice


class Contribution(Protocol):
    """What B patients add to one parameter's gradient."""

    def squares(self) -> Tensor:
        """Squared L2 norm of each patient's gradient, (B,) float32."""

    def add_to(self, total: Tensor, rows: PatientRows, factors: Tensor) -> None:
        """Add Σ_b f_b G_b to `total` over the patients in `rows`, which have these `factors`."""


@dataclass(frozen=True)
class PerPatient:
    """The gradients themselves, (B, *parameter)."""

    gradients: Tensor

    def squares(self) -> Tensor:
        """‖G‖² by definition."""
        flat = self.gradients.flatten(1)
        norms: Tensor = torch.linalg.vector_norm(flat, dim=1, dtype=torch.float32)
        return norms.square()

    def add_to(self, total: Tensor, rows: PatientRows, factors: Tensor) -> None:
        """Σ_b f_b G_b."""
        flat = self.gradients[rows].flatten(1).float()
        total.view(-1).addmv_(flat.T, factors)


@dataclass(frozen=True)
class Factors:
    """a (B,T,d) and g (B,T,p) of a weight (p,d)."""

    inputs: Tensor
    backprops: Tensor

    def squares(self) -> Tensor:
        """The ghost norm, Bu et al. 2023, section 2.3; rounding may take a tiny one below 0."""
        a, g = self.inputs.float(), self.backprops.float()
        return (torch.bmm(a, a.mT) * torch.bmm(g, g.mT)).sum(dim=(1, 2)).clamp(min=0)

    def add_to(self, total: Tensor, rows: PatientRows, factors: Tensor) -> None:
        """Σ_b f_b Σ_t g_t a_tᵀ as one product over all patients' tokens."""
        weighted = self.backprops[rows].float() * factors[:, None, None]
        flat = self.inputs[rows].float().flatten(0, 1)
        total.view(len(total), -1).addmm_(weighted.flatten(0, 1).T, flat)


@dataclass(frozen=True)
class Rows:
    """Looked-up rows (B,T) of a table and the gradients (B,T,p) of what was looked up."""

    looked_up: Tensor
    backprops: Tensor

    def squares(self) -> Tensor:
        """The ghost norm with one-hot inputs: a_t·a_s is 1 where both tokens read one row."""
        g = self.backprops.float()
        same = self.looked_up[:, :, None] == self.looked_up[:, None, :]
        return torch.where(same, torch.bmm(g, g.mT), 0.0).sum(dim=(1, 2)).clamp(min=0)

    def add_to(self, total: Tensor, rows: PatientRows, factors: Tensor) -> None:
        """Each token's weighted gradient to its row."""
        weighted = self.backprops[rows].float() * factors[:, None, None]
        total.index_add_(0, self.looked_up[rows].flatten(), weighted.flatten(0, 1))


@dataclass(frozen=True)
class TokenFactors:
    """a (B,T,d) and g (B,T,p) of a weight (T,d,p): G is one outer product a token."""

    inputs: Tensor
    backprops: Tensor

    def squares(self) -> Tensor:
        """Of an outer product the norm is the product of the norms."""
        a, g = self.inputs.float(), self.backprops.float()
        return (a.square().sum(dim=2) * g.square().sum(dim=2)).sum(dim=1)

    def add_to(self, total: Tensor, rows: PatientRows, factors: Tensor) -> None:
        """Σ_b f_b a_bt g_btᵀ for each token t."""
        weighted = self.inputs[rows].float() * factors[:, None, None]
        total += torch.einsum("bti,btp->tip", weighted, self.backprops[rows].float())


def patients_that_count(factors: Tensor) -> tuple[PatientRows, Tensor]:
    """The patients whose factor is not 0, and their factors: 0 times a NaN would be NaN."""
    counted = factors > 0
    if bool(counted.all()):
        return slice(None), factors  # a view, where an index would copy
    return counted, factors[counted]


def weight_contribution(inputs: Tensor, backprops: Tensor) -> Contribution:
    """A weight's gradients from a and g, built where that is smaller or nearly so.

    The ghost norm costs T²(d+p) products a patient and keeps T(d+p) numbers; building G costs Tdp
    and keeps dp. So one comparison, of dp with T(d+p), decides both time and memory.
    """
    (_, T, d), p = inputs.shape, backprops.shape[2]
    if d * p > _MEMORY_FOR_TIME * T * (d + p):
        return Factors(inputs, backprops)
    return PerPatient(torch.bmm(backprops.float().mT, inputs.float()))


Trained = Mapping[str, nn.Parameter]  # of one layer, by name, the frozen ones left out
Contributions = dict[str, Contribution]


def linear(_layer: nn.Linear, trained: Trained, inputs: Tensor, backprops: Tensor) -> Contributions:
    """Inputs (B,d) or (B,...,d): all axes between are tokens."""
    g = backprops.reshape(len(backprops), -1, backprops.shape[-1])
    found: Contributions = {}
    if "weight" in trained:
        found["weight"] = weight_contribution(inputs.reshape(*g.shape[:2], -1), g)
    if "bias" in trained:
        found["bias"] = PerPatient(g.sum(dim=1, dtype=torch.float32))
    return found


def conv2d(layer: nn.Conv2d, trained: Trained, inputs: Tensor, backprops: Tensor) -> Contributions:
    """A linear layer whose tokens are the patches (B,T,C·k·k) under the kernel."""
    g = backprops.flatten(2).mT  # (B, T, p)
    found: Contributions = {}
    if "weight" in trained:
        patches = F.unfold(
            inputs, layer.kernel_size, layer.dilation, layer.padding, layer.stride  # type: ignore[arg-type]
        )  # fmt: skip
        contribution = weight_contribution(patches.mT, g)
        if isinstance(contribution, PerPatient):
            contribution = PerPatient(contribution.gradients.reshape(-1, *layer.weight.shape))
        found["weight"] = contribution
    if "bias" in trained:
        found["bias"] = PerPatient(g.sum(dim=1, dtype=torch.float32))
    return found


def layer_norm(
    layer: nn.LayerNorm, trained: Trained, inputs: Tensor, backprops: Tensor
) -> Contributions:
    """Of the weight Σ_t g_t ∘ normed a_t, of the bias Σ_t g_t."""
    shape = (len(backprops), -1, *layer.normalized_shape)
    g = backprops.float()
    found: Contributions = {}
    if "weight" in trained:
        normed = F.layer_norm(inputs.float(), layer.normalized_shape, eps=layer.eps)
        found["weight"] = PerPatient((g * normed).reshape(shape).sum(dim=1))
    if "bias" in trained:
        found["bias"] = PerPatient(g.reshape(shape).sum(dim=1))
    return found


def embedding(
    layer: nn.Embedding, _trained: Trained, inputs: Tensor, backprops: Tensor
) -> Contributions:
    """Identifiers (B,...) look up rows."""
    rows = inputs.reshape(len(inputs), -1)
    g = backprops.reshape(*rows.shape, -1)
    if layer.padding_idx is not None:
        g = g.masked_fill((rows == layer.padding_idx)[:, :, None], 0.0)
    return {"weight": Rows(rows, g)}


def position_table(
    _layer: PositionTable, _trained: Trained, _inputs: Tensor, backprops: Tensor
) -> Contributions:
    """output = input + table, so the gradient is the output's."""
    return {"table": PerPatient(backprops)}


def class_token(
    _layer: ClassToken, _trained: Trained, _inputs: Tensor, backprops: Tensor
) -> Contributions:
    """The token is the first row of the output; a copy, to let the other rows go."""
    return {"token": PerPatient(backprops[:, 0].clone())}


def grouped_linear(
    _layer: GroupedLinear, _trained: Trained, inputs: Tensor, backprops: Tensor
) -> Contributions:
    """Each token has a weight of its own, so its factors give norm and sum."""
    return {"weight": TokenFactors(inputs, backprops)}


KINDS: dict[type[nn.Module], Callable[..., Contributions]] = {
    nn.Linear: linear,
    nn.Conv2d: conv2d,
    nn.LayerNorm: layer_norm,
    nn.Embedding: embedding,
    PositionTable: position_table,
    ClassToken: class_token,
    GroupedLinear: grouped_linear,
}


def refusal(layer: nn.Module) -> str | None:
    """Why a layer with trained parameters has no per-patient gradients here; None if it has."""
    if type(layer) not in KINDS:  # a subclass may compute something else
        return f"is of the kind {type(layer).__name__}, which has no rule"
    if isinstance(layer, nn.Conv2d) and (
        layer.groups > 1 or layer.padding_mode != "zeros" or isinstance(layer.padding, str)
    ):
        return "has groups, or padding that is not a number of zeros"
    if isinstance(layer, nn.Embedding) and (layer.scale_grad_by_freq or layer.max_norm):
        return "couples the records of a batch by scale_grad_by_freq or max_norm"
    return None
