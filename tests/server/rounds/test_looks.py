"""How often the server looks for replies: counted, over waits of every length."""

import pytest

from server.rounds.looks import Looks


def looked(looks: Looks, ready_s: float) -> tuple[int, float]:
    """Looks until the reply that is ready after `ready_s` is found, and when it is."""
    waited, count = 0.0, 1
    while waited < ready_s:
        waited += looks.pause_s(1, "train", waited)
        count += 1
    return count, waited


@pytest.mark.parametrize("ready_s", [0.05, 1.0, 7.0, 60.0, 3600.0])
def test_a_wait_is_lengthened_by_a_twentieth_at_most_and_few_look(ready_s: float) -> None:
    looks = Looks(least_s=0.1)
    unknown, found = looked(looks, ready_s)
    assert found <= 1.06 * ready_s + 0.1
    looks.found(1, "train", found)
    known, again = looked(looks, ready_s)
    assert again <= 1.06 * ready_s + 0.1
    assert known <= unknown
    if 1 <= ready_s <= 60:
        assert known <= 9  # five a second were 5 to 300


def test_nobody_looks_while_no_reply_can_be_there_but_whether_the_node_is() -> None:
    looks = Looks(least_s=0.1)
    for seconds in (40.0, 20.0, 400.0):
        looks.found(1, "train", seconds)
    assert looks.pause_s(1, "train", 5.0) == pytest.approx(0.75 * 20 - 5)
    assert looks.pause_s(1, "evaluate", 5.0) == pytest.approx(0.25)
    assert looks.pause_s(2, "train", 5.0) == pytest.approx(0.25)
    for _ in range(5):
        looks.found(1, "train", 7200.0)
    assert looks.pause_s(1, "train", 5.0) == 30.0


def test_looks_that_cost_nothing_are_as_often_as_they_are_wanted() -> None:
    looks = Looks(least_s=0.02, most_s=0.02)
    looks.found(1, "train", 100.0)
    assert {looks.pause_s(1, "train", waited) for waited in (0.0, 5.0, 500.0)} == {0.02}


def test_a_site_that_became_quick_is_soon_known_to_be() -> None:
    looks = Looks(least_s=0.1)
    for _ in range(5):
        looks.found(1, "train", 100.0)
    found = 100.0
    for _ in range(12):
        _, found = looked(looks, 5.0)
        looks.found(1, "train", found)
    assert found < 6
