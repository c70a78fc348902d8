"""What the process of one further device does: the clipped sums of its part of each step."""

from multiprocessing.connection import Connection
from typing import Any

import torch
import torch.distributed as dist

from client.devices.plain_gradient import Gradient, PlainGradient
from client.devices.share import Share
from client.devices.workers import _READY, Setup, Task
from client.private import PrivateGradient
from client.records import SiteDataset
from irene_model.network import DiagnosticModel
from irene_model.weights import new_model


class Worker:
    """It answers one task after the other, and keeps its data set from one to the next."""

    def __init__(self, starter: Connection) -> None:
        self._starter = starter
        self._known: tuple[object, ...] = ()
        self._dataset: SiteDataset | None = None

    def serve(self) -> None:
        """Join the others, and work until the starter goes."""
        setup: Setup = self._starter.recv()
        if setup.device.type == "cpu":  # the processor's cores are for all of them together
            torch.set_num_threads(max(1, torch.get_num_threads() // len(setup.devices)))
        self._ready()
        setup.join()
        while True:
            self._work(self._starter.recv(), setup.device)

    def _work(self, task: Task, device: torch.device) -> None:
        model, gradient = _built(task, device)
        dataset = self._opened(task)
        torch.manual_seed(task.dropout)
        self._take(model.state_dict().values())
        share = Share(
            model=model,
            gradient=gradient,
            dataset=dataset,
            draws=task.draws,
            device=device,
            memory=task.memory,
            folder=task.folder,
        )
        trained = [parameter for parameter in model.parameters() if parameter.requires_grad]
        for _ in task.draws:
            self._take(trained)
            share.add_step()
            self._ready()
            for total in gradient.take_sums().values():
                dist.reduce(total, dst=0)
        share.close()

    def _ready(self) -> None:
        self._starter.send(_READY)

    def _take(self, tensors: Any) -> None:
        """Take over the first device's numbers."""
        self._ready()
        for tensor in tensors:
            dist.broadcast(tensor.detach(), src=0)

    def _opened(self, task: Task) -> SiteDataset:
        known = (task.stored, task.study.fingerprint)
        if self._dataset is None or known != self._known:
            self._dataset = None  # not two of them in memory at a time
            self._dataset, self._known = task.stored.open(task.study), known
        return self._dataset


def _built(task: Task, device: torch.device) -> tuple[DiagnosticModel, Gradient]:
    model = new_model(task.study, seed=0)
    for name, parameter in model.named_parameters():
        parameter.requires_grad_(name in task.trained)
    if task.memory.gradient_checkpointing:
        model.activation_checkpointing_enable()
    model.to(device).train()
    if task.clip_norm is None:
        return model, PlainGradient(model, expected_batch=task.expected_batch)
    engine = task.study.privacy.engine
    return model, PrivateGradient(model, clip_norm=task.clip_norm, engine=engine)
