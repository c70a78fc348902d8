"""A coordinator's folder in the middle of a run: four sites, each with a fate of its own."""

import json
from collections.abc import Mapping
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import yaml

from irene_model.study.study import Study
from tests.helpers.small_scenario import SCENARIO

HOSTILE = "<img src=x onerror=alert(1)>"
SITES = ("east", "north", "south", "west")


def write_place(folder: Path, *, now: datetime, done: int = 5, rounds: int = 12) -> Path:
    """A coordinator's folder with the run `first`, whose round `done` ended a minute ago.

    A round takes ten minutes. West is enrolled and comes in round 3; south waits for its people
    from round 4 on, with a hostile reason; east is late to reply in every other round.
    """
    run = folder / "runs" / "first"
    run.mkdir(parents=True)
    begun = now - timedelta(minutes=10 * done + 1)
    study = Study.model_validate(
        SCENARIO["study"] | {"federation": {**SCENARIO["study"]["federation"], "rounds": rounds}}
    )
    (run / "study.yaml").write_text(yaml.safe_dump(study.model_dump(mode="json")))
    write_info(run, started=begun.isoformat(timespec="seconds"))
    lines = [_line(n, begun + timedelta(minutes=10 * (n - 1))) for n in range(1, done + 1)]
    (run / "rounds.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    enrolled = {name: {"node_id": None, "key_sha256": "", "enrolled": ""} for name in SITES}
    (folder / "enrolled.json").write_text(json.dumps({"schema": 1, "sites": enrolled}))
    return run


def write_info(run: Path, **facts: Any) -> None:
    """run.json with `facts`."""
    info = {"schema": 1, "run": "ab" * 8, "arm": "federated-dp", "finished": None, **facts}
    (run / "run.json").write_text(json.dumps(info))


def _line(number: int, started: datetime) -> Mapping[str, Any]:
    noised = {"outcome": "updated", "reason": "", "seconds": 200.0, "bytes_up": 80_000}
    sites: dict[str, Any] = {"north": {**noised, "epsilon": 2.0 + number}}
    sites["east"] = {**noised, "epsilon": 1.0 + number}
    if number % 2 == 0:
        sites["east"] = {"outcome": "missing", "reason": "no reply before the deadline"}
    sites["south"] = {**noised, "epsilon": 3.0 + number / 2}
    if number > 3:
        sites["south"] = {"outcome": "waiting", "reason": f"not approved {HOSTILE}"}
    if number > 2:
        sites["west"] = {
            "outcome": "refused",
            "reason": "the update's norm is too large",
        }
    auroc = 0.6 + 0.03 * number
    return {
        "round": number,
        "started": started.isoformat(timespec="seconds"),
        "seconds": 240.0,
        "sites": sites,
        "bytes_down": 320_000,
        "bytes_up": 160_000,
        "update_norm": 0.5 / number,
        "checkpoint": f"checkpoints/round-{number:04d}",
        "evaluation": {
            "loss": 0.7 - 0.02 * number,
            "auroc": auroc,
            "auroc_ci95": [auroc - 0.05, auroc + 0.04],
            "auprc": 0.3,
            "by_site": {"north": auroc + 0.01, "south": auroc - 0.02},
            "sites": {},
        },
    }
