"""What the coordinator looks after by itself while it is started, one look every few seconds.

Hospitals that Flower does not know any more are registered again, and a run whose process was lost
goes on, whether somebody follows it or not. A process of its own, which the supervisor keeps alive.
"""

import logging
import signal
import sys
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from irene_model.console import configure_logging
from irene_model.errors import IreneError, UserError
from irene_model.operations import running
from server.coordinator import (
    Control,
    Coordinator,
    RunRecord,
    is_held,
    note_ended,
    read_records,
    restore,
    server_lock,
)
from server.submission.submission import executor
from server.submission.taking_up import handed_before, take_up

_log = logging.getLogger(__name__)
_LOOK_S = 5.0
_ASK_S = 60.0  # asking Flower costs a second of a core


@dataclass(kw_only=True)
class Keeper:
    """Looks after one coordinator's folder."""

    coordinator: Coordinator
    control: Control
    _restored: str = field(default="", init=False)  # in which SuperLink
    _asked: float = field(default=-_ASK_S, init=False)
    _complaints: dict[str, str] = field(default_factory=dict, init=False)

    def look(self) -> None:
        """One look; what fails is said once and tried again at the next."""
        superlink = running(self.coordinator.state).get("superlink")
        if superlink is None or not superlink.alive:
            return
        if self._restored != superlink.born and self._done(self._look_at_sites):
            self._restored = superlink.born
        self._done(self._look_at_runs)

    def _done(self, work: Callable[[], None]) -> bool:
        """Whether `work` need not be tried again now."""
        said = ""
        try:
            work()
        except (IreneError, OSError) as error:
            said = str(error)
            if said != self._complaints.get(work.__name__):
                _log.error("%s", said)
            return isinstance(error, UserError)
        finally:
            self._complaints[work.__name__] = said
        return True

    def _look_at_sites(self) -> None:
        for name in restore(self.coordinator, self.control):
            _log.warning("site %s is registered with Flower again", name)

    def _look_at_runs(self) -> None:
        records = [each for each in read_records(self.coordinator).values() if each.open]
        due = time.monotonic() - self._asked >= _ASK_S
        alive = executor(self.coordinator)
        for record in records:
            known = record.newest.executor
            replaced = bool(known and alive) and known != alive
            lives = is_held(server_lock(self.coordinator.runs / record.name))
            if replaced or (due and not lives):
                self._look_at(record, replaced=replaced)
        if due:
            self._asked = time.monotonic()

    def _look_at(self, record: RunRecord, *, replaced: bool) -> None:
        flower_run = record.newest.flower_run
        status = self.control.run(flower_run)
        if status is None:
            lost = "Flower does not know it any more"
        elif status.lost:
            lost = status.details
        elif replaced and not status.finished:
            lost = "SuperExec was started again"
        else:
            if status.finished:
                note_ended(self.coordinator, record.name, flower_run, status.status)
            return
        run = handed_before(self.coordinator, record)
        again = None
        if run is not None:
            again = take_up(self.coordinator, self.control, run, flower_run, lost=lost)
        if again is None:
            note_ended(self.coordinator, record.name, flower_run, f"lost: {lost}")
            _log.error("run %s: its process was lost (%s); it is given up", record.name, lost)
        elif again != flower_run:
            _log.warning("run %s: its process was lost (%s); it goes on", record.name, lost)


def main() -> None:
    """Look until a signal ends it, after the look that it came in."""
    ending = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: ending.set())
    configure_logging()
    coordinator = Coordinator.open(Path(sys.argv[1]))
    keeper = Keeper(coordinator=coordinator, control=Control(coordinator))
    while not ending.is_set():
        keeper.look()
        ending.wait(_LOOK_S)


if __name__ == "__main__":
    main()
