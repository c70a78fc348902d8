"""Fixtures that several test files share."""

from pathlib import Path

import pytest

from tests.hospital_folder import HospitalFolder, write_hospital


def pytest_configure(config: pytest.Config) -> None:
    """Flower pins a Typer that imports what newer Clicks deprecate; neither is ours to mend."""
    config.addinivalue_line("filterwarnings", "ignore:'click.:DeprecationWarning")


@pytest.fixture
def hospital(tmp_path: Path) -> HospitalFolder:
    """A small hospital's own folder, free to be damaged."""
    return write_hospital(tmp_path / "north")
