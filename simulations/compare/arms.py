"""Training that is no federation: one place that holds some sites' patients, or all of them.

It is the federation with a single site, by the same code: `local_update` at the place, the study's
strategy on top, the same rounds, steps and learning rates. What a place without hospitals' walls
lacks is the ledger and the messages; noise there is if the study has privacy, once for all.

Every step sees as many patients as a federation of the same sites does: the expected batch is the
sum of theirs.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields, replace
from typing import Any

import numpy as np
import torch

from client.budget import Plan, declared_patients, plan_round
from client.devices import pick_device
from client.private import Randomness
from client.records import SiteDataset
from client.site import Site
from client.training import exact_histograms, local_update
from irene_model.errors import ConfigError
from irene_model.exchange import Arrays
from irene_model.metrics import best_round, macro_auroc
from irene_model.privacy import epsilons
from irene_model.study import SPLITS, Study, server_rate
from irene_model.weights import StartingPoint, load_arrays, to_arrays
from server.aggregation import strategy_for


@dataclass(frozen=True, kw_only=True)
class Member:
    """A site and its data set."""

    site: Site
    dataset: SiteDataset


@dataclass(frozen=True, kw_only=True)
class Fitted:
    """What training left: the weights of the kept round, and each evaluated round's AUROC."""

    weights: Arrays
    kept_round: int
    rounds: int
    validation: Mapping[int, float | None]


def train_at_one_place(
    study: Study,
    members: Sequence[Member],
    *,
    name: str,
    seed: int,
    start: StartingPoint | None = None,
) -> Fitted:
    """Train the study's model on all `members`' patients together; `name` seeds the sampling.

    First weights are `start`'s, else drawn from `seed`. The weights kept are those of `best_round`
    by the exact AUROC on the members' validation patients. ConfigError where nobody is there to
    train on.
    """
    members = [member for member in members if member.dataset.patients["train"]]
    if not members:
        raise ConfigError(f"{name}: has no patients to train on; give the cohort more patients")
    pooled = pool_patients([member.dataset for member in members])
    device = pick_device(members[0].site.device)
    model, _ = (start or StartingPoint()).model(study, seed=seed)
    weights = to_arrays(model)
    strategy = strategy_for(study, {})
    validation: dict[int, float | None] = {}
    kept = weights
    for round in range(1, study.federation.rounds + 1):
        load_arrays(model, weights)
        update = local_update(
            model,
            dataset=pooled,
            plan=plan_at_one_place(study, members, round),
            randomness=Randomness.reproducible(seed=seed, site=name, round=round),
            device=device,
        )
        weights = strategy.apply(weights, update, server_rate(study, round))
        if study.federation.evaluated(round):
            judged = exact_histograms(weights, pooled, "validation", device)
            validation[round] = macro_auroc([judged])
            if best_round(validation) == round:
                kept = weights
    return Fitted(
        weights=kept,
        kept_round=best_round(validation),
        rounds=study.federation.rounds,
        validation=validation,
    )


def pool_patients(datasets: Sequence[SiteDataset]) -> SiteDataset:
    """All data sets as one: a patient of two sites is two patients, as in a federation."""
    if len(datasets) == 1:
        return datasets[0]
    starts = np.cumsum([0, *(len(dataset.pixels) for dataset in datasets)])
    patients = {
        split: tuple(
            rows + start
            for dataset, start in zip(datasets, starts, strict=False)
            for rows in dataset.patients[split]
        )
        for split in SPLITS
    }
    known: dict[str, Any] = {
        "study": datasets[0].study,
        "patients": patients,
        "training_digests": frozenset().union(*(d.training_digests for d in datasets)),
        "assignment": "",  # of one site; a pool is no site and has no ledger
        "stored": None,
    }
    # All else is rows, one a record, whatever it is called: none can be forgotten here.
    rows = {
        each.name: _one_below_the_other([getattr(d, each.name) for d in datasets])
        for each in fields(SiteDataset)
        if each.name not in known
    }
    return SiteDataset(**known, **rows)


def _one_below_the_other(parts: Sequence[Any]) -> Any:
    """Arrays, tensors or mappings to them, joined by rows; None where all of them are None."""
    first = parts[0]
    if all(part is None for part in parts):
        return None
    if isinstance(first, np.ndarray):
        return np.concatenate(parts)
    if isinstance(first, torch.Tensor):
        return torch.cat(list(parts))
    assert isinstance(first, Mapping), f"no rows: {type(first).__name__}"
    return {name: _one_below_the_other([part[name] for part in parts]) for name in first}


def without_privacy(study: Study) -> Study:
    """The same study, trained without noise and without clipping."""
    privacy = study.privacy.model_copy(update={"noise_multiplier": 0.0})
    return study.model_copy(update={"privacy": privacy})


def plan_at_one_place(study: Study, members: Sequence[Member], round: int) -> Plan:
    """One plan for all: the sum of the members' expected batches, of all their patients.

    With privacy it is one mechanism and one noise: that which spends the study's epsilon at the
    pool's rate over the study's steps.
    """
    declared = [declared_patients(member.site, member.dataset) for member in members]
    batch = sum(min(study.training.expected_batch, each) for each in declared)
    training = study.training.model_copy(update={"expected_batch": batch})
    return plan_round(study.model_copy(update={"training": training}), sum(declared), round)


def privacy_at_one_place(study: Study, members: Sequence[Member]) -> dict[str, Any]:
    """What all rounds spend of each member's patients, for results; empty without privacy."""
    members = [member for member in members if member.dataset.patients["train"]]
    if not study.privacy.enabled:
        return {}
    whole = replace(plan_at_one_place(study, members, 1).mechanism, steps=study.total_steps)
    delta = study.privacy.delta
    spent = epsilons([whole], delta=delta).smallest
    about = {"epsilon": spent, "delta": delta, "unit": study.privacy.unit}
    return {member.site.site: about for member in members}
