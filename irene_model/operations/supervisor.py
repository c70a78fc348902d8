"""Supervision of child processes: what runs on both sides for weeks is started and restarted here.

A supervisor owns a folder of state. Only one runs in a folder at a time, by a lock that the kernel
takes back however the supervisor ends. Its children are told to end when it is killed (Linux), and
whatever still lives of an earlier supervisor is ended before anything starts, by the mark that
children and their children carry in their environment.
"""

import contextlib
import json
import os
import random
import shutil
import signal
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import IO

from irene_model.journal import open_private, private_folder, write_private
from irene_model.operations.orphans import (
    MARK,
    born,
    dies_with,
    end_group,
    end_leftovers,
    this_boot,
)
from irene_model.operations.supervised import Running, held
from irene_model.operations.supervised import running as known_processes

_TURN_S, _GRACE_S, _SLOW_S = 0.2, 15.0, 30.0
_FIRST_PAUSE_S, _HEALTHY_S = 1.0, 60.0
_LARGEST_LOG = 10_000_000  # bytes; what is there is then put aside, once
_LOGS_S = 60.0  # between two looks at how large they are


@dataclass(frozen=True, kw_only=True)
class Service:
    """A process to keep alive. No secret belongs into `command`: every user can list it.

    command: or what gives it at each start, as for a port that must be free then.
    environment: the whole of it, not an addition. log: the file that stdout and stderr are
    appended to. ready: whether it serves; services after this one start when it once did.
    folder: the working directory, or the supervisor's own. longest_pause_s: the most between two
    starts of what keeps ending.
    """

    name: str
    command: tuple[str, ...] | Callable[[], tuple[str, ...]]
    environment: Mapping[str, str] = field(repr=False)
    log: Path
    ready: Callable[[], bool] | None = None
    folder: Path | None = None
    longest_pause_s: float = 60.0


@dataclass(kw_only=True)
class _Child:
    """A service with its process; `due` is when to start it, on the monotonic clock."""

    service: Service
    process: subprocess.Popen[bytes] | None = None
    due: float = 0.0
    began: float = 0.0
    starts: int = 0
    failures: int = 0
    was_ready: bool = False
    warned: bool = False


