"""A Flower that answers as a test wrote down, and a coordinator's first run."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from server.coordinator.control import Control, NodeStatus, RunStatus
from server.coordinator.coordinator import Coordinator
from server.submission.submission import Submission, new_run

RUNNING = RunStatus(status="running", details="")
COMPLETED = RunStatus(status="finished:completed", details="")
LOST = RunStatus(status="finished:failed", details="No heartbeat received from the task")
FAILED = RunStatus(
    status="finished:failed", details="ServerApp failed with exception: round 1: no site answers"
)
STOPPED = RunStatus(status="finished:stopped", details="")


class Flower(Control):
    """Gives out `answers` one by one, and does `between` before each."""

    def __init__(self, *answers: RunStatus | None) -> None:
        self.answers = list(answers)
        self.submitted: list[dict[str, str | int]] = []
        self.folder: Path | None = None
        self.stopped: list[str] = []
        self.asked: list[str] = []

    def submit(self, config: Mapping[str, str | int]) -> str:
        self.submitted.append(dict(config))
        return str(len(self.submitted))

    def stop(self, run_id: str) -> None:
        self.stopped.append(run_id)

    def nodes(self) -> dict[str, NodeStatus]:
        return {"1": NodeStatus(online=True, since=None)}

    def run(self, run_id: str) -> RunStatus | None:
        self.asked.append(run_id)
        if self.folder is not None:  # a round passes between two looks
            self.folder.mkdir(parents=True, exist_ok=True)
            (self.folder / "run.json").touch()
            with (self.folder / "rounds.jsonl").open("a") as file:
                count = (self.folder / "rounds.jsonl").read_text().count("\n")
                file.write(json.dumps({"round": count + 1}) + "\n")
        return self.answers.pop(0)


def first(coordinator: Coordinator, **options: Any) -> Submission:
    given = {"name": "first", "seed": 7, **options}
    return new_run(coordinator, coordinator.path / "study.yaml", **given)
