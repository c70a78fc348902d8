"""A round on all of a site's devices: the same patients, sums and weights as on one.

The first device is this process's own. It alone draws patients, adds noise and moves the weights.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from client.devices.choice import pick_devices
from client.devices.draws import Draw, shares_of
from client.devices.plain_gradient import Gradient
from client.devices.share import Share
from client.devices.workers import Task, Workers, kept_workers
from client.private import trained_parameters
from client.records import SiteDataset
from client.site import Memory, Site
from irene_model.network import DiagnosticModel


@dataclass(frozen=True, kw_only=True)
class Team:
    """What a site trains with beside its first device.

    workers: the processes of further devices. folder: where sizes that were found are kept.
    """

    workers: Workers | None = None
    folder: Path | None = None

    @classmethod
    def of(cls, site: Site) -> "Team":
        """As site.yaml says. Nothing is started before there is a step to share."""
        workers = kept_workers(pick_devices(site.device))
        return cls(workers=workers, folder=site.resolve(site.ledger).parent / "micro_batches")


ALONE = Team()


@dataclass(kw_only=True)
class Steps:
    """The steps of a round, to be added up one after the other."""

    share: Share
    workers: Workers | None

    def add(self) -> None:
        """Add the next step's patients to the gradient's sums, on all devices."""
        share, workers = self.share, self.workers
        if workers is not None:
            workers.give(trained_parameters(share.model))
        share.add_step()
        if workers is not None:
            workers.gather(share.gradient.sums.values())


@contextmanager
def sharing(
    model: DiagnosticModel,
    gradient: Gradient,
    *,
    dataset: SiteDataset,
    draws: Sequence[Draw],
    clip_norm: float | None,
    expected_batch: float,
    device: torch.device,
    memory: Memory,
    team: Team = ALONE,
) -> Iterator[Steps]:
    """The steps of `draws`, which `gradient` of `model` adds up on `device` and the team's others.

    clip_norm: None for a study without privacy. An error ends the team's processes, since nobody
    knows then what they wait for. Raises WorkerLost where one of them ended by itself.
    """
    workers, folder = team.workers, team.folder
    parts = shares_of(draws, 1 if workers is None else len(workers.devices))
    try:
        if workers is not None:
            tasks = _tasks(
                model, dataset, parts[1:], clip_norm=clip_norm, expected_batch=expected_batch,
                memory=memory, folder=folder,
            )  # fmt: skip
            workers.begin(tasks, model.state_dict().values())
        share = Share(
            model=model,
            gradient=gradient,
            dataset=dataset,
            draws=parts[0],
            device=device,
            memory=memory,
            folder=folder,
        )
        try:
            yield Steps(share=share, workers=workers)
        finally:
            share.close()
    except BaseException:
        if workers is not None:
            workers.close()
        raise


def _tasks(
    model: DiagnosticModel,
    dataset: SiteDataset,
    parts: Sequence[tuple[Draw, ...]],
    *,
    clip_norm: float | None,
    expected_batch: float,
    memory: Memory,
    folder: Path | None,
) -> list[Task]:
    if dataset.stored is None:
        raise ValueError("only a data set in a site's cache is shared among devices")
    # Another seed for each device, and none drawn: sampling and hiding go on as with one device.
    seeds = np.random.SeedSequence(torch.initial_seed()).generate_state(len(parts), np.uint64)
    return [
        Task(
            study=dataset.study,
            stored=dataset.stored,
            trained=tuple(name for name, p in model.named_parameters() if p.requires_grad),
            clip_norm=clip_norm,
            expected_batch=expected_batch,
            draws=part,
            memory=memory,
            folder=folder,
            dropout=int(seed) >> 1,
        )
        for part, seed in zip(parts, seeds, strict=True)
    ]
