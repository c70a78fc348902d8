"""A section in a process of its own: it may fail, hang or lose the GPU, and no other one notices.

The processes are forked from one that has the imports and has never touched the GPU.
"""

import importlib
import multiprocessing
import os
import signal
import sys
import time
import traceback
from collections.abc import Callable, Sequence
from multiprocessing.connection import Connection
from pathlib import Path

from benchmarks.gpu.section import Asked, Failure, Item, said

_AT_END_S = 5.0


class _Touched:
    """In place of an item: where the process was forked from, CUDA had been touched already."""


def prepare(modules: Sequence[str]) -> None:
    """Import `modules` in the process that the sections are forked from."""
    multiprocessing.set_forkserver_preload(list(modules))


def run(
    place: str, asked: Asked, *, limit_s: float, tell: Callable[[Item], None], fresh: bool = False
) -> Failure | None:
    """Run `module:function` on `asked` and tell each item that it yields, for at most `limit_s`.

    fresh: in a process that is not forked, and so has all imports before it.
    """
    spawned = multiprocessing.get_context("spawn").Process
    forked = multiprocessing.get_context("forkserver").Process
    ours, theirs = multiprocessing.Pipe(duplex=False)
    log = asked.folder / f"{place.rpartition('.')[2].replace(':', '-')}.log"
    process = (spawned if fresh else forked)(target=_work, args=(place, asked, theirs, log))
    process.start()
    theirs.close()
    until = time.monotonic() + limit_s
    try:
        with ours:
            while ours.poll(max(0.0, until - time.monotonic())):
                item = ours.recv()
                if item is None or isinstance(item, Failure):
                    return item
                if isinstance(item, _Touched):
                    left_s = until - time.monotonic()
                    return run(place, asked, limit_s=left_s, tell=tell, fresh=True)
                tell(item)
        return Failure(reason=f"was ended after {limit_s:.0f} s", details=_end_of(log))
    except EOFError:
        process.join(_AT_END_S)
        return Failure(reason=f"its process ended with {process.exitcode}", details=_end_of(log))
    finally:
        _end(process.pid)
        process.join(_AT_END_S)


def _work(place: str, asked: Asked, out: Connection, log: Path) -> None:
    os.setsid()  # so that what it starts ends with it
    with log.open("wb") as file:
        for stream in (1, 2):
            os.dup2(file.fileno(), stream)
    try:
        if asked.on_gpu and _cuda_is_lost():
            out.send(_Touched())
            return
        module, _, function = place.partition(":")
        for item in getattr(importlib.import_module(module), function)(asked):
            out.send(item)
        out.send(None)
    except BaseException as error:
        out.send(Failure(reason=said(error), details=traceback.format_exc()))
    finally:
        sys.stdout.flush()
        sys.stderr.flush()


def _cuda_is_lost() -> bool:
    """Whether a library that was imported for all sections has begun to use CUDA: no fork can."""
    import torch

    return bool(torch.cuda._is_in_bad_fork())


def _end(pid: int | None) -> None:
    if pid is None:
        return
    for end in (os.killpg, os.kill):  # it may not lead a group yet
        try:
            end(pid, signal.SIGKILL)
        except ProcessLookupError:
            continue


def _end_of(log: Path) -> str:
    return log.read_text(encoding="utf-8", errors="replace")[-2000:] if log.is_file() else ""
