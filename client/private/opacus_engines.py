"""Per-sample gradients by Opacus' hooks, clipped and summed as the fused engine's.

Slower than the fused engine and larger, for any layer that Opacus covers, and its reference in
tests. Opacus' ghost clipping is not offered: the gradients that it sums in its second pass are not
the ones that it took the norms of (`benchmarks.engines.ghost`).
"""

import warnings
from collections.abc import Iterator
from contextlib import contextmanager

import torch
from opacus.grad_sample import GradSampleModule, register_grad_sampler
from torch import Tensor, nn

from client.private.clipping import Clip, Sums, forward_losses, plain, trained_parameters
from client.private.contributions import PerPatient
from irene_model.inputs import Batch
from irene_model.network import ClassToken, GroupedLinear, PositionTable


@register_grad_sampler(PositionTable)  # type: ignore[untyped-decorator]
def _position_gradient(
    layer: PositionTable, _activations: list[Tensor], backprops: Tensor
) -> dict[nn.Parameter, Tensor]:
    """output = input + table, so the per-sample gradient is the output's (B, N, D)."""
    return {layer.table: backprops.reshape(-1, *layer.table.shape)}


@register_grad_sampler(ClassToken)  # type: ignore[untyped-decorator]
def _class_token_gradient(
    layer: ClassToken, _activations: list[Tensor], backprops: Tensor
) -> dict[nn.Parameter, Tensor]:
    """The token is the first row of the output, (B, D)."""
    return {layer.token: backprops[:, 0].reshape(-1, *layer.token.shape)}


@register_grad_sampler(GroupedLinear)  # type: ignore[untyped-decorator]
def _grouped_gradient(
    layer: GroupedLinear, activations: list[Tensor], backprops: Tensor
) -> dict[nn.Parameter, Tensor]:
    """One outer product a token, (B, T, I, D)."""
    return {layer.weight: torch.einsum("bti,btd->btid", activations[0], backprops)}


class HookSum:
    """Clipped sums from a per-sample gradient of every parameter, all held at once."""

    def __init__(self, model: nn.Module, *, clip_norm: float) -> None:
        self._module = GradSampleModule(model, batch_first=True, loss_reduction="sum")
        self._clip_norm = clip_norm
        self._parameters = trained_parameters(model)

    def add(self, batch: Batch, sums: Sums) -> None:
        """Add one clipped gradient a row of `batch`; a non-finite one counts as zero."""
        if len(batch["labels"]) == 0:
            return
        _, losses = forward_losses(self._module, batch)
        with first_layers_may_lack_input_gradients():
            torch.autograd.backward(losses.sum())
        with plain(losses.device):
            kept = [(p, PerPatient(p.grad_sample)) for p in self._parameters]  # type: ignore[attr-defined]
            squares = torch.stack([gradients.squares() for _, gradients in kept]).sum(dim=0)
            clip = Clip.to(self._clip_norm, squares.sqrt())
            for parameter, gradients in kept:
                gradients.add_to(sums[parameter], clip)
        self._module.zero_grad(set_to_none=True)

    def close(self) -> None:
        """Take Opacus' hooks and attributes off the model, and what a pass that broke off left."""
        self._module.zero_grad(set_to_none=True)
        model = self._module.to_standard_module()
        for layer in model.modules():
            for left in ("activations", "max_batch_len"):
                vars(layer).pop(left, None)


@contextmanager
def first_layers_may_lack_input_gradients() -> Iterator[None]:
    """The first layers' inputs need no gradient; their hooks fire as they should."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Full backward hook is firing")
        yield
