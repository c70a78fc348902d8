"""Fixtures that several test files share."""

from pathlib import Path

import pytest
from hypothesis import settings

from tests.helpers.hospital_folder import SMALL, HospitalFolder, write_hospital


def pytest_configure(config: pytest.Config) -> None:
    """Flower pins a Typer that imports what newer Clicks deprecate; neither is ours to mend."""
    config.addinivalue_line("filterwarnings", "ignore:'click.:DeprecationWarning")


# Real federations take minutes and mostly wait: they begin first, so that none is left for the end.
_FEDERATIONS = (
    "test_node_life.py",
    "test_coordination.py",
    "test_federation_drill.py",
    "test_deployment.py",
    "test_secure_federation.py",
    "test_run.py",
)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Files that run long come first."""
    items.sort(key=lambda item: item.path.name not in _FEDERATIONS)


# How long one example takes is the machine's affair: a busy one would fail a test that is right.
settings.register_profile("patient", deadline=None)
settings.load_profile("patient")


@pytest.fixture
def hospital(tmp_path: Path) -> HospitalFolder:
    """A small hospital's own folder, free to be damaged."""
    return write_hospital(tmp_path / "north")


@pytest.fixture
def small_model(hospital: HospitalFolder) -> None:
    """That hospital's study has a small model."""
    hospital.configure("model", SMALL, "study.yaml")
