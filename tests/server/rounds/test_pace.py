"""A site's time follows from its own history, and never goes beyond the study's deadline."""

from server.rounds.pace import Pace


def line(**seconds: float) -> dict[str, object]:
    return {"sites": {site: {"outcome": "updated", "waited_s": s} for site, s in seconds.items()}}


def test_a_new_site_gets_the_whole_deadline() -> None:
    assert Pace([], deadline_s=3600).patience_s("north") == 3600


def test_a_known_site_gets_a_minute_more_than_three_times_its_slowest() -> None:
    pace = Pace([line(north=10), line(north=20, south=500), line(south=2000)], deadline_s=3600)
    assert pace.patience_s("north") == 120
    assert pace.patience_s("south") == 3600
    for _ in range(5):
        pace.took("south", 40)
    assert pace.patience_s("south") == 180  # it has become fast: the slow rounds are forgotten


def test_a_reply_is_overdue_well_before_the_site_has_had_its_time() -> None:
    pace = Pace([line(north=10), line(north=20)], deadline_s=3600)
    assert pace.overdue_s("north") == 45
    assert pace.overdue_s("north") < pace.patience_s("north")
    assert pace.overdue_s("never seen") == 1800


def test_a_late_reply_teaches_how_long_its_site_takes() -> None:
    late = {"site": "north", "round": 1, "outcome": "discarded", "waited_s": 700.0}
    pace = Pace([line(north=10), {"sites": {}, "late": [late]}], deadline_s=3600)
    assert pace.patience_s("north") == 2160
