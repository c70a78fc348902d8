"""Several trainings at once, each in a process of its own that ends with its parent."""

import os
import signal
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from multiprocessing import get_context, parent_process
from typing import TypeVar

import torch

from irene_model.errors import IreneError

Item = TypeVar("Item")
Result = TypeVar("Result")
_LOWEST = 19  # of Unix' priorities


def in_workers(
    work: Callable[[Item], Result], items: Sequence[Item], *, parallel: int
) -> Iterator[tuple[Item, Result]]:
    """Each item with its result, as they finish, at most `parallel` at once; 1 is this process.

    `work` and items travel to other processes. IreneError where one of these was killed.
    """
    if parallel == 1 or not items:
        for item in items:
            yield item, work(item)
        return
    with workers(parallel) as pool:
        yield from finished({pool.submit(work, item): item for item in items})


@contextmanager
def workers(parallel: int, *, idle: bool = False) -> Iterator[ProcessPoolExecutor]:
    """So many processes; what waits for one at the end of the context is given up.

    idle: they take what other work leaves of the processor. One that is still at work at the end,
    which nobody will wait for, is ended.
    """
    with ProcessPoolExecutor(
        parallel,
        mp_context=get_context("spawn"),
        initializer=_start,
        initargs=(idle,),
    ) as pool:
        try:
            yield pool
        finally:
            running = list((pool._processes or {}).values()) if idle else []
            pool.shutdown(wait=False, cancel_futures=True)
            for process in running:
                process.terminate()


def finished(futures: Mapping[Future[Result], Item]) -> Iterator[tuple[Item, Result]]:
    """Each item with its result, as they finish. IreneError where a process was killed."""
    try:
        for future in as_completed(futures):
            yield futures[future], future.result()
    except BrokenProcessPool:
        raise IreneError(
            "a training's process was killed, perhaps for want of memory; what is finished "
            "stays: give the same command again, with a smaller --parallel"
        ) from None


def one_thread() -> None:
    """This process trains in one thread, as all of a comparison and of the engine do: a sum split
    over more threads rounds otherwise, and so would other numbers of processes.
    """
    torch.set_num_threads(1)


def _start(idle: bool) -> None:
    """A worker computes in one thread, and ends with its parent however that ended."""
    if idle:
        os.nice(_LOWEST)
    one_thread()
    signal.signal(signal.SIGINT, signal.SIG_DFL)  # Ctrl-C ends it without a traceback of its own
    parent = parent_process()
    assert parent is not None

    def follow() -> None:
        parent.join()
        os._exit(1)

    threading.Thread(target=follow, daemon=True).start()
