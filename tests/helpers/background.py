"""Processes that a test starts beside itself, in one folder; none of them outlives it."""

import contextlib
import os
import signal
import subprocess
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path

from server.coordinator.services import QUIET

_STOP_S = 60


@dataclass(kw_only=True)
class Background:
    """What runs in `folder`, where each process writes into NAME.out."""

    folder: Path
    processes: list[subprocess.Popen[bytes]] = field(default_factory=list)

    def start_process(self, name: str, *command: str, **variables: str) -> subprocess.Popen[bytes]:
        """A process of a session of its own, with `variables` beside this one's environment."""
        with (self.folder / f"{name}.out").open("wb") as out:
            process = subprocess.Popen(
                command,
                cwd=self.folder,
                env={**os.environ, **QUIET, "OMP_NUM_THREADS": "1", **variables},
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        self.processes.append(process)
        return process

    def said(self, name: str) -> str:
        """The output of a process so far."""
        return (self.folder / f"{name}.out").read_text(errors="replace")

    def logs_beside(self) -> Iterable[Path]:
        """Files whose ends are told where something is waited for in vain."""
        return ()

    def logs(self) -> str:
        """The ends of all outputs and logs."""
        files = [*self.folder.glob("*.out"), *self.logs_beside()]
        return "\n".join(f"--- {f}\n{f.read_text(errors='replace')[-3000:]}" for f in files)

    def wait(self, what: str, until: Callable[[], object], limit_s: float) -> None:
        """Until `until` is true; the logs' ends are in the failure."""
        deadline = time.monotonic() + limit_s
        while not until():
            assert time.monotonic() < deadline, f"waited in vain for {what}\n{self.logs()}"
            time.sleep(0.1)

    def end(self) -> None:
        """Nothing may outlive the test."""
        for number in (signal.SIGTERM, signal.SIGKILL):
            for process in self.processes:
                with contextlib.suppress(ProcessLookupError):
                    os.killpg(process.pid, number)
            for process in self.processes:
                with contextlib.suppress(subprocess.TimeoutExpired):
                    process.wait(_STOP_S)
