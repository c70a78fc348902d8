"""Minutes of a real federation in tenths of seconds."""

import pytest


@pytest.fixture
def hurried(monkeypatch: pytest.MonkeyPatch) -> None:
    """No long waits; modules are named, since pytest reads this file before its own settings."""
    monkeypatch.setattr("server.rounds.pace._FLOOR_S", 0.1)
    monkeypatch.setattr("server.rounds.exchange._LOOK_S", 0.0)
    monkeypatch.setattr("server.rounds.exchange._GONE_S", 0.05)
    monkeypatch.setattr("server.rounds.round_loop._FIRST_PAUSE_S", 0.01)
