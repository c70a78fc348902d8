"""What people are told while their node runs, and the end of a process that does nothing more."""

import contextlib
import os
import signal
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from client.consent import Asked, Consent, user
from client.gateway import Progress, Reading, explained, follow, kept, log_file, node_folder
from client.node.pulse import pulse_of
from client.site import Site
from irene_model.errors import IreneError
from irene_model.operations import running

PATIENCE_S = {"supernode": 180.0, "superexec": 120.0}
"""Seconds without a sign of life after which a process is ended, to be started again.

A trainer at its work gives none: SuperExec ends it at the message's deadline.
"""
_LOOK_S = 1.0


@dataclass(kw_only=True)
class Watch:
    """Tells people what changes: the connection, the clock, a study that waits, a pause."""

    site: Site
    site_file: Path
    observe: Callable[[str], None]
    _consent: Consent = field(init=False)
    _progress: Progress = field(default_factory=Progress, init=False)
    _told: str = field(default="", init=False)
    _known: set[str] = field(default_factory=set, init=False)
    _complaint: str = field(default="", init=False)
    _clock: Reading | None = field(default=None, init=False)
    _offset: int = field(default=0, init=False)
    _next: float = field(default=0.0, init=False)

    def __post_init__(self) -> None:
        """Start at the log's end: what stands there is of earlier starts."""
        self._consent = Consent.of(self.site)
        log = log_file(self.site)
        self._offset = log.stat().st_size if log.exists() else 0

    def look(self) -> None:
        """Look once a second at most."""
        if time.monotonic() < self._next:
            return
        self._next = time.monotonic() + _LOOK_S
        self._progress = follow(self._progress, self._new_lines())
        if self._progress.state not in ("starting", self._told):
            self._told = self._progress.state
            self.observe(explained(self.site, self._progress).sentence)
        for asked in self._requests():
            if asked.fingerprint not in self._known and not asked.approved:
                self.observe(
                    f"the study '{asked.study.name}' waits for your approval: "
                    f"irene-client approve {asked.fingerprint[:12]} {self.site_file}"
                )
            self._known.add(asked.fingerprint)
        self.tell_clock(kept(node_folder(self.site)))
        self._end_silent()

    def tell_clock(self, reading: Reading | None) -> None:
        """Say and note when this machine's clock is found wrong, or right again."""
        if reading is None or (self._clock is not None and _alike(reading, self._clock)):
            return
        before, self._clock = self._clock, reading
        if not reading.complaint and (before is None or not before.complaint):
            return
        self.observe(reading.complaint or "this machine's clock is right again")
        with contextlib.suppress(IreneError, OSError):  # the next thing that must be noted will say
            self._consent.journal.append(
                "clock wrong" if reading.complaint else "clock right",
                who=user(),
                seconds_behind=round(reading.offset),
                certificate=reading.trouble,
            )

    def _end_silent(self) -> None:
        """Kill what gives no sign of life; the supervisor starts it again."""
        folder = node_folder(self.site)
        processes = running(folder)
        for name, patience_s in PATIENCE_S.items():
            pulse = pulse_of(folder, name)
            silent = pulse.silent_s()
            if silent is None or silent < patience_s or name not in processes:
                continue
            if processes[name].alive:
                self.observe(f"{name}: no sign of life for {silent:.0f} s; starting it again")
                with contextlib.suppress(ProcessLookupError):
                    os.kill(processes[name].pid, signal.SIGKILL)
            pulse.beat()

    def _requests(self) -> list[Asked]:
        """What cannot be read is told, and ends no node: it answers "failed" by itself."""
        try:
            return self._consent.requests()
        except IreneError as error:
            if str(error) != self._complaint:
                self._complaint = str(error)
                self.observe(self._complaint)
            return []

    def _new_lines(self) -> list[str]:
        """Whole lines since the last look; a log that was put aside is read from its beginning."""
        try:
            log = log_file(self.site)
            size = log.stat().st_size
            if size < self._offset:
                self._offset = 0
            with log.open("rb") as file:
                file.seek(self._offset)
                text = file.read(size - self._offset)
        except OSError:
            return []
        whole = text[: text.rfind(b"\n") + 1]
        self._offset += len(whole)
        return whole.decode("utf-8", "replace").splitlines()


def _alike(one: Reading, other: Reading) -> bool:
    """Whether nothing new is to be said: a clock drifts, and readings are not exact."""
    moved = abs(one.offset - other.offset)
    same = (one.trouble, bool(one.complaint)) == (other.trouble, bool(other.complaint))
    return same and moved <= max(10.0, 0.2 * abs(other.offset))
