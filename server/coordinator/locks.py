"""One at a time: a lock that the kernel takes back however its holder ends."""

import fcntl
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from irene_model.errors import IreneError

_TURN_S = 0.2


@contextmanager
def alone(path: Path, *, what: str = "", wait_s: float | None = None) -> Iterator[None]:
    """Hold the lock in the file `path`, waiting for whoever has it.

    Raises IreneError, which names `what`, where it is not free within `wait_s` seconds.
    """
    deadline = None if wait_s is None else time.monotonic() + wait_s
    with os.fdopen(os.open(path, os.O_RDWR | os.O_CREAT, 0o600), "w") as lock:
        while True:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | (0 if deadline is None else fcntl.LOCK_NB))
                break
            except BlockingIOError:
                if deadline is not None and time.monotonic() > deadline:
                    raise IreneError(f"{what} is still held by another process") from None
                time.sleep(_TURN_S)
        yield


def is_held(path: Path) -> bool:
    """Whether somebody holds the lock in the file `path`; nothing is waited for."""
    try:
        descriptor = os.open(path, os.O_RDONLY)
    except FileNotFoundError:
        return False
    with os.fdopen(descriptor) as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
    return False


def server_lock(run: Path) -> Path:
    """The lock that the server of the run in the folder `run` holds for as long as it lives."""
    return run.with_name(f".{run.name}.lock")
