"""Per-patient gradients of one layer, as small as they can be kept: their norms and their sum.

Legend: B patients, T tokens, d width in, p width out; a (B,T,d) a layer's inputs, g (B,T,p) the
gradients of its outputs, u = 2^-24 the rounding of float32. The gradient of a linear layer's weight
is G = Σ_t g_t a_tᵀ for each patient.

A norm that clips must be an upper bound of what enters the sum, rounding included, whatever weights
a server chose: it chooses a and g with them, and can make the terms of G cancel to any degree. Two
ways are safe, docs/privacy.md has the proof:

- G is computed once, its norm is that of the numbers that are kept, and these are what is added.
  However wrongly rounded they are, they are what leaves.
- Where G is much larger than its factors a and g, the ghost norm ‖G‖² = ⟨a aᵀ, g gᵀ⟩ (Bu et al.
  2023, "Differentially private optimization on large model at small cost") is computed in float64,
  and the most that rounding can add to the sum in float32 is added to it.

Norms are float64 and sums float32 whatever the precision of a and g.
"""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Protocol

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from client.private.clipping import Clip
from irene_model.network import ClassToken, GroupedLinear, PositionTable

# How much larger than its factors G may be and still be kept. Kept, it needs no ghost norm and
# is not built again; far beyond this, writing and reading it costs more than both.
_MEMORY_FOR_TIME = 5.0
_BLOCK = 128  # numbers whose squares are added in float32; the blocks are added in float64
_FLOAT32, _FLOAT64 = 2.0**-24, 2.0**-53  # unit roundoffs
_AT_ONCE = 2**20  # numbers of gradients that are built for the sum alone
_LARGEST = 2.0**55  # lengths beyond count as not finite: their products could overflow in the sum


class Contribution(Protocol):
    """What B patients add to one parameter's gradient."""

    def squares(self) -> Tensor:
        """Squared L2 norm of what each patient adds, at a factor of 1: (B,) float64."""

    def add_to(self, total: Tensor, clip: Clip) -> None:
        """Add Σ_b f_b G_b to `total`; a patient who is left out adds nothing, not even a NaN."""


