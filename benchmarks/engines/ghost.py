"""Opacus' ghost clipping, to compare with; no study can ask for it.

Its norms are differences of large float32 numbers, and its second pass rounds the gradients anew
while it sums them over all patients, in bfloat16 under autocast. With weights that a hostile server
chose neither is bounded by the norm that clips.
"""

import torch
from opacus.grad_sample import GradSampleModuleFastGradientClipping
from torch import nn

from client.private import (
    Clip,
    Sums,
    first_layers_may_lack_input_gradients,
    forward_losses,
    trained_parameters,
)
from irene_model.inputs import Batch


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
        """Add one clipped gradient a row of `batch`."""
        _, losses = forward_losses(self._module, batch)
        with first_layers_may_lack_input_gradients():
            torch.autograd.backward(losses.sum(), retain_graph=True)
        self._module.zero_grad(set_to_none=True)
        clip = Clip.to(self._clip_norm, self._module.get_norm_sample().detach().double())
        self._module.disable_hooks()
        with first_layers_may_lack_input_gradients():
            torch.autograd.backward((clip.factors * losses).sum())
        self._module.enable_hooks()
        for parameter in self._parameters:
            assert parameter.grad is not None
            sums[parameter] += parameter.grad
        self._module.zero_grad(set_to_none=True)

    def close(self) -> None:
        """Take Opacus' hooks and attributes off the model."""
        self._module.to_standard_module()
