"""One step's clipped gradients, summed and without noise: for a secure sum alone."""

import torch

from client.budget import Plan
from client.devices import ALONE, Team, draw_step, sharing
from client.private import PrivateGradient, Randomness
from client.records import SiteDataset
from client.site import Memory
from client.training.training import prepared
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
    team: Team = ALONE,
) -> Arrays:
    """Of one step: float32, shaped as each parameter of `model` that is not frozen, by its name.

    Only `client.secure` may call this: what it gives is not private, and leaves nowhere. It is
    clipped also where the study has no noise, since a sum on a grid needs a bound.
    """
    with prepared(model, randomness=randomness, device=device, memory=memory):
        private = PrivateGradient(
            model, clip_norm=plan.clip_norm, engine=dataset.study.privacy.engine
        )
        draw = draw_step(dataset, sample_rate=plan.mechanism.sample_rate, randomness=randomness)
        with sharing(
            model,
            private,
            dataset=dataset,
            draws=[draw],
            clip_norm=plan.clip_norm,
            expected_batch=plan.expected_batch,
            device=device,
            memory=memory,
            team=team,
        ) as steps:
            steps.add()
        sums = private.take_sums()
        private.close()
    names = {parameter: name for name, parameter in model.named_parameters()}
    return {names[parameter]: total.cpu().numpy() for parameter, total in sums.items()}
