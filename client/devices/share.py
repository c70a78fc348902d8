"""One device's share of a round: what its patients of each step add up to.

A step that runs out of memory is begun again with half as many patients at a time: a sum that broke
off may hold some layers of a patient and not others, or hold a patient twice if it went on.
"""

from collections.abc import Generator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import torch

from client.devices.choice import autocast
from client.devices.draws import Draw
from client.devices.feeding import fed
from client.devices.micro_batch import MicroBatch, micro_batch_for, out_of_memory
from client.devices.plain_gradient import Gradient
from client.private import trained_parameters
from client.records import SiteDataset
from client.site import Memory
from irene_model.inputs import Batch, Hidden
from irene_model.network import DiagnosticModel

# What a step needs for each trained parameter when it is over, beside sums: a gradient, and the two
# moments of AdamW.
_BALLAST = 3


@dataclass(kw_only=True)
class Share:
    """The device's part of each step, in order: `draws`.

    folder: where sizes that were found are kept. ahead: see `fed`. search: see `micro_batch_for`.
    """

    model: DiagnosticModel
    gradient: Gradient
    dataset: SiteDataset
    draws: Sequence[Draw]
    device: torch.device
    memory: Memory
    folder: Path | None = None
    ahead: bool | None = None
    search: bool | None = None
    _next: int = field(default=0, init=False)
    _micro_batch: MicroBatch = field(init=False)
    _feed: Generator[Batch, None, None] = field(init=False)

    def __post_init__(self) -> None:
        self._micro_batch = micro_batch_for(
            self.memory,
            self.dataset.study,
            self.device,
            folder=self.folder,
            fits=self._fits,
            search=self.search,
        )
        self._feed = self._from_here()

    @property
    def micro_batch(self) -> int:
        """How many patients it holds at a time now."""
        return self._micro_batch.size

    def add_step(self) -> None:
        """Add the gradients of the next step's patients to the sums."""
        while not self._added():
            # Here no error is being handled, whose traceback would keep the memory.
            self._feed.close()
            self._micro_batch.halve()
            self._let_go()
            self._feed = self._from_here()
        self._next += 1

    def close(self) -> None:
        """End what assembles batches ahead."""
        self._feed.close()

    def _added(self) -> bool:
        """Whether there was memory for the step."""
        try:
            for _ in self.draws[self._next].at_most(self._micro_batch.size):
                batch = next(self._feed)
                with autocast(self.device):
                    self.gradient.accumulate(batch)
        except (RuntimeError, MemoryError) as error:
            if not out_of_memory(error):
                raise
            return False
        return True

    def _from_here(self) -> Generator[Batch, None, None]:
        size = self._micro_batch.size
        parts = (part for draw in self.draws[self._next :] for part in draw.at_most(size))
        return fed(self.dataset, parts, self.device, ahead=self.ahead)

    def _fits(self, size: int) -> bool:
        """Whether a step of `size` patients at a time does, beside what an optimiser holds."""
        known = self.dataset.patients["train"]
        rows = np.resize(np.concatenate(known), size)  # any will do, and as often as need be
        draw = Draw(rows=rows, hidden=_nothing_hidden(self.dataset, size))
        with torch.random.fork_rng(devices=_with_generators(self.device)):
            fits = self._tried(draw)
        self._let_go()
        return fits

    def _tried(self, draw: Draw) -> bool:
        """Whether there was memory for all of `draw` at a time; what it held is let go."""
        try:
            ballast = [
                torch.zeros_like(parameter)
                for parameter in trained_parameters(self.model)
                for _ in range(_BALLAST)
            ]
            for batch in fed(self.dataset, [draw], self.device, ahead=False):
                with autocast(self.device):
                    self.gradient.accumulate(batch)
            del ballast
        except (RuntimeError, MemoryError) as error:
            if not out_of_memory(error):
                raise
            return False
        return True

    def _let_go(self) -> None:
        self.gradient.begin_again()
        if self.device.type == "cuda":
            torch.cuda.empty_cache()


def _nothing_hidden(dataset: SiteDataset, size: int) -> Hidden:
    names = dataset.study.training.modality_dropout.rates
    return {name: np.zeros(size, dtype=np.bool_) for name in names}


def _with_generators(device: torch.device) -> list[torch.device]:
    return [device] if device.type == "cuda" else []
