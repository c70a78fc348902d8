"""The processes of a simulation: Ray's actors, on this machine or on those of a cluster.

What a message holds goes into Ray's shared memory once, however many sites it is sent to.
"""

import logging
import math
import os
import threading
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from flwr.app import ArrayRecord, Context, Message, RecordDict
from flwr.clientapp import ClientApp

from irene_model.operations import loopback_direct
from simulations.engine.site_grid import SiteGrid

_QUIET = {
    "FLWR_TELEMETRY_ENABLED": "0",
    "FLWR_DISABLE_UPDATE_CHECK": "1",
    "RAY_USAGE_STATS_ENABLED": "0",
    "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0",
    "RAY_IGNORE_UNHANDLED_ERRORS": "1",
}
_GPU_SHARES = 10_000  # into so many Ray divides a GPU


@contextmanager
def sites_on_ray(client: ClientApp, *, count: int, parallel: int) -> Iterator[SiteGrid]:
    """A grid of `count` sites for which `client` answers, `parallel` of them at once.

    They share this machine's cores evenly, and its GPUs.
    """
    os.environ.update({**loopback_direct(os.environ), **_QUIET})
    import ray

    logging.getLogger("flwr").setLevel(logging.ERROR)
    cores = max(1, (os.cpu_count() or 1) // parallel)
    gpus = torch.cuda.device_count()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        ray.init(
            num_cpus=cores * parallel,
            include_dashboard=False,
            _node_ip_address="127.0.0.1",  # Ray would look for the internet's way out
            log_to_driver=False,
            logging_level=logging.ERROR,
        )
        try:
            actor = ray.remote(_Sites).options(num_cpus=cores, num_gpus=gpu_share(gpus, parallel))
            shelf = _Shelf()
            processes = [_RaySites(actor, client, shelf) for _ in range(parallel)]
            grid = SiteGrid(processes, count=count)
            try:
                yield grid
            finally:
                grid.close()
        finally:
            ray.shutdown()


def gpu_share(gpus: int, parallel: int) -> float:
    """What of a GPU each of `parallel` processes gets, rounded down as Ray counts."""
    return min(1.0, math.floor(_GPU_SHARES * gpus / parallel) / _GPU_SHARES)


class _Sites:
    """In a process of its own: any site's answer to any message."""

    def __init__(self, client: ClientApp) -> None:
        self._client = client

    def answer(self, message: Message, arrays: ArrayRecord, site: int) -> Message:
        """What the client says; `arrays` belong to the message."""
        message.content["arrays"] = arrays
        context = Context(
            run_id=message.metadata.run_id,
            node_id=message.metadata.dst_node_id,
            node_config={"partition-id": site},
            state=RecordDict(),
            run_config={},
        )
        return self._client(message, context)


class _Shelf:
    """The arrays that were sent last, in shared memory: a round's messages have the same ones."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._arrays: ArrayRecord | None = None
        self._place: Any = None

    def place_of(self, arrays: ArrayRecord) -> Any:
        """Ray's reference to `arrays`."""
        import ray

        with self._lock:
            if arrays is not self._arrays:
                self._arrays, self._place = arrays, ray.put(arrays)
            return self._place


class _RaySites:
    """The driver's end of a process; one that has died is started anew for the next message."""

    def __init__(self, actor: Any, client: ClientApp, shelf: _Shelf) -> None:
        self._actor, self._client, self._shelf = actor, client, shelf
        self._handle = actor.remote(client)

    def answer(self, message: Message, site: int) -> Message:
        """The reply; raises where the process died meanwhile."""
        import ray

        if self._handle is None:
            self._handle = self._actor.remote(self._client)
        place = self._shelf.place_of(message.content.array_records["arrays"])
        message.content = RecordDict({"values": message.content["values"]})
        try:
            reply: Message = ray.get(self._handle.answer.remote(message, place, site))
        except ray.exceptions.RayActorError:
            self._handle = None
            raise
        return reply
