"""Plain AdamW in whole epochs, without privacy, and the epoch that is best on validation patients.

The rate warms up over the first twentieth of all steps and falls to a fiftieth by half a cosine.
Every epoch takes one record of each patient, as a federation does.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch

from client.fine_tuning.unfinished import Unfinished
from client.private import forward_losses
from client.records import SiteDataset
from client.training import exact_histograms
from irene_model.inputs import drop_modalities
from irene_model.metrics import macro_auroc
from irene_model.network import DiagnosticModel
from irene_model.weights import to_arrays

_WARM_UP, _LOWEST = 0.05, 0.02


@dataclass(frozen=True, kw_only=True)
class Recipe:
    """How one trains. batch: patients a step. rate: AdamW's largest. Everything random follows
    from `seed`."""

    epochs: int = 20
    batch: int = 128
    rate: float = 0.003
    seed: int = 0

    def rate_at(self, step: int, steps: int) -> float:
        """The learning rate of a step, counted from 0, of all `steps`."""
        warm = max(1.0, _WARM_UP * steps)
        if step < warm:
            return self.rate * (step + 1) / math.ceil(warm)
        done = (step - warm) / max(1.0, steps - warm)
        return self.rate * (_LOWEST + (1 - _LOWEST) * (1 + math.cos(math.pi * done)) / 2)


def train_in_epochs(
    model: DiagnosticModel,
    optimizer: torch.optim.Optimizer,
    dataset: SiteDataset,
    recipe: Recipe,
    *,
    state: Unfinished,
    micro_batch: int,
    after: Callable[[Unfinished], None],
    before: int = 0,
) -> Unfinished:
    """Go on from `state`, whose weights `model` holds, to the last epoch.

    before: epochs of an earlier training that `state` counts too. The weights in `best` are those
    of the epoch with the best exact macro AUROC on the validation patients. `after` is given the
    state of each epoch.
    """
    device = next(model.parameters()).device
    for epoch in range(state.epoch - before + 1, recipe.epochs + 1):
        _one_epoch(model, optimizer, dataset, recipe, epoch=epoch, micro_batch=micro_batch)
        weights = to_arrays(model)
        auroc = macro_auroc([exact_histograms(weights, dataset, "validation", device)])
        state = state.after(before + epoch, weights, auroc, optimizer)
        after(state)
    return state


def _one_epoch(
    model: DiagnosticModel,
    optimizer: torch.optim.Optimizer,
    dataset: SiteDataset,
    recipe: Recipe,
    *,
    epoch: int,
    micro_batch: int,
) -> None:
    """What is random in it follows from the seed and the epoch alone."""
    device = next(model.parameters()).device
    rng = np.random.default_rng([recipe.seed, epoch])
    patients, hidden = dataset.patients["train"], dataset.study.training.modality_dropout.rates
    rows = np.array([rng.choice(patients[i]) for i in rng.permutation(len(patients)).tolist()])
    batches = np.array_split(rows, math.ceil(len(rows) / recipe.batch))
    steps = recipe.epochs * len(batches)
    model.train()
    with torch.random.fork_rng(devices=[device] if device.type == "cuda" else []):
        torch.manual_seed(int(rng.integers(2**63)))  # dropout takes no other generator
        for number, batch in enumerate(batches):
            for group in optimizer.param_groups:
                group["lr"] = recipe.rate_at((epoch - 1) * len(batches) + number, steps)
            optimizer.zero_grad()
            for part in np.array_split(batch, math.ceil(len(batch) / micro_batch)):
                records = drop_modalities(dataset.batch(part), hidden, dataset.study, rng)
                there = {name: tensor.to(device) for name, tensor in records.items()}
                with torch.autocast(device.type, torch.bfloat16, enabled=device.type == "cuda"):
                    losses = forward_losses(model, there)[1]
                torch.autograd.backward(losses.sum() / len(batch))
            optimizer.step()
