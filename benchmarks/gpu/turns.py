"""Steps that take turns, so that a clock that drifts and other work meet all of them alike."""

import gc
import statistics
import time
from collections.abc import Callable, Mapping

import torch

Step = Callable[[], object]
_LEAST_TURNS = 3


def finish(device: str) -> None:
    """Wait until the device has done all that it was given."""
    if device.startswith("cuda"):
        torch.cuda.synchronize(device)


def timed(step: Step, device: str) -> float:
    """Seconds of one call, until the device has finished."""
    finish(device)
    started = time.perf_counter()
    step()
    finish(device)
    return time.perf_counter() - started


def take_turns(steps: Mapping[str, Step], *, seconds: float, device: str) -> dict[str, float]:
    """Median seconds of each step, in turns for about `seconds`; a first turn warms up."""
    taken: dict[str, list[float]] = {name: [] for name in steps}
    for step in steps.values():
        timed(step, device)
    until = time.monotonic() + seconds
    while time.monotonic() < until or len(min(taken.values(), key=len)) < _LEAST_TURNS:
        for name, step in steps.items():
            taken[name].append(timed(step, device))
    return {name: statistics.median(each) for name, each in taken.items()}


def turns_that_fit(
    new_steps: Callable[[int], Mapping[str, Step]], *, batch: int, seconds: float, device: str
) -> tuple[int, dict[str, float]]:
    """`take_turns` of `new_steps(batch)`; with fewer records as long as memory is short.

    Returns the records of the batch that was measured, and the seconds.
    """
    while True:
        try:
            return batch, take_turns(new_steps(batch), seconds=seconds, device=device)
        except torch.OutOfMemoryError:
            if batch == 1:
                raise
        # Not inside `except`: the error's frames hold what is to be let go.
        release(device)
        batch = max(1, batch * 3 // 4)


def release(device: str) -> None:
    """Give back what nobody holds any more."""
    gc.collect()
    if device.startswith("cuda"):
        torch.cuda.empty_cache()
