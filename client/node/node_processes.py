"""The node's processes as they stand: which lives, which answers, which still does its work."""

import math
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from client.gateway import Connection, log_file, node_folder
from client.node.pulse import pulse_of
from client.node.watch import PATIENCE_S
from client.site import Site
from client.trainer import answers
from irene_model.operations import Health, Running, keeps_ending, probe, running

DOES = {
    "supernode": "connects to the coordinator",
    "superexec": "hands each message to your client",
    "trainer": "answers messages and trains",
}
"""The processes in the order of their start: the second ends with the first."""


@dataclass(frozen=True, kw_only=True)
class NodeProcess:
    """One process. running: None before its first start. silent_s: since its last sign of life."""

    name: str
    log: Path
    running: Running | None
    health: Health | None
    silent_s: float | None

    def problem(self, now: datetime) -> str:
        """What is wrong with it, and what to do; "" for nothing."""
        process, what = self.running, f"{self.name}, which {DOES[self.name]},"
        if process is None or not process.alive:
            return f"{what} has ended and is being started again; see {self.log}"
        if keeps_ending(process, now):
            return f"{what} keeps ending, {process.restarts} restarts; see {self.log}"
        again = "it is started again by itself; if that does not help, stop and start the node"
        if self.health != "serving":
            return f"{what} is {self.health}: {again}; see {self.log}"
        patience_s = PATIENCE_S.get(self.name, math.inf)
        if self.silent_s is not None and self.silent_s > patience_s / 2:
            return f"{what} gave no sign of life for {self.silent_s:.0f} s: {again}; see {self.log}"
        return ""

    def as_json(self) -> dict[str, Any]:
        """Plain values."""
        process = self.running
        facts = {} if process is None else {
            "alive": process.alive,
            "pid": process.pid,
            "started": process.started,
            "restarts": process.restarts,
        }  # fmt: skip
        return {**facts, "health": self.health, "silent_s": self.silent_s}


def node_processes(site: Site, connection: Connection | None) -> tuple[NodeProcess, ...]:
    """All of them, each asked for its health."""
    folder = node_folder(site)
    known = running(folder)
    health: dict[str, Health] = {}
    if connection is not None:
        health = {
            "supernode": probe(connection.health),
            "superexec": probe(connection.superexec_health),
            "trainer": answers(folder),
        }
    return tuple(
        NodeProcess(
            name=name,
            log=log_file(site, name),
            running=known.get(name),
            health=health.get(name),
            silent_s=pulse_of(folder, name).silent_s(),
        )
        for name in DOES
    )
