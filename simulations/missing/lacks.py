"""Which records lose which modality, and what else they lose with it (pure).

At random: a record loses one modality with a chance, whoever it is. By pattern: it also loses what
some real record of the cohort lacks that has not got this modality either, single laboratory values
among it. So what is missing together in the cohort goes together here.

At a higher rate the records of a lower one are among those that lose it.
"""

from collections.abc import Mapping, Sequence
from itertools import combinations
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
import torch

from client.records import SiteDataset
from irene_model import inputs
from irene_model.study import Study

Array = npt.NDArray[Any]
Tensors = Mapping[str, torch.Tensor]
Way = Literal["random", "pattern"]
WAYS: tuple[Way, ...] = ("random", "pattern")


def presence(tensors: Tensors, study: Study) -> dict[str, Array]:
    """Modality or panel -> (N,) bool: whether the record has anything of it."""
    found: dict[str, Array] = {}
    for name, (key, part) in inputs.masks(study).items():
        shown = tensors[key][..., part].numpy()
        found[name] = np.asarray(shown.reshape(len(shown), -1).any(axis=1))
    return found


def lacking(
    tensors: Tensors,
    study: Study,
    modality: str,
    rate: float,
    *,
    rng: np.random.Generator,
    donors: Tensors | None = None,
) -> dict[str, torch.Tensor]:
    """The tensors whose records lose `modality` with the chance `rate`.

    donors: tensors of records without it, from which each record that loses it takes the rest of
    its gaps, unless nothing would be left of it; None is at random.
    """
    count = len(tensors["labels"])
    loses = rng.random(count) < rate
    key, part = inputs.masks(study)[modality]
    found = dict(tensors) | {key: tensors[key].clone()}
    found[key][..., part][torch.from_numpy(loses)] = False
    if donors is None or not len(donors["labels"]):
        return found
    picked = torch.from_numpy(rng.integers(len(donors["labels"]), size=count))
    names = {key for key, _ in inputs.masks(study).values()}
    thinner = {name: found[name].clone() for name in names}
    for name, mask in thinner.items():
        theirs = donors[name][picked]
        if name == "text_mask":  # a word of another's text says nothing of this one's
            theirs = theirs.any(dim=1, keepdim=True)
        mask &= theirs
    something = np.any(list(presence(thinner, study).values()), axis=0)
    rows = torch.from_numpy(loses & something)
    for name, mask in thinner.items():
        found[name] = torch.where(rows.view(-1, *[1] * (mask.ndim - 1)), mask, found[name])
    return found


def without_it(datasets: Sequence[SiteDataset], modality: str) -> dict[str, torch.Tensor] | None:
    """The masks of all training records that lack the modality; None where none does."""
    study = datasets[0].study
    keys = {"labels", *(key for key, _ in inputs.masks(study).values())}
    found = []
    for dataset in datasets:
        rows = np.concatenate([*dataset.patients["train"], np.zeros(0, dtype=np.int64)])
        taken = {name: dataset.tensors[name][torch.from_numpy(rows)] for name in keys}
        lack = torch.from_numpy(~presence(taken, study)[modality])
        found.append({name: tensor[lack] for name, tensor in taken.items()})
    joined = {name: torch.cat([each[name] for each in found]) for name in keys}
    return joined if len(joined["labels"]) else None


def only(tensors: Tensors, study: Study, kept: Sequence[str]) -> dict[str, torch.Tensor]:
    """The tensors from which every modality and panel but `kept` is taken."""
    found = dict(tensors)
    for name in inputs.masks(study):
        if name not in kept:
            found = inputs.without(found, name, study)
    return found


def all_combinations(modalities: Sequence[str]) -> list[tuple[str, ...]]:
    """Every choice of at least one of them, the largest first."""
    return [
        chosen
        for size in range(len(modalities), 0, -1)
        for chosen in combinations(modalities, size)
    ]
