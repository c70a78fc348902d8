"""One step's clipped gradients, summed and without noise: for a secure sum alone."""

import torch

from client.budget import Plan
from client.private import PrivateGradient, Randomness
from client.records import SiteDataset
from client.site import Memory
from client.training.training import autocast, prepared, step_batches
from irene_model.exchange import Arrays
from irene_model.network import DiagnosticModel


def clipped_sum(
    model: DiagnosticModel,
    *,
    dataset: SiteDataset,
    plan: Plan,
    randomness: Randomness,
    device: torch.device,
    memory: Memory,
) -> Arrays:
    """Of one step: float32, shaped as each parameter of `model` that is not frozen, by its name.

    Only `client.secure` may call this: what it gives is not private, and leaves nowhere. It is
    clipped also where the study has no noise, since a sum on a grid needs a bound.
    """
    with prepared(model, randomness=randomness, device=device, memory=memory):
        private = PrivateGradient(
            model, clip_norm=plan.clip_norm, engine=dataset.study.privacy.engine
        )
        for batch in step_batches(
            dataset, plan, randomness=randomness, device=device, micro_batch=memory.micro_batch
        ):
            with autocast(device):
                private.accumulate(batch)
        sums = private.take_sums()
        private.close()
    names = {parameter: name for name, parameter in model.named_parameters()}
    return {names[parameter]: total.cpu().numpy() for parameter, total in sums.items()}
