"""A supervisor's folder, as others see it: who holds it, what runs there, how to end it."""

import contextlib
import fcntl
import json
import os
import signal
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

from irene_model.errors import ConfigError, IreneError
from irene_model.journal import open_private, private_folder
from irene_model.operations.orphans import born

_LOCK = "supervisor.lock"


@dataclass(frozen=True, kw_only=True)
class Running:
    """A service as its supervisor wrote it down last.

    started: ISO time, UTC. born: the kernel's start time of the process, which with the pid names
    it for good until the next boot. alive: whether it lives now.
    """

    pid: int
    started: str
    restarts: int
    born: str
    alive: bool = False


def supervisor_of(state: Path) -> int | None:
    """The pid of the supervisor that has the folder, or None."""
    try:
        descriptor = os.open(state / _LOCK, os.O_RDWR)
    except FileNotFoundError:
        return None
    with os.fdopen(descriptor, "r+", encoding="utf-8") as file:
        while True:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                file.seek(0)
                if text := file.read().strip():
                    return int(text)
                time.sleep(0.01)  # it has the lock and is about to write its pid
            else:
                return None


def running(state: Path) -> dict[str, Running]:
    """Name -> the services of the folder's supervisor as they were written down last."""
    found = {}
    for path in sorted(state.glob("*.json")):
        try:
            known = Running(**json.loads(path.read_text(encoding="utf-8")))
        except (OSError, ValueError, TypeError, RecursionError):
            continue  # another file of the same folder
        alive = bool(known.born) and born(known.pid) == known.born
        found[path.stem] = Running(**{**asdict(known), "alive": alive})
    return found


def stop(state: Path, *, wait_s: float = 60.0) -> bool:
    """End the folder's supervisor and wait for it; False where none runs.

    Raises IreneError where it is still there after `wait_s` seconds.
    """
    pid = supervisor_of(state)
    if pid is None:
        return False
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, signal.SIGTERM)
    deadline = time.monotonic() + wait_s
    while supervisor_of(state) == pid:
        if time.monotonic() > deadline:
            raise IreneError(f"{state}: process {pid} did not end within {wait_s:.0f} s")
        time.sleep(0.1)
    return True


@contextlib.contextmanager
def held(state: Path) -> Iterator[None]:
    """Hold the folder; the pid in the file is for `stop`."""
    private_folder(state)
    descriptor = open_private(state / _LOCK, os.O_RDWR)
    with os.fdopen(descriptor, "r+", encoding="utf-8") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise ConfigError(f"{state}: is already started; stop it first") from None
        file.truncate(0)
        file.write(str(os.getpid()))
        file.flush()
        try:
            yield
        finally:
            file.truncate(0)
