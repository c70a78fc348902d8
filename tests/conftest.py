"""Fixtures that several test files share."""

from pathlib import Path

import pytest
from hypothesis import settings

from tests.helpers.hospital_folder import SMALL, HospitalFolder, write_hospital


def pytest_configure(config: pytest.Config) -> None:
    """Flower pins a Typer that imports what newer Clicks deprecate; neither is ours to mend."""
    config.addinivalue_line("filterwarnings", "ignore:'click.:DeprecationWarning")


# The longest first, so that none is left for the end. Federations mostly wait and simulations
# compute: side by side they share the cores, which federations among themselves leave idle.
_LONGEST = (
    "test_node_attacks.py",
    "test_coordination.py",
    "test_sum_audit.py",
    "test_run.py",
    "test_secure_federation.py",
    "test_comparison_command.py",
    "test_federation_drill.py",
    "test_audit.py",
    "test_deployment.py",
    "test_peers.py",
    "test_node_life.py",
    "test_run_command.py",
    "test_kill_drill.py",
    "test_secure_run.py",
)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Files that run long come first, then others with a slow test, then the many quick ones."""
    slow = {item.path for item in items if item.get_closest_marker("slow")}

    def place(item: pytest.Item) -> int:
        if item.path.name in _LONGEST and item.path in slow:
            return _LONGEST.index(item.path.name)
        return len(_LONGEST) + (item.path not in slow)

    items.sort(key=place)


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
