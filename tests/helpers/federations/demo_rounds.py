"""The demo's study with few patients, in whose rounds all but nothing is training."""

from pathlib import Path

from simulations.hospitals.scenario import Scenario

DEMO = Path(__file__).resolve().parents[3] / "simulations" / "scenarios" / "demo.yaml"


def demo_rounds(rounds: int, *, patients: int = 600) -> Scenario:
    """The demo's model, strategy and four hospitals, each of which hides by itself."""
    return Scenario.read(
        DEMO,
        [
            f"federation.rounds={rounds}",
            "federation.minimum_sites=4",
            "federation.secure=null",
            f"cohort.patients={patients}",
            "training.expected_batch=32",
        ],
    )
