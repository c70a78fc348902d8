"""The book-keeping engine: clipped sums from one backward pass, near the speed of a plain step.

Bu et al. 2023, "Differentially private optimization on large model at small cost". Forward hooks
keep each trained layer's input and hang a hook on its output; when the output's gradient arrives,
both become a `Contribution` and its squared norms. After the pass the norms of whole patients give
the clip factors, and every layer adds its weighted sum. While the pass runs the parameters ask for
no gradient, so autograd computes only what flows between layers: the product that it would spend
on a layer's summed gradient is the one that is spent on the clipped sum. Inputs are kept as
autograd keeps its own, so gradient checkpointing drops and recomputes them too.
"""

from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn

from client.private.clipping import Clip, Sums, forward_losses, plain, trained_parameters
from client.private.contributions import KINDS, Contribution, refusal
from irene_model.inputs import Batch

_WITHOUT_INPUT = ({"bias"}, {"table"}, {"token"})  # gradients that need the output's alone


@dataclass(frozen=True)
class _Layer:
    """A leaf of the model and those of its own parameters that are trained."""

    name: str
    module: nn.Module
    trained: Mapping[str, nn.Parameter]


class FusedSum:
    """Clipped sums of `model` by book-keeping.

    The model has no hook and all its flags outside `add`. A layer without a rule, one that shares
    a parameter with another, and one that runs twice in a forward pass are refused: a ValueError.
    """

    def __init__(self, model: nn.Module, *, clip_norm: float) -> None:
        self._model = model
        self._clip_norm = clip_norm
        self._parameters = trained_parameters(model)
        self._layers = _trained_layers(model)

    def add(self, batch: Batch, sums: Sums) -> None:
        """Add one clipped gradient a row of `batch`; a non-finite one counts as zero."""
        size = len(batch["labels"])
        if size == 0:
            return
        books = _Books(size)
        with ExitStack() as stack:
            stack.enter_context(_untracked(self._parameters))
            for layer in self._layers:
                hook = layer.module.register_forward_hook(partial(books.keep, layer))
                stack.callback(hook.remove)
            _, losses = forward_losses(self._model, batch)
            books.begin_backward()
            torch.autograd.backward(losses.sum())
        books.close()
        with plain(losses.device):
            books.add_to(sums, self._clip_norm)

    def close(self) -> None:
        """Nothing to undo: `add` leaves nothing behind."""


class _Saved(torch.autograd.Function):
    """A node without a backward pass that saves a tensor as a layer saves its activations.

    Under checkpointing the tensor is let go, and reading `saved_tensors` computes it again.
    """

    @staticmethod
    def forward(ctx: Any, anchor: Tensor, kept: Tensor) -> Tensor:
        """An empty tensor whose `grad_fn` holds `kept`; `anchor` must ask for a gradient."""
        ctx.save_for_backward(kept)
        return torch.empty_like(anchor)


class _Books:
    """What one pass over a micro-batch of B patients keeps."""

    def __init__(self, size: int) -> None:
        self._size = size
        self._squares: list[Tensor] = []
        self._contributions: list[tuple[nn.Parameter, Contribution]] = []
        self._in_backward = False
        self._ran: set[str] = set()
        self._awaited: set[str] = set()  # ran without a graph, and must run again with one
        self._anchor = torch.empty(0, requires_grad=True)

    def begin_backward(self) -> None:
        """The forward pass is over: a layer that runs now is one that is recomputed."""
        self._in_backward = True

    def keep(
        self, layer: _Layer, _module: nn.Module, inputs: tuple[Tensor, ...], output: Tensor
    ) -> None:
        """The forward hook: wait for the output's gradient, with the input where it's needed."""
        if not self._in_backward:
            if layer.name in self._ran:
                raise ValueError(
                    f"{layer.name} runs twice in one forward pass, and its gradients can't be told"
                    " apart; call it once on both inputs together, or use privacy.engine: opacus"
                )
            self._ran.add(layer.name)
        if not torch.is_grad_enabled():
            self._awaited.add(layer.name)  # reentrant checkpointing: the graph comes later
            return
        kept = inputs[0].detach()
        if kept.is_floating_point() and kept.itemsize > output.itemsize:
            kept = kept.to(output.dtype)  # as autocast multiplied it, in half the memory
        needed = set(layer.trained) not in _WITHOUT_INPUT
        # In a list, from which it is taken: the hook itself lives until the whole graph goes.
        saved = [_Saved.apply(self._anchor, kept)] if needed else []  # type: ignore[no-untyped-call]
        if not output.requires_grad:
            output.requires_grad_()  # the first layers: their parameters ask for no gradient now
        output.register_hook(partial(self._receive, layer, saved))  # type: ignore[no-untyped-call]

    def _receive(self, layer: _Layer, saved: list[Tensor], backprops: Tensor) -> None:
        """The backward hook: contributions and their squared norms."""
        if len(backprops) != self._size:
            raise ValueError(
                f"the first axis of {layer.name}'s output is not the batch's patients;"
                " their gradients can't be told apart"
            )
        self._awaited.discard(layer.name)
        inputs = saved.pop().grad_fn.saved_tensors[0] if saved else backprops.new_empty(0)  # type: ignore[union-attr]
        with plain(backprops.device):
            kind = KINDS[type(layer.module)]
            found = kind(layer.module, layer.trained, inputs, backprops.detach())
            for name, contribution in found.items():
                self._squares.append(contribution.squares())
                self._contributions.append((layer.trained[name], contribution))

    def close(self) -> None:
        """The pass is over: a layer whose gradient never came would lack in norms and sums."""
        if self._awaited:
            raise ValueError(
                f"{min(self._awaited)} ran without a graph and gave no gradient;"
                " checkpoint it with use_reentrant=False"
            )

    def add_to(self, sums: Sums, clip_norm: float) -> None:
        """Clip by the norm over all layers and add; each contribution is let go once added."""
        if not self._squares:
            return
        clip = Clip.to(clip_norm, torch.stack(self._squares).sum(dim=0).sqrt())
        while self._contributions:
            parameter, contribution = self._contributions.pop()
            contribution.add_to(sums[parameter], clip)


@contextmanager
def _untracked(parameters: list[nn.Parameter]) -> Iterator[None]:
    """The parameters ask for no gradient, and do again afterwards."""
    try:
        for parameter in parameters:
            parameter.requires_grad_(False)
        yield
    finally:
        for parameter in parameters:
            parameter.requires_grad_(True)


def _trained_layers(model: nn.Module) -> list[_Layer]:
    """Every module that owns a trained parameter; a ValueError for one that has no rule."""
    layers: list[_Layer] = []
    owner: dict[nn.Parameter, str] = {}
    for name, module in model.named_modules():
        trained = {n: p for n, p in module.named_parameters(recurse=False) if p.requires_grad}
        if not trained:
            continue
        why = refusal(module)
        if why is None:
            shared = [owner[p] for p in trained.values() if p in owner]
            why = f"shares a parameter with {shared[0]}" if shared else None
        if why is not None:
            raise ValueError(f"{name} {why}; freeze it, or use privacy.engine: opacus")
        owner.update(dict.fromkeys(trained.values(), name))
        layers.append(_Layer(name, module, trained))
    if not layers:
        raise ValueError("every parameter of the model is frozen: there is nothing to train")
    return layers
