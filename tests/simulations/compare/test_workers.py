"""Processes that train beside other work."""

import os
import time
from concurrent.futures import Future, wait

import pytest
import torch

from simulations.compare.workers import finished, workers


def test_idle_workers_wait_for_all_else_and_end_with_their_context(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    with workers(1, idle=True) as pool:  # with all cores it would round as two workers don't
        assert pool.submit(torch.get_num_threads).result() == 1
    with workers(2, idle=True) as pool:
        priorities = {pool.submit(os.getpriority, os.PRIO_PROCESS, 0): "priority"}
        assert list(finished(priorities)) == [("priority", 19)]
        endless: list[Future[None]] = [pool.submit(time.sleep, 600) for _ in range(3)]
        started = time.monotonic()
    assert time.monotonic() - started < 60  # nobody waited for those that are at work
    assert not wait(endless, timeout=60).not_done  # their processes were ended
