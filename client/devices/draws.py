"""Who takes part in a step: drawn once, for all devices, whatever they are and hold at a time."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from client.private import Randomness
from client.records import Rows, SiteDataset, sample_patients
from irene_model.inputs import Hidden, draw_hidden


@dataclass(frozen=True, kw_only=True)
class Draw:
    """rows: (n,), a record of each patient. hidden: which of them lose which modality."""

    rows: Rows
    hidden: Hidden

    def __len__(self) -> int:
        return len(self.rows)

    def in_parts(self, count: int) -> "list[Draw]":
        """`count` parts one after the other, as even as can be; possibly empty ones."""
        return [
            Draw(rows=rows, hidden={name: lost[places] for name, lost in self.hidden.items()})
            for places in np.array_split(np.arange(len(self)), count)
            for rows in [self.rows[places]]
        ]

    def at_most(self, size: int) -> "list[Draw]":
        """As few parts as may be, of at most `size` patients; none of an empty draw."""
        return self.in_parts(math.ceil(len(self) / size)) if len(self) else []


def draw_step(dataset: SiteDataset, *, sample_rate: float, randomness: Randomness) -> Draw:
    """A Poisson sample of the training patients, and what modality dropout hides of it."""
    rows = sample_patients(
        dataset.patients["train"], sample_rate=sample_rate, rng=randomness.sampling
    )
    rates = dataset.study.training.modality_dropout.rates
    return Draw(rows=rows, hidden=draw_hidden(len(rows), rates, randomness.dropout))


def shares_of(draws: Sequence[Draw], devices: int) -> list[tuple[Draw, ...]]:
    """For each device its part of every step."""
    return list(zip(*(draw.in_parts(devices) for draw in draws), strict=True))
