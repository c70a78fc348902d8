"""A coordinator with two hospitals, at which nobody waits."""

from pathlib import Path

import pytest

from server.coordinator.coordinator import Coordinator
from server.coordinator.enrolment import EnrolledSite, Enrolment
from server.submission import following
from tests.helpers.coordinator_folder import new_coordinator


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody waits between two looks."""
    monkeypatch.setattr(following, "_LOOK_S", 0.0)
    monkeypatch.setattr(following, "_POLL_S", 0.0)


@pytest.fixture
def coordinator(tmp_path: Path) -> Coordinator:
    made = new_coordinator(tmp_path / "federation")
    site = EnrolledSite(node_id="1", key_sha256="0" * 64, enrolled="2026-01-01T00:00:00+00:00")
    Enrolment(sites={"north": site, "south": site}).write(made.enrolled)
    return made
