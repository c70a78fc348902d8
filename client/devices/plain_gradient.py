"""The gradient of a study without privacy, as devices and micro-batches add to it."""

from typing import Protocol

import torch
from torch import nn

from client.private import Sums, forward_losses, trained_parameters
from irene_model.inputs import Batch


class Gradient(Protocol):
    """What a step adds up; `client.private.PrivateGradient` is one, clipped and without noise."""

    @property
    def sums(self) -> Sums:
        """The sums of now: changed in place, they are changed here."""

    def accumulate(self, batch: Batch) -> None:
        """Add the gradients of `batch`, one row for each patient."""

    def take_sums(self) -> Sums:
        """The step's sums, and start the next step."""

    def begin_again(self) -> None:
        """Forget the step's sums, and what an error left of a micro-batch."""


class PlainGradient:
    """Σ ∇ℓ / `expected_batch` in each parameter's `.grad`; nothing is clipped."""

    def __init__(self, model: nn.Module, *, expected_batch: float) -> None:
        """The parameters that are trained now are the ones that are added up."""
        self._model, self._expected_batch = model, expected_batch
        self._parameters = trained_parameters(model)

    @property
    def sums(self) -> Sums:
        """Zeros where no patient has added anything yet."""
        for parameter in self._parameters:
            if parameter.grad is None:
                parameter.grad = torch.zeros_like(parameter)
        return {p: p.grad for p in self._parameters if p.grad is not None}

    def accumulate(self, batch: Batch) -> None:
        """Backpropagate the batch's summed loss."""
        losses = forward_losses(self._model, batch)[1]
        torch.autograd.backward(losses.sum() / self._expected_batch)

    def take_sums(self) -> Sums:
        """`sums`, of which the parameters keep none."""
        sums = self.sums
        self.begin_again()
        return sums

    def begin_again(self) -> None:
        """No gradient is left."""
        for parameter in self._parameters:
            parameter.grad = None
