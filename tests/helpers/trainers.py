"""A node's folder with a real trainer, and this process in the place of its SuperExec."""

import json
import os
import subprocess
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from client.answers import Asked
from client.trainer.handover import hand_over
from client.trainer.parcels import Parcel
from client.trainer.program import command
from irene_model.exchange.protocol import Flat
from irene_model.exchange.requests import Request
from irene_model.journal.private_files import private_folder
from irene_model.operations.orphans import born
from tests.helpers.hospital_folder import HospitalFolder


def note_process(folder: Path, name: str, pid: int) -> None:
    """As the node's supervisor does when it has started a process."""
    facts = {"pid": pid, "started": "2026-01-01T00:00:00+00:00", "restarts": 0, "born": born(pid)}
    (folder / f"{name}.json").write_text(json.dumps(facts))


@dataclass(kw_only=True)
class KeptTrainer:
    """Started as the supervisor would, and started again where it ended."""

    hospital: HospitalFolder
    environment: dict[str, str] = field(default_factory=dict)
    process: subprocess.Popen[bytes] | None = None

    @property
    def folder(self) -> Path:
        return self.hospital.folder / ".irene" / "node"

    @property
    def log(self) -> str:
        return (self.folder / "trainer.log").read_text(errors="replace")

    def start(self) -> None:
        private_folder(self.folder)
        note_process(self.folder, "superexec", os.getpid())
        with (self.folder / "trainer.log").open("ab") as log:
            self.process = subprocess.Popen(
                command(self.folder), stdout=log, stderr=subprocess.STDOUT,
                env={**os.environ, "OMP_NUM_THREADS": "1", **self.environment},
            )  # fmt: skip
        note_process(self.folder, "trainer", self.process.pid)

    def ask(self, kind: str, request: Request, patience_s: float = 120.0) -> Flat:
        """Its answer; TrainerLost where there is none."""
        flat = request.to_flat()
        asked = Asked(kind=kind, created_at=time.time(), values=flat.values, arrays=flat.packed())
        config = {"site": str(self.hospital.site_file), "name": "north"}
        facts: dict[str, Any] = {
            "kind": kind, "created_at": asked.created_at, "waited_s": 0.0,
            "values": asked.values, "config": config,
        }  # fmt: skip
        question = Parcel(facts=facts, arrays=asked.arrays)
        answer = hand_over(self.folder, question, patience_s=patience_s)
        return Flat.unpacked(answer.arrays, answer.facts["values"])

    def memory(self) -> int:
        """Bytes in memory now."""
        assert self.process is not None
        pages = Path(f"/proc/{self.process.pid}/statm").read_text().split()[1]
        return int(pages) * os.sysconf("SC_PAGE_SIZE")

    def kept_open(self) -> int:
        """Files that it holds open."""
        assert self.process is not None
        return len(list(Path(f"/proc/{self.process.pid}/fd").iterdir()))

    def end(self) -> None:
        if self.process is not None:
            self.process.kill()
            self.process.wait()
