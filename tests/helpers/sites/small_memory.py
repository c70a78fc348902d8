"""A device whose memory holds only so many patients: a step of more finds none left."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import nn
from torch.nn.modules.module import register_module_forward_hook

from irene_model.network.model import DiagnosticModel


@contextmanager
def room_for(patients: int) -> Iterator[list[int]]:
    """Any model's pass over more than `patients` raises what a GPU does, in its middle.

    Yields the sizes of the batches that were begun.
    """
    begun: list[int] = []

    def look(module: nn.Module, _inputs: Any, output: Any) -> None:
        if isinstance(module, DiagnosticModel):
            begun.append(len(output.logits))
            if len(output.logits) > patients:
                raise torch.OutOfMemoryError("CUDA out of memory (a made-up device)")

    handle = register_module_forward_hook(look)
    try:
        yield begun
    finally:
        handle.remove()
