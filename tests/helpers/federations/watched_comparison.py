"""A comparison in this process, with what it tells written down."""

import json
from pathlib import Path
from typing import Any

from simulations.compare.comparison_run import compare
from simulations.compare.trial_grid import Trial, grid
from simulations.hospitals.scenario import Scenario

SMALL = (
    "cohort.patients=48",
    "cohort.sites=[{name: north}, {name: south}]",
    "federation.rounds=2",
    "federation.local_steps=1",
    "federation.round_deadline_s=600",
    "parallel_sites=1",  # each is a process of the engine, which imports torch anew
)
ARMS = ["central", "local"]


class Watching:
    """Writes down what a comparison tells."""

    def __init__(self) -> None:
        self.rows: list[tuple[int, str, int, int]] = []
        self.drawn = 0

    def hospitals(self, done: int, total: int) -> None:
        self.drawn += done == total

    def trials(self, total: int) -> None:
        self.total = total

    def trial(self, trial: Trial, result: dict[str, Any], done: int, total: int) -> None:
        assert result["seed"] == trial.seed and result["model"] == trial.model
        assert total == self.total
        self.rows.append((trial.seed, trial.row, done, total))


def run(
    scenario: Scenario, out: Path, *, arms: list[str] = ARMS, seeds: int = 2, parallel: int = 1
) -> tuple[dict[str, Any], Watching]:
    watching = Watching()
    trials = grid(scenario, arms=arms, seeds=seeds)
    results = compare(scenario, trials, out, parallel=parallel, observer=watching)
    assert json.loads((out / "results.json").read_text()) == results
    return results, watching


def stamps(out: Path) -> dict[str, int]:
    return {str(p.relative_to(out)): p.stat().st_mtime_ns for p in out.glob("seed-*/*/*/*.json")}
