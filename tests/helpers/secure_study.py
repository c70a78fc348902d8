"""A study with secure sums, as the others of the tests but for what these ask for."""

from typing import Any

from irene_model.study.study import Study
from tests.helpers.hospital_folder import SMALL, STUDY

SECURE: dict[str, Any] = {
    **STUDY,
    "model": SMALL,
    "training": {"expected_batch": 40, "optimizer": "sgd"},
    "privacy": {"epsilon": 4.0, "delta": 1e-5},
    "federation": {
        "rounds": 30, "local_steps": 1, "minimum_sites": 5, "strategy": "fedadam",
        "secure": {"colluding": 2, "patients": 800},
    },
}  # fmt: skip


def secure_study(
    secure: dict[str, Any] | None = None, federation: dict[str, Any] | None = None, **parts: Any
) -> Study:
    """`SECURE` with keys of some sections replaced."""
    asked = {**SECURE["federation"], **(federation or {})}
    asked["secure"] = {**asked["secure"], **(secure or {})}
    return Study.model_validate({**SECURE, "federation": asked, **parts})
