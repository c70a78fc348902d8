"""What tests of a run share."""

import pytest

from tests.helpers.federations.hurry import hurry


@pytest.fixture
def hurried(monkeypatch: pytest.MonkeyPatch) -> None:
    """Minutes of a real federation in tenths of seconds."""
    hurry(monkeypatch)
