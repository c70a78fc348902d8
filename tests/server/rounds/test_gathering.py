"""What a server takes up of the one before it."""

from typing import Any

import pytest

from server.rounds.gathering import Pending, _still_awaited

GOOD = {"site": "north", "round": 2, "until": 1e9}


def test_what_a_server_before_still_awaited_is_awaited() -> None:
    assert list(_still_awaited([GOOD])) == [Pending(sent=None, site="north", round=2, until=1e9)]


@pytest.mark.parametrize(
    "told",
    [None, {}, "x", [None], [{}], [GOOD | {"round": "2"}], [GOOD | {"site": 1}], [{"site": "a"}]],
)
def test_an_entry_that_no_server_wrote_ends_no_run(told: Any) -> None:
    assert list(_still_awaited(told)) == []