@dataclass(kw_only=True)
class Supervisor:
    """Keeps `services` alive until it is told to end.

    observe: takes one line for people whenever something happens. every: called a few times a
    second, for what else there is to watch; neither may block for long.
    """

    services: Sequence[Service]
    state: Path
    observe: Callable[[str], None]
    every: Callable[[], None] | None = None
    _ending: bool = field(default=False, init=False)
    _logs_due: float = field(default=0.0, init=False)

    def run(self) -> None:
        """Start all in order and keep them alive; returns after a signal or `stop`.

        Call it in the main thread. Raises ConfigError where another supervisor has the folder.
        """
        with held(self.state), self._signals():
            for service in self.services:
                self._end_earlier(service)
            children = [_Child(service=service) for service in self.services]
            try:
                while not self._ending:
                    self._turn(children)
                    self._look_at_logs()
                    if self.every is not None:
                        self.every()
                    time.sleep(_TURN_S)
            finally:
                self._end(children)

    def end(self) -> None:
        """Make `run` end all services and return."""
        self._ending = True

    def _end_earlier(self, service: Service) -> None:
        """What a supervisor that was killed left behind, and its process's whole group."""
        known = known_processes(self.state).get(service.name)
        if known is not None and born(known.pid) in ("", known.born) and this_boot(known.born):
            end_group(known.pid)
        end_leftovers(self._mark(service))

    def _mark(self, service: Service) -> str:
        return f"{self.state.resolve()}/{service.name}"

    def _look_at_logs(self) -> None:
        """What runs for months never starts anew, and its log is put aside while it writes."""
        if time.monotonic() < self._logs_due:
            return
        self._logs_due = time.monotonic() + _LOGS_S
        for service in self.services:
            with contextlib.suppress(OSError):  # a full disk ends no service
                put_aside(service.log)

    def _turn(self, children: Sequence[_Child]) -> None:
        """One look at all children; one that was never started waits for those before it."""
        for child in children:
            if child.process is None:
                if time.monotonic() >= child.due:
                    self._start(child)
            elif child.process.poll() is not None:
                self._ended(child)
            elif not child.was_ready:
                child.was_ready = child.service.ready is None or child.service.ready()
                if child.was_ready and child.service.ready is not None:
                    self.observe(f"{child.service.name}: ready")
                elif not child.warned and time.monotonic() - child.began > _SLOW_S:
                    child.warned = True
                    self.observe(f"{child.service.name}: not ready yet ({child.service.log})")
            if not child.was_ready:
                return

    def _start(self, child: _Child) -> None:
        service = child.service
        try:
            with _log_of(service) as log:
                child.process = subprocess.Popen(
                    service.command() if callable(service.command) else service.command,
                    cwd=service.folder,
                    env={**service.environment, MARK: self._mark(service)},
                    stdin=subprocess.DEVNULL,
                    stdout=log,
                    stderr=subprocess.STDOUT,
                    start_new_session=True,
                    preexec_fn=dies_with(os.getpid()),  # noqa: PLW1509  # no threads here
                )
        except OSError as error:
            self._postpone(child, f"can't be started ({error.strerror})")
            return
        child.began, child.starts = time.monotonic(), child.starts + 1
        running = Running(
            pid=child.process.pid,
            started=datetime.now(UTC).isoformat(timespec="seconds"),
            restarts=child.starts - 1,
            born=born(child.process.pid),
        )
        written = {key: value for key, value in asdict(running).items() if key != "alive"}
        text = json.dumps(written)
        write_private(self.state / f"{service.name}.json", text.encode(), durable=False)
        self.observe(f"{service.name}: started")

    def _ended(self, child: _Child) -> None:
        """It ended by itself: end what it left behind, and start it again in a while."""
        assert child.process is not None
        code = child.process.returncode
        why = f"killed by {signal.Signals(-code).name}" if code < 0 else f"exit code {code}"
        if time.monotonic() - child.began >= _HEALTHY_S:
            child.failures = 0
        end_group(child.process.pid)
        end_leftovers(self._mark(child.service))
        child.process = None
        self._postpone(child, f"ended ({why})")

    def _postpone(self, child: _Child, what: str) -> None:
        pause = min(child.service.longest_pause_s, _FIRST_PAUSE_S * 2.0**child.failures)
        pause *= random.uniform(0.8, 1.2)  # so that all hospitals don't come back at once
        child.due, child.failures = time.monotonic() + pause, min(child.failures + 1, 10)
        name = child.service.name
        self.observe(f"{name}: {what}; starting again in {pause:.0f} s ({child.service.log})")

    def _end(self, children: Sequence[_Child]) -> None:
        """Politely, the last first; after the grace by force, with all that they started."""
        alive = [child.process for child in reversed(children) if child.process is not None]
        for process in alive:
            with contextlib.suppress(ProcessLookupError):
                process.terminate()
        deadline = time.monotonic() + _GRACE_S
        for process in alive:
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(max(0.0, deadline - time.monotonic()))
            end_group(process.pid)
            process.wait()
        for child in children:
            end_leftovers(self._mark(child.service))
            self.observe(f"{child.service.name}: stopped")

    @contextlib.contextmanager
    def _signals(self) -> Iterator[None]:
        """SIGTERM, SIGINT and a closed terminal mean: end."""
        numbers = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)
        before = [signal.signal(number, lambda *_: self.end()) for number in numbers]
        try:
            yield
        finally:
            for number, handler in zip(numbers, before, strict=True):
                signal.signal(number, handler)


def _log_of(service: Service) -> IO[bytes]:
    """The log, appended to; readable by its owner alone."""
    private_folder(service.log.parent)
    put_aside(service.log)
    descriptor = open_private(service.log, os.O_WRONLY | os.O_APPEND)
    return os.fdopen(descriptor, "wb")


def put_aside(log: Path) -> None:
    """Move what is in a large log to its `.log.1`; whoever appends to it goes on in the log.

    What is written between the copy and the cut, a line at most, is lost.
    """
    if not log.exists() or log.stat().st_size <= _LARGEST_LOG:
        return
    aside = os.fdopen(open_private(log.with_suffix(".log.1"), os.O_WRONLY | os.O_TRUNC), "wb")
    with aside, log.open("rb") as written:
        shutil.copyfileobj(written, aside)
    os.truncate(log, 0)
