"""Micro-batches for a device, assembled ahead of it.

What travels is what the data set keeps: pixels as bytes, which the device scales. On the way to a
GPU it lies in pinned memory, from where the GPU fetches it while the processor goes on.
"""

from collections import deque
from collections.abc import Generator, Iterable
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import closing

import torch

from client.devices.choice import to_device
from client.devices.draws import Draw
from client.records import SiteDataset
from irene_model.inputs import Batch, decode, hide

_AHEAD = 2  # micro-batches: one waits while one is being assembled


def fed(
    dataset: SiteDataset, parts: Iterable[Draw], device: torch.device, *, ahead: bool | None = None
) -> Generator[Batch, None, None]:
    """A batch on `device` for each of `parts`, in order.

    ahead: whether a thread assembles the next ones meanwhile; by default on the way to a GPU, since
    a processor that computes has nothing to spare. The batches are the same. The thread ends with
    the iterator, also one that is closed early, and what it raises is raised here.
    """
    assembled = (_assembled(dataset, part, device) for part in parts)
    if device.type == "cuda" if ahead is None else ahead:
        assembled = _by_a_thread(assembled)
    with closing(assembled):
        for batch in assembled:
            yield decode(to_device(batch, device), dataset.study)


def _assembled(dataset: SiteDataset, part: Draw, device: torch.device) -> Batch:
    batch = hide(dataset.kept(part.rows), part.hidden, dataset.study)
    if device.type == "cuda":
        return {name: tensor.pin_memory() for name, tensor in batch.items()}
    return batch


def _by_a_thread(batches: Generator[Batch, None, None]) -> Generator[Batch, None, None]:
    waiting: deque[Future[Batch | None]] = deque()
    with ThreadPoolExecutor(max_workers=1, thread_name_prefix="feeding") as pool:
        try:
            waiting.extend(pool.submit(next, batches, None) for _ in range(_AHEAD))
            while (batch := waiting.popleft().result()) is not None:
                waiting.append(pool.submit(next, batches, None))
                yield batch
        finally:
            pool.shutdown(cancel_futures=True)
