"""Flower's SuperNode, in a process that starts no program and ends when its main thread does.

Flower's own program can go on without it: a port that is taken, or an answer of the server that
it does not expect, ends its work, and the thread of its local API keeps the process alive for
ever, connected to nothing. A process that ends is started again.

It reads the coordinator's clock before it connects and every minute, and signs that time.
"""

import argparse
import logging
import os
import sys
import threading
import time
from dataclasses import dataclass, field
from pathlib import Path

from client.gateway import Reading, keep, keep_time, quicken, read_clock
from client.node.ending import run_and_end
from client.node.launch import forbid_programs
from client.node.pulse import Pulse, pulse_of

NAME = "supernode"
PROXY = "HTTPS_PROXY"
"""The variable by which this process, and no other of the node, is told its way out."""
_LOOK_S, _AGAIN_S = 60.0, 10.0
_log = logging.getLogger(__name__)


@dataclass(kw_only=True)
class Timekeeper:
    """The coordinator's time, for all that the SuperNode dates and signs."""

    folder: Path
    server: str
    ca: Path
    proxy: str | None
    pulse: Pulse
    _reading: Reading | None = field(default=None, init=False)
    _looked: float = field(default=float("-inf"), init=False)

    def look(self) -> None:
        """Read the coordinator's clock; where that fails, what was read last still holds."""
        self._looked = time.monotonic()
        reading = read_clock(self.server, self.ca, self.proxy)
        if reading is not None:
            self._reading = reading
            keep(self.folder, reading)

    def now(self) -> float:
        """The coordinator's time; this machine's as long as nothing could be read."""
        return time.time() if self._reading is None else self._reading.now()

    def sign(self) -> float:
        """`now` for a request that is about to leave, which is a sign of life.

        If the clock was set since the last look, or there was none, it looks first.
        """
        self.pulse.beat()
        lost = self._reading is None or self._reading.stale
        if lost and time.monotonic() - self._looked > _AGAIN_S:
            self.look()
        return self.now()

    def watch(self) -> None:
        """Look every minute, for ever, in a thread of its own."""

        def go_on() -> None:
            while True:
                time.sleep(_LOOK_S)
                self.look()

        threading.Thread(target=go_on, daemon=True).start()


def main() -> None:
    """Run the SuperNode with Flower's own arguments, after the node's folder; never returns."""
    run_and_end(_run, name="the SuperNode")


def _run() -> None:
    folder = Path(sys.argv.pop(1))
    timekeeper = _timekeeper(folder)
    forbid_programs()
    keep(folder, None)  # of an earlier start, whose monotonic clock may be another boot's
    timekeeper.look()
    timekeeper.watch()
    keep_time(timekeeper.now, sign=timekeeper.sign)
    from flwr.supernode.cli import flower_supernode

    quicken()
    flower_supernode()


def _timekeeper(folder: Path) -> Timekeeper:
    """With Flower's own arguments for the way to the coordinator."""
    parser = argparse.ArgumentParser(add_help=False, allow_abbrev=False)
    parser.add_argument("--superlink", default="")
    parser.add_argument("--root-certificates", type=Path, default=Path())
    known, _ = parser.parse_known_args()
    return Timekeeper(
        folder=folder,
        server=known.superlink,
        ca=known.root_certificates,
        proxy=os.environ.get(PROXY),
        pulse=pulse_of(folder, NAME),
    )


if __name__ == "__main__":
    main()
