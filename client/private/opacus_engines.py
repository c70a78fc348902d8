"""Opacus' two engines: per-sample gradients by hooks, and ghost clipping.

They are slower than the fused engine or larger, cover any layer that Opacus does, and serve as its
reference in tests.
"""

import warnings
from collections.abc import Iterator
from contextlib import contextmanager

import torch
from opacus.grad_sample import (
    GradSampleModule,
    GradSampleModuleFastGradientClipping,
    register_grad_sampler,
)
from torch import Tensor, nn

from client.private.clipping import Sums, clip_factors, forward_losses, trained_parameters
from irene_model.inputs import Batch, take
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
        with _first_layers_may_lack_input_gradients():
            torch.autograd.backward(losses.sum())
        with torch.no_grad():
            per_sample = [p.grad_sample.float() for p in self._parameters]  # type: ignore[attr-defined]
            squares = [g.flatten(start_dim=1).pow(2).sum(dim=1) for g in per_sample]
            factors = clip_factors(torch.stack(squares).sum(dim=0).sqrt(), self._clip_norm)
            for parameter, gradients in zip(self._parameters, per_sample, strict=True):
                counted = factors.view(-1, *[1] * (gradients.dim() - 1)) > 0
                finite = torch.where(counted, gradients, 0.0)
                sums[parameter] += torch.einsum("b...,b->...", finite, factors)
        self._module.zero_grad(set_to_none=True)

    def close(self) -> None:
        """Take Opacus' hooks and attributes off the model."""
        self._module.to_standard_module()


class GhostSum:
    """Clipped sums by ghost clipping: a backward pass for the norms, a second for the sum.

    Li et al. 2022, "Large language models can be strong differentially private learners".
    """

    def __init__(self, model: nn.Module, *, clip_norm: float) -> None:
        self._module = GradSampleModuleFastGradientClipping(
            model,
            batch_first=True,
            loss_reduction="sum",
            max_grad_norm=clip_norm,
            use_ghost_clipping=True,
        )
        self._clip_norm = clip_norm
        self._parameters = trained_parameters(model)

    def add(self, batch: Batch, sums: Sums) -> None:
        """Add one clipped gradient a row of `batch`; a non-finite one counts as zero."""
        if len(batch["labels"]) == 0:
            return
        _, losses = forward_losses(self._module, batch)
        with _first_layers_may_lack_input_gradients():
            torch.autograd.backward(losses.sum(), retain_graph=True)
        self._module.zero_grad(set_to_none=True)
        norms = self._module.get_norm_sample().float()
        factors = clip_factors(norms.detach(), self._clip_norm)
        counted = factors > 0
        if not bool(counted.all()):
            # Zero times NaN is NaN in the second pass: go again without those rows.
            self.add(take(batch, counted.nonzero().flatten()), sums)
            return
        self._module.disable_hooks()
        with _first_layers_may_lack_input_gradients():
            torch.autograd.backward((factors * losses).sum())
        self._module.enable_hooks()
        for parameter in self._parameters:
            assert parameter.grad is not None
            sums[parameter] += parameter.grad
        self._module.zero_grad(set_to_none=True)

    def close(self) -> None:
        """Take Opacus' hooks and attributes off the model."""
        self._module.to_standard_module()


@contextmanager
def _first_layers_may_lack_input_gradients() -> Iterator[None]:
    """The first layers' inputs need no gradient; their hooks fire as they should."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Full backward hook is firing")
        yield
