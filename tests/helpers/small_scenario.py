"""A scenario that is small in every way: a few patients, tiny radiographs, a tiny model."""

from pathlib import Path
from typing import Any

import yaml

from simulations.hospitals.scenario import Scenario

SCENARIO: dict[str, Any] = {
    "study": {
        "name": "small",
        "labels": ["pneumonia", "pleural_effusion"],
        "image": {"size": 16, "patch": 8},
        "text": {"max_tokens": 6, "width": 8},
        "labs": [
            {"name": "crp", "loinc": "1988-5", "unit": "mg/L", "low": 0, "high": 5},
            {"name": "haemoglobin", "loinc": "718-7", "unit": "g/dL", "low": 12, "high": 17},
            {"name": "albumin", "loinc": "1751-7", "unit": "g/L", "low": 35, "high": 50},
            {"name": "arterial_po2", "loinc": "2703-7", "unit": "mm[Hg]", "low": 75, "high": 100},
        ],
        "model": {
            "preset": "tiny",
            "hidden_size": 16,
            "num_hidden_layers": 2,
            "num_bidirectional_layers": 1,
            "num_attention_heads": 2,
            "intermediate_size": 16,
        },
        "training": {"expected_batch": 8, "learning_rate": 0.002},
        "federation": {"rounds": 3, "local_steps": 2, "minimum_sites": 2, "round_deadline_s": 60},
        "privacy": {"clip_norm": 1.0, "epsilon": 8, "delta": 1.0e-3},
    },
    "cohort": {
        "patients": 80,
        "image_pixels": 32,
        "sites": [{"name": "north"}, {"name": "south"}, {"name": "east"}, {"name": "west"}],
    },
}


def write_scenario(folder: Path) -> Path:
    """The scenario as a file."""
    path = folder / "scenario.yaml"
    path.write_text(yaml.safe_dump(SCENARIO), encoding="utf-8")
    return path


def small_scenario(folder: Path, *overrides: str) -> Scenario:
    """The scenario with `overrides`, as `--set` gives them; `folder` keeps its file."""
    folder.mkdir(parents=True, exist_ok=True)
    return Scenario.read(write_scenario(folder), overrides)
