"""A submitted run, followed to its end as the command line shows it."""

import json
import os
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from irene_model.errors import IreneError
from irene_model.operations import supervisor_of
from server.coordinator import (
    Control,
    ControlError,
    Coordinator,
    RunStatus,
    is_held,
    note_ended,
    read_record,
    server_lock,
)
from server.runs import clean
from server.submission.submission import Json, Submission, executor
from server.submission.taking_up import take_up

Observe = Callable[[Json], None]
Say = Callable[[str], None]

_FORGOTTEN = "forgotten"
_POLL_S = 0.5
# Asking Flower starts a program and costs a second of a core: seldom while the server's lock tells
# that it lives; once it has gone, at first after a second, then in pauses that double.
_ANYWAY_S, _LOOK_S, _SOON_S = 600.0, 10.0, 1.0


def carry_out(
    coordinator: Coordinator,
    control: Control,
    submission: Submission,
    run_id: str,
    *,
    observe: Observe,
    say: Say,
) -> None:
    """Follow a submitted run to its end, also where its process was lost and it is taken up again.

    observe: takes each new line of rounds.jsonl. say: takes one line for people. Raises IreneError
    where the run failed, was stopped or was cancelled.
    """
    lines = Lines(path=submission.folder / "rounds.jsonl", seen=len(submission.rounds))
    while True:
        status, lost = _follow(
            coordinator, control, submission, run_id, lines=lines, observe=observe
        )
        again = take_up(coordinator, control, submission, run_id, lost=lost)
        if again is None or again == run_id:
            break
        told = read_record(coordinator, submission.name).newest.lost or lost
        say(f"the run's process was lost ({told}); going on after round {lines.seen}")
        run_id = again
    cancelled = read_record(coordinator, submission.name).cancelled
    if cancelled is not None:
        raise IreneError(f"run {submission.name} was cancelled, {cancelled}")
    note_ended(coordinator, submission.name, run_id, status.status)
    if not status.completed:
        why = "was stopped" if status.stopped else f"failed: {status.reason}"
        remedy = (
            f"go on with irene-server run {coordinator.path} --resume {submission.name}"
            if submission.begun
            else f"nothing was trained; see {coordinator.logs / 'superexec.log'}"
        )
        raise IreneError(f"run {submission.name} {why}; {remedy}")


@dataclass(kw_only=True)
class Lines:
    """The whole lines of a growing rounds.jsonl, each given once. `seen`: how many were."""

    path: Path
    seen: int = 0
    _file: int = field(default=0, init=False)  # which it is: a resumed run writes it anew
    _offset: int = field(default=0, init=False)
    _read: int = field(default=0, init=False)  # lines of it

    def new(self) -> list[Json]:
        """What came since the last look: a run of many rounds is not read from its beginning."""
        try:
            with self.path.open("rb") as file:
                now = os.fstat(file.fileno())
                if self._file != now.st_ino or now.st_size < self._offset:
                    self._file, self._offset, self._read = now.st_ino, 0, 0
                file.seek(self._offset)
                text = file.read()
        except FileNotFoundError:
            return []
        whole = text[: text.rfind(b"\n") + 1]
        self._offset += len(whole)
        written = whole.splitlines()
        found = [clean(json.loads(line)) for line in written[max(0, self.seen - self._read) :]]
        self._read += len(written)
        self.seen += len(found)
        return found


@dataclass(kw_only=True)
class Asking:
    """When Flower is asked how a run stands, whose server holds `lock` as long as it lives."""

    lock: Path
    _alive: bool = field(default=False, init=False)
    _pause: float = field(default_factory=lambda: _LOOK_S, init=False)
    _next: float = field(default_factory=lambda: time.monotonic() + _LOOK_S, init=False)

    def due(self) -> bool:
        """Whether it is time to ask; once it was, the next time is later."""
        alive, now = is_held(self.lock), time.monotonic()
        if alive and not self._alive:
            self._next = now + _ANYWAY_S
        elif self._alive and not alive:
            self._pause, self._next = _SOON_S, now + _SOON_S
        self._alive = alive
        if now < self._next:
            return False
        self._next = now + (_ANYWAY_S if alive else self._pause)
        self._pause = min(_LOOK_S, 2 * self._pause)
        return True


def _follow(
    coordinator: Coordinator,
    control: Control,
    submission: Submission,
    run_id: str,
    *,
    lines: Lines,
    observe: Observe,
) -> tuple[RunStatus, str]:
    """Look until the run has ended: how, and why its process was lost if it was."""
    first, asking = executor(coordinator), Asking(lock=server_lock(submission.folder))
    while True:
        # A ServerApp dies with its SuperExec; Flower's heartbeat would tell in a minute or two.
        replaced = executor(coordinator) not in (first, "")
        status: RunStatus | None = None
        if asking.due() or replaced:
            status = _status(coordinator, control, run_id)
        for line in lines.new():
            observe(line)
        if status is not None and status.finished:
            return status, status.details if status.lost else ""
        if status is not None and status.status == _FORGOTTEN:
            return status, "Flower does not know it any more"
        if status is not None and replaced:
            return status, "SuperExec was started again"
        time.sleep(_POLL_S)


def _status(coordinator: Coordinator, control: Control, run_id: str) -> RunStatus | None:
    """None while the SuperLink is being started again."""
    try:
        status = control.run(run_id)
    except ControlError:
        if supervisor_of(coordinator.state) is None:
            raise IreneError(
                f"{coordinator.path} was stopped; what is checkpointed is kept, and the run goes "
                "on by itself after irene-server start"
            ) from None
        return None
    return status or RunStatus(status=_FORGOTTEN, details="its database was lost")
