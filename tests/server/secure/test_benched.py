"""Who is left out, for how long, and who never comes back."""

from server.secure.benched import Benched

GONE = {"outcome": "missing", "reason": "no reply", "seconds": 3.0}
OVER = {"outcome": "declined", "reason": "over", "code": "budget"}


def test_each_time_it_is_twice_as_long() -> None:
    benched, cost = Benched(), []
    for round in range(1, 65):
        if "west" not in benched.resting(round):
            benched.note("west", round, GONE)
            cost.append(round)
    assert cost == [1, 2, 4, 8, 16, 32, 64]


def test_one_that_failed_once_is_back_in_the_next_round() -> None:
    benched = Benched()
    benched.note("west", 5, GONE)
    assert benched.resting(5) == {
        "west": {"outcome": "missing", "reason": "no reply", "asked": False}
    }
    assert benched.resting(6) == {}


def test_one_without_budget_stays_out() -> None:
    benched = Benched()
    benched.note("west", 1, OVER)
    benched.note("east", 1, GONE)
    assert benched.resting(900).keys() == benched.for_good().keys() == {"west"}


def test_a_server_that_is_started_anew_knows_it_from_the_lines() -> None:
    blamed = [{"outcome": "aborted", "blamed": {"west": "over"}}]
    rounds = [(3, {"secure": blamed, "sites": {"west": OVER}}), (4, {"sites": {}})]
    assert Benched(rounds).resting(9) == {
        "west": {"outcome": "declined", "reason": "over", "code": "budget", "asked": False}
    }
