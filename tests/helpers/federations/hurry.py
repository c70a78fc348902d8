"""Minutes of a real federation in tenths of seconds."""

from functools import partial

import pytest

from server.evaluation.evaluation import pool


def hurry(patch: pytest.MonkeyPatch) -> None:
    """Shorten every wait of a round, and draw few replicates for intervals that nobody looks at.

    Modules are named, for a conftest imports no Flower.
    """
    patch.setattr("server.rounds.pace._FLOOR_S", 0.1)
    patch.setattr("server.rounds.exchange._LOOK_S", 0.0)
    patch.setattr("server.rounds.exchange._GONE_S", 0.05)
    patch.setattr("server.rounds.round_loop._FIRST_PAUSE_S", 0.01)
    patch.setattr("server.rounds.metrics_replies.pool", partial(pool, replicates=20))