@dataclass(frozen=True)
class PerPatient:
    """The gradients themselves, (B, *parameter)."""

    gradients: Tensor

    def squares(self) -> Tensor:
        """‖G‖² by definition."""
        flat = self.gradients.flatten(1)
        whole = flat.shape[1] - flat.shape[1] % _BLOCK
        blocks = _norms(flat[:, :whole].reshape(len(flat), whole // _BLOCK, _BLOCK), dim=2)
        rest = _norms(flat[:, whole:], dim=1)
        return blocks.square().sum(dim=1) + rest.square()

    def add_to(self, total: Tensor, clip: Clip) -> None:
        """Σ_b f_b G_b."""
        flat = clip.without_left_out(self.gradients.flatten(1).float())
        total.view(-1).add_(flat.T @ clip.factors)


@dataclass(frozen=True)
class Factors:
    """a (B,T,d) and g (B,T,p) of a weight (p,d)."""

    inputs: Tensor
    backprops: Tensor

    def squares(self) -> Tensor:
        """(‖G‖ + γ Σ_t ‖a_t‖ ‖g_t‖)², where γ bounds the rounding of G in `add_to`.

        γ_n = n u / (1 - n u) for n roundings (Higham 2002, section 3.1): T products and T - 1 sums
        give γ_T. The ghost norm has as many of float64 as its three sums have terms.
        """
        a, g = self.inputs.double(), self.backprops.double()
        of_inputs, of_backprops = torch.bmm(a, a.mT), torch.bmm(g, g.mT)
        ghost = (of_inputs * of_backprops).sum(dim=(1, 2)).clamp(min=0)
        terms = (_lengths(of_inputs) * _lengths(of_backprops)).sum(dim=1)
        (_, T, d), p = a.shape, g.shape[2]
        exact = (ghost + _gamma(d + p + T * T + 2, _FLOAT64) * terms.square()).sqrt()
        return (exact + _gamma(T, _FLOAT32) * terms).square()

    def add_to(self, total: Tensor, clip: Clip) -> None:
        """Σ_b f_b Σ_t g_t a_tᵀ, each patient's G by itself and a few of them at a time.

        One product over all patients' tokens would be quicker. But where the terms of one G are
        huge and cancel, it rounds away what the others added.
        """
        together = max(1, _AT_ONCE // total.numel())
        for start in range(0, len(self.inputs), together):
            part = slice(start, start + together)
            _built(self.inputs[part], self.backprops[part]).add_to(total, clip.of(part))


@dataclass(frozen=True)
class Rows:
    """Rows (B,T) of a table and what is added to each (B,T,p), once a patient and row."""

    looked_up: Tensor
    gradients: Tensor

    @classmethod
    def of(cls, looked_up: Tensor, backprops: Tensor) -> "Rows":
        """Of the rows that tokens looked up: all gradients of a row go to its first token."""
        same = looked_up[:, :, None] == looked_up[:, None, :]
        first = same.to(torch.uint8).argmax(dim=2)  # (B,T)
        backprops = backprops.float()
        index = first[:, :, None].expand_as(backprops)
        return cls(looked_up, torch.zeros_like(backprops).scatter_add_(1, index, backprops))

    def squares(self) -> Tensor:
        """‖G‖² by definition: every row of G is here once, or is 0."""
        return PerPatient(self.gradients).squares()

    def add_to(self, total: Tensor, clip: Clip) -> None:
        """Each weighted gradient to its row."""
        weighted = clip.without_left_out(self.gradients * clip.factors[:, None, None])
        total.index_add_(0, self.looked_up.flatten(), weighted.flatten(0, 1))


@dataclass(frozen=True)
class TokenFactors:
    """a (B,T,d) and g (B,T,p) of a weight (T,d,p): G is one outer product a token."""

    inputs: Tensor
    backprops: Tensor

    def squares(self) -> Tensor:
        """Of an outer product the norm is the product of the norms, and nothing in it cancels."""
        lengths = [x.double().square().sum(dim=2) for x in (self.inputs, self.backprops)]
        a, g = (torch.where(squares < _LARGEST**2, squares, math.inf) for squares in lengths)
        return (a * g).sum(dim=1)

    def add_to(self, total: Tensor, clip: Clip) -> None:
        """Σ_b f_b a_bt g_btᵀ for each token t."""
        weighted = clip.without_left_out(self.inputs.float() * clip.factors[:, None, None])
        g = clip.without_left_out(self.backprops.float())
        total += torch.einsum("bti,btp->tip", weighted, g)


def weight_contribution(inputs: Tensor, backprops: Tensor) -> Contribution:
    """A weight's gradients from a and g, built where that is not much larger than a and g."""
    (_, T, d), p = inputs.shape, backprops.shape[2]
    if d * p > _MEMORY_FOR_TIME * T * (d + p):
        return Factors(inputs, backprops)
    return _built(inputs, backprops)


def _built(inputs: Tensor, backprops: Tensor) -> PerPatient:
    return PerPatient(torch.bmm(backprops.float().mT, inputs.float()))


def _norms(numbers: Tensor, dim: int) -> Tensor:
    """L2 norms, whose squares may be added: float64, each rounded as a sum of float32."""
    norms: Tensor = torch.linalg.vector_norm(numbers, dim=dim, dtype=torch.float32)
    return norms.double()


def _lengths(products: Tensor) -> Tensor:
    """‖x_t‖ (B,T) from all products x_t·x_s; infinite where it is beyond what is added safely."""
    lengths = products.diagonal(dim1=1, dim2=2).sqrt()
    return torch.where(lengths < _LARGEST, lengths, math.inf)


def _gamma(roundings: int, unit: float) -> float:
    return roundings * unit / (1 - roundings * unit)


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
        found["weight"] = weight_contribution(patches.mT, g)
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
    return {"weight": Rows.of(rows, g)}


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
