"""Weights in, masked sum out: one step at one site under secure sums.

The order is that of any private round: judge the message, reserve durably, train, release durably,
and only then hand the vector to be sent.
"""

from collections.abc import Collection

import numpy as np
import torch

from client.budget import Plan
from client.devices import ALONE, Team
from client.ledger import Ledger
from client.private import Randomness
from client.records import SiteDataset
from client.secure.part import Part
from client.site import Memory
from client.training import clipped_sum, pack, unpack
from irene_model.errors import ProtocolError
from irene_model.exchange import Arrays, check_weights
from irene_model.secure import dimensions, flatten, grid_of_training
from irene_model.weights import (
    Labels,
    choose_mapped,
    load_arrays,
    new_model,
    to_arrays,
    trained_names,
    without_rows,
)


def train_sum(
    weights: Arrays,
    part: Part,
    *,
    dataset: SiteDataset,
    plan: Plan,
    ledger: Ledger,
    randomness: Randomness,
    device: torch.device,
    memory: Memory,
    modalities: Collection[str],
    labels: Labels,
    team: Team = ALONE,
    again: bool = False,
) -> Arrays:
    """The site's clipped sum of one step, noised and masked: "sum" (D,) and no other array.

    It has every parameter that the study trains, in the order of sorted names; what the site does
    not map is zeros in it, under noise and masks as all else. labels: (K,).
    team: the site's further devices.
    again: give what was released before; an attempt that was not is a ProtocolError, costing
    nothing.

    Raises BudgetExceeded before anything is trained, and ProtocolError for weights that are not
    those of the study's model. An attempt that was released gives the same bytes again; one that
    was reserved alone is taken up again with the same partners; an older one is refused.
    """
    study, asked = dataset.study, part.attempt
    model = new_model(study, seed=0)
    like = to_arrays(model)
    whole = {name: like[name] for name in trained_names(model)}
    grid = grid_of_training(study, dimensions(whole))
    if not again:
        # A malformed message must not cost budget.
        check_weights(weights, like, study)
        load_arrays(model, weights)
    elif not ledger.has_released(asked.run, asked.round, part.number):
        raise ProtocolError("no sum of this attempt was released here before")
    choose_mapped(model, modalities, study.model.method)
    ledger.record_patients(dataset.training_digests)
    reservation = ledger.reserve(
        run=asked.run,
        round=asked.round,
        mechanism=plan.mechanism,
        alone=plan.alone,
        clip_norm=plan.clip_norm,
        assignment=dataset.assignment,
        attempt=part.number,
        partners=part.partners,
    )
    if reservation.released:
        return unpack(ledger.outbox(reservation))
    sums = clipped_sum(
        model,
        dataset=dataset,
        plan=plan,
        randomness=randomness,
        device=device,
        memory=memory,
        team=team,
    )
    sums = {
        name: without_rows(name, sums[name], labels) if name in sums else np.zeros_like(array)
        for name, array in whole.items()
    }
    return unpack(ledger.release(reservation, pack(part.hidden(flatten(sums, whole), grid))))
