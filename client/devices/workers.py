"""The processes of a site's further devices, as the first device's process sees them.

A worker knows neither noise nor ledger: it is given weights and the patients of its part, and gives
the sum of their clipped gradients to a reduction, whose result is on the first device alone. The
two sides talk by a socket that both inherit, and sums go through torch.distributed: NCCL between
GPUs, gloo between processors, both bound to this machine's loopback, and meeting in a folder of
this account. Before each collective operation a worker says by the socket that it is there: so one
that has died fails the message and does not leave the others waiting.
"""

import atexit
import contextlib
import logging
import os
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import timedelta
from multiprocessing.connection import Connection, wait
from pathlib import Path

import torch
import torch.distributed as dist

from client.devices.draws import Draw
from client.records import Stored
from client.site import Memory
from irene_model.errors import IreneError
from irene_model.study import Study

_log = logging.getLogger(__name__)
_MODULE = "client.devices.process"
_READY = "ready"
_DYING_S = 0.5  # from the end of its connections to the end of a process
_LONGEST = timedelta(hours=1)  # a step of any device; a silent trainer is ended at its deadline


class WorkerLost(IreneError):  # noqa: N818  # what happened to it
    """The process of one of the site's devices ended or failed in the middle of a message."""


@dataclass(frozen=True, kw_only=True)
class Setup:
    """What a worker begins with. rank: its device's place, from 1. meeting: a file of theirs."""

    rank: int
    devices: tuple[str, ...]
    meeting: str

    @property
    def device(self) -> torch.device:
        """This process's own."""
        return torch.device(self.devices[self.rank])

    def join(self) -> None:
        """Become one of the group; returns when all have."""
        loopback = next(name for _, name in socket.if_nameindex() if name.startswith("lo"))
        os.environ["GLOO_SOCKET_IFNAME"] = os.environ["NCCL_SOCKET_IFNAME"] = loopback
        gpu = self.device.type == "cuda"
        if gpu:
            torch.cuda.set_device(self.device)
        count = len(self.devices)
        dist.init_process_group(
            "nccl" if gpu else "gloo",
            store=dist.FileStore(self.meeting, count),  # type: ignore[attr-defined]
            rank=self.rank,
            world_size=count,
            timeout=_LONGEST,
        )


@dataclass(frozen=True, kw_only=True)
class Task:
    """One round's work of one worker.

    trained: the names of the parameters that are trained. clip_norm: None for a study without
    privacy. draws: its part of each step. dropout: seeds which units drop out.
    """

    study: Study
    stored: Stored
    trained: tuple[str, ...]
    clip_norm: float | None
    expected_batch: float
    draws: tuple[Draw, ...]
    memory: Memory
    folder: Path | None
    dropout: int


class Workers:
    """Started at the first round, and there until `close` or the end of this process."""

    def __init__(self, devices: Sequence[torch.device]) -> None:
        """`devices`: the first is this process's own; each of the others gets a process."""
        self.devices = tuple(str(device) for device in devices)
        self._processes: list[subprocess.Popen[bytes]] = []
        self._ends: list[Connection] = []
        self._meeting: Path | None = None

    @property
    def pids(self) -> list[int]:
        """Of the processes that were started and not ended by `close`."""
        return [process.pid for process in self._processes]

    def begin(self, tasks: Sequence[Task], weights: Iterable[torch.Tensor]) -> None:
        """Give each worker its task, and all of them the model's `weights`."""
        if not self._processes:
            self._start()
        for end, task in zip(self._ends, tasks, strict=True):
            self._say(end, task)
        self.give(weights)

    def give(self, tensors: Iterable[torch.Tensor]) -> None:
        """Have all workers hold these numbers too."""
        with self._all_there():
            for tensor in tensors:
                dist.broadcast(tensor.detach(), src=0)

    def gather(self, sums: Iterable[torch.Tensor]) -> None:
        """Add all workers' sums to these, in place."""
        with self._all_there():
            for total in sums:
                dist.reduce(total, dst=0)

    def close(self) -> None:
        """End the processes; a next round starts others."""
        for process in self._processes:
            process.kill()
        for process in self._processes:
            process.wait()
        for end in self._ends:
            end.close()
        self._processes, self._ends = [], []
        if self._meeting is not None:
            if dist.is_initialized():
                dist.destroy_process_group()
            shutil.rmtree(self._meeting, ignore_errors=True)
            self._meeting = None

    def _start(self) -> None:
        self._meeting = Path(tempfile.mkdtemp(prefix="irene-devices-"))  # mode 0700
        for rank in range(1, len(self.devices)):
            ours, theirs = socket.socketpair()
            with theirs:
                command = (sys.executable, "-P", "-m", _MODULE, str(theirs.fileno()))
                self._processes.append(subprocess.Popen(command, pass_fds=[theirs.fileno()]))
            self._ends.append(Connection(ours.detach()))
            self._say(self._ends[-1], self._setup(rank))
        self._hear()
        self._setup(0).join()
        _log.info("training on %s", ", ".join(self.devices))

    def _setup(self, rank: int) -> Setup:
        return Setup(rank=rank, devices=self.devices, meeting=str(self._meeting / "meeting"))  # type: ignore[operator]

    def _say(self, end: Connection, what: object) -> None:
        try:
            end.send(what)
        except OSError:
            raise self._lost(end) from None

    @contextlib.contextmanager
    def _all_there(self) -> Iterator[None]:
        """A collective operation: of one who dies in its middle gloo knows only that it failed."""
        self._hear()
        try:
            yield
        except RuntimeError:
            time.sleep(_DYING_S)
            pairs = zip(self._ends, self._processes, strict=True)
            ended = [end for end, process in pairs if process.poll() is not None]
            if not ended:
                raise
            raise self._lost(ended[0]) from None

    def _hear(self) -> None:
        """Wait until every worker is there for what comes next."""
        awaited = list(self._ends)
        while awaited:
            for end in wait(awaited):
                assert isinstance(end, Connection)
                try:
                    said = end.recv()
                except (EOFError, OSError):
                    raise self._lost(end) from None
                if said != _READY:
                    raise self._lost(end, said)
                awaited.remove(end)

    def _lost(self, end: Connection, said: object = None) -> WorkerLost:
        rank = self._ends.index(end) + 1
        what = "ended" if said is None else f"failed ({said})"
        return WorkerLost(
            f"device: the process of {self.devices[rank]}, the device number {rank + 1} of "
            f"site.yaml, {what} while a message was answered; what was charged stays charged, and "
            "the next message starts it again. If it happens again, leave the device out"
        )


_kept: list[Workers] = []


def kept_workers(devices: Sequence[torch.device]) -> Workers | None:
    """This process's workers for these devices; those for any other are ended. None for one device.

    They stay from message to message: a process belongs to one group at a time.
    """
    names = tuple(str(device) for device in devices)
    for each in list(_kept):
        if each.devices != names:
            each.close()
            _kept.remove(each)
    if len(names) == 1:
        return None
    if not _kept:
        _kept.append(Workers(devices))
    return _kept[0]


@atexit.register
def end_workers() -> None:
    """End this process's workers, before it ends or becomes another program."""
    for each in _kept:
        with contextlib.suppress(Exception):
            each.close()
