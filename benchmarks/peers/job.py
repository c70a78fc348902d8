"""The job that all peers do: hospitals with their records, and the numbers that all agree on.

It imports nothing that is heavy, so that a peer's own environment can read it.
"""

import json
import os
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

TOLD = "PEERS_TOLD"
"""Of the environment: the file that a job tells a line of facts, each round of each site."""


@dataclass(frozen=True, kw_only=True)
class Job:
    """One step a round at each of `sites`, over `rounds`.

    noise: its deviation over `clip`, the norm that each gradient is clipped to. batch: expected, of
    a site. records: of each site, to train on; most_records: the most of one patient there.
    rate_of_patients: with which this product draws each patient of the smallest site.
    """

    folder: str
    sites: int
    rounds: int
    batch: int
    noise: float
    clip: float
    delta: float
    records: list[int]
    most_records: int
    rate_of_patients: float

    def write(self) -> None:
        """As job.json of its folder."""
        (Path(self.folder) / "job.json").write_text(json.dumps(asdict(self)), encoding="utf-8")

    @classmethod
    def read(cls, folder: Path) -> "Job":
        """As it was written."""
        return cls(**json.loads((folder / "job.json").read_text(encoding="utf-8")))

    @property
    def facts(self) -> dict[str, Any]:
        """What it is, wherever it lay."""
        return {name: value for name, value in asdict(self).items() if name != "folder"}

    @property
    def study(self) -> Path:
        """The study that all of them train."""
        return Path(self.folder) / "study.yaml"

    def partition(self, site: int) -> Path:
        """The records of a site, from 0, as tensors that the model reads."""
        return Path(self.folder) / f"partition-{site:03d}.pt"


def tell(**facts: Any) -> None:
    """Append a line to the file that the benchmark reads; nothing where nobody measures."""
    if path := os.environ.get(TOLD):
        with Path(path).open("a", encoding="utf-8") as file:
            file.write(json.dumps(facts) + "\n")
