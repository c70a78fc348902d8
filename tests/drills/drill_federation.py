"""The real federation that the drill disturbs: coordinator, gateway and hospitals' nodes.

Everything is started by the commands that people type. Each hospital reaches the gateway over a
line of its own, which can be cut.
"""

import contextlib
import json
import os
import signal
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from irene_model.operations.supervised import running
from tests.drills.drill_line import Line
from tests.helpers.federations.deployed import PATIENCE_S, Deployed
from tests.helpers.wrong_clock import HERE, WrongClock

CHECKOUT = Path(__file__).resolve().parents[2]


@dataclass(kw_only=True)
class Drill(Deployed):
    """A deployed federation with the drill's hand on lines, clocks and clients."""

    lines: dict[str, Line] = field(default_factory=dict)
    clocks: dict[str, WrongClock] = field(default_factory=dict)

    def enroll(self, name: str, *options: object) -> None:
        """As ever, with a line of its own and nothing planned."""
        self.lines[name] = Line(("127.0.0.1", self.coordinator.settings.port))
        self.plan(name)
        super().enroll(name, *options)

    def address(self, name: str) -> str:
        """The near end of its line."""
        return self.lines[name].address

    def variables(self, name: str) -> dict[str, str]:
        """The drill's hand on its client and on its clock."""
        hand = [str(CHECKOUT / "tests" / "drills" / "hand"), str(CHECKOUT)]
        return {
            "IRENE_DRILL_PLAN": str(self._plan_file(name)),
            "PYTHONPATH": os.pathsep.join(hand),
            **self._clock(name),
        }

    def set_clock(self, name: str, shift_s: int) -> None:
        """Set the clock of `name`'s node, and of all that it starts, off by so many seconds."""
        if name in self.clocks:
            self.clocks[name].set(shift_s)

    def run_folder(self, run: str) -> Path:
        """Where a run of the coordinator lies."""
        return self.coordinator.runs / run

    def plan(
        self, name: str, *, spoil: Mapping[int, str] | None = None, slowness: float = 1
    ) -> None:
        """What `name`'s client does from now on; see `tests.drills.drill_client`."""
        notes = self.notes(name)
        notes.mkdir(exist_ok=True)
        plan = {"notes": str(notes), "spoil": dict(spoil or {}), "slowness": slowness}
        work = self._plan_file(name).with_suffix(".partial")
        work.write_text(json.dumps(plan))
        work.replace(self._plan_file(name))

    def notes(self, name: str) -> Path:
        """The updates that left `name`."""
        return self.sites[name].parent / "notes"

    def kill_service(self, name: str) -> None:
        """kill -9 of one of the coordinator's services."""
        os.kill(running(self.coordinator.state)[name].pid, signal.SIGKILL)

    def kill_node(self, name: str) -> None:
        """kill -9 of a hospital's SuperNode."""
        os.kill(running(self.node(name))["supernode"].pid, signal.SIGKILL)

    def kill_superexec(self, name: str) -> None:
        """kill -9 of what starts a hospital's client."""
        os.kill(running(self.node(name))["superexec"].pid, signal.SIGKILL)

    def kill_server_app(self) -> None:
        """kill -9 of the process that runs the round loop."""
        self._kill_when_there("server.serverapp", str(self.coordinator.path))

    def kill_client(self, name: str) -> None:
        """kill -9 of a hospital's client at its work."""
        self._kill_when_there("client.trainer.trainer", str(self._plan_file(name)))

    def end(self) -> None:
        """Nothing may outlive the drill."""
        super().end()
        for line in self.lines.values():
            line.close()

    def _plan_file(self, name: str) -> Path:
        return self.sites[name].parent / "plan.json"

    def _clock(self, name: str) -> dict[str, str]:
        """Where there is no compiler, clocks stay right."""
        if not HERE:
            return {}
        self.clocks[name] = WrongClock(folder=self.sites[name].parent / "clock")
        return self.clocks[name].environment

    def _kill_when_there(self, *words: str) -> None:
        def kill() -> bool:
            for pid in _processes_with(*words):
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
                    return True
            return False

        self.wait(f"a process of {words[0]}", kill, PATIENCE_S)


def _processes_with(*words: str) -> Iterator[int]:
    """Processes whose command line and environment hold all `words`, the command line the first."""
    for folder in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            line = (folder / "cmdline").read_bytes()
            both = line + (folder / "environ").read_bytes()
            if words[0].encode() in line and all(word.encode() in both for word in words):
                yield int(folder.name)
