"""One round of training at a site, with plans that show one thing at a time."""

from dataclasses import replace
from typing import Any

import numpy as np
import torch

from client.budget.plan import Plan, plan_round
from client.ledger.ledger import Ledger
from client.private.randomness import Randomness
from client.records.dataset import SiteDataset
from client.training.training import train_round
from irene_model.exchange.protocol import Arrays
from irene_model.weights.weights import new_model, to_arrays

CPU = torch.device("cpu")


def weights_of(dataset: SiteDataset) -> Arrays:
    return to_arrays(new_model(dataset.study, seed=3))


def reproducible(seed: int = 0, site: str = "north", round: int = 1) -> Randomness:
    return Randomness.reproducible(seed=seed, site=site, round=round)


def update_of(
    dataset: SiteDataset,
    ledger: Ledger,
    *,
    plan: Plan | None = None,
    weights: Arrays | None = None,
    randomness: Randomness | None = None,
    run: str = "r",
) -> Arrays:
    return train_round(
        weights or weights_of(dataset),
        dataset=dataset,
        plan=plan or plan_round(dataset.study, 10, 1),
        ledger=ledger,
        run=run,
        round=1,
        randomness=randomness or Randomness.of_the_operating_system(),
        device=CPU,
    )


def flat(update: Arrays) -> np.ndarray[Any, Any]:
    return np.concatenate([update[name].ravel() for name in sorted(update)])


def without_noise(dataset: SiteDataset, *, steps: int = 1) -> Plan:
    plan = plan_round(dataset.study, 10, 1)
    mechanism = replace(plan.mechanism, noise_multiplier=0.0, sample_rate=1.0, steps=steps)
    return replace(plan, mechanism=mechanism, expected_batch=5.0)
