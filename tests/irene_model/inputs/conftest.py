"""A tiny text encoder, and a hospital of a study that has it."""

from pathlib import Path

import pytest

from tests.helpers.hospital_folder import HospitalFolder
from tests.helpers.text_encoders import (
    text_of,
    write_tiny,
)


@pytest.fixture
def tiny(tmp_path: Path) -> Path:
    return write_tiny(tmp_path / "tiny")


@pytest.fixture
def with_encoder(hospital: HospitalFolder, tiny: Path) -> HospitalFolder:
    """A hospital of a study with a frozen encoder."""
    hospital.configure("text", text_of(tiny), "study.yaml")
    hospital.configure("encoders", {"enc": str(tiny)})
    return hospital
