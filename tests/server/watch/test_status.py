"""What the coordinator's status says is broken, what it only warns of, and how it is shown."""

import json
import os
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from io import StringIO
from pathlib import Path

import pytest
from rich.console import Console

from irene_model.console.durations import ago, span
from irene_model.operations.health import keeps_ending
from irene_model.operations.supervised import Running
from server.coordinator.coordinator import Coordinator, CoordinatorSettings, Loopback
from server.watch.live_page import render_page
from server.watch.run_progress import read_progress
from server.watch.status import SiteStatus, Status
from server.watch.status_survey import survey
from server.watch.status_view import show
from server.watch.verdict import judged
from tests.helpers.watched_run import SITES, write_info, write_place

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
NAMES = ("superlink", "superexec", "gateway", "web")


def _process(*, alive: bool = True, restarts: int = 0, age_s: float = 3600) -> Running:
    started = (NOW - timedelta(seconds=age_s)).isoformat(timespec="seconds")
    return Running(pid=4000, started=started, restarts=restarts, born="1", alive=alive)


@pytest.fixture
def healthy(tmp_path: Path) -> Status:
    """All runs, and so do four sites, whose newest round went well."""
    folder = write_place(tmp_path, now=NOW, done=1)
    for file in folder.iterdir():
        os.utime(file, (NOW.timestamp(),) * 2)
    run = read_progress(folder, now=NOW, expected=("north",))
    parts = {site.name: site for site in run.sites}
    sites = [
        SiteStatus(name=name, online=True, last_seen=NOW, part=parts.get(name)) for name in SITES
    ]
    return Status(
        place="federation",
        at=NOW,
        supervisor=4000,
        processes={name: _process() for name in NAMES},
        health={"superlink": "serving", "superexec": "serving"},
        gateway="serving",
        address="gateway.example.org:8443",
        certificate_days=700.0,
        sites=tuple(sites),
        runs=(run,),
        flower=None,
    )


def test_where_all_is_well_there_is_nothing_to_say(healthy: Status) -> None:
    status = judged(healthy)
    assert (status.problems, status.warnings, status.well) == ((), (), True)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"supervisor": None}, "not started: irene-server start federation"),
        ({"processes": {"web": _process(alive=False)}}, "web: has ended"),
        ({"processes": {"web": _process(restarts=3, age_s=9)}}, "web: keeps ending, 3 restarts"),
        ({"health": {"superlink": "unreachable"}}, "superlink: unreachable"),
        ({"gateway": "not trusted by its CA"}, "gateway.example.org:8443 is not trusted"),
        ({"certificate_days": -1.0}, "irene-server renew federation"),
        ({"flower": "finished:failed out of memory"}, "out of memory); go on with irene-server"),
    ],
)
def test_what_is_broken_is_a_problem_with_its_remedy(
    healthy: Status, change: dict[str, object], said: str
) -> None:
    status = judged(replace(healthy, **change))  # type: ignore[arg-type]
    assert len(status.problems) == 1 and said in status.problems[0]
    assert not status.well


def test_a_run_without_news_is_a_problem(healthy: Status) -> None:
    silent = replace(healthy.runs[0], state="silent")
    assert "no news" in judged(replace(healthy, runs=(silent,))).problems[0]


def test_a_lost_round_and_a_wait_before_the_first_round_are_told(
    healthy: Status, tmp_path: Path
) -> None:
    folder = write_place(tmp_path / "later", now=NOW, done=0)
    away = {"outcome": "absent", "reason": "", "since": "2026-02-28T08:00:00+00:00"}
    told = {"round": 1, "attempts": 0, "since": away["since"], "sites": {"south": away}}
    write_info(folder, started=NOW.isoformat(), waiting=told, lost_rounds=[7])
    for file in folder.iterdir():
        os.utime(file, (NOW.timestamp(),) * 2)
    run = read_progress(folder, now=NOW)
    status = judged(replace(healthy, runs=(run,)))
    assert status.well and run.state == "waiting"
    assert status.warnings[0].startswith("run first: lost round 7: the checkpoints were damaged")
    assert status.warnings[1] == (
        "run first: round 1 has not begun since 2026-02-28T08:00:00+00:00; it waits for south "
        "(absent since 2026-02-28T08:00:00+00:00)"
    )
    assert status.as_json()["runs"][0]["lost_rounds"] == [7]


def test_a_cancelled_run_is_no_problem(healthy: Status, tmp_path: Path) -> None:
    folder = write_place(tmp_path / "later", now=NOW, done=2)
    (folder / "cancelled.json").write_text('{"who": "anna", "time": "2026-03-01T11:00:00+00:00"}')
    run = read_progress(folder, now=NOW)
    assert (run.state, run.detail) == ("cancelled", "by anna on 2026-03-01T11:00:00+00:00")
    status = judged(replace(healthy, runs=(run,)))
    assert status.well and not run.active
    assert "Cancelled" in render_page(run, [run], "") and "by anna" in render_page(run, [run], "")


def test_a_run_that_was_stopped_is_a_problem_and_one_that_ended_early_a_warning(
    healthy: Status,
) -> None:
    stopped = replace(healthy.runs[0], state="stopped", detail="no site evaluated")
    status = judged(replace(healthy, runs=(stopped,)))
    assert "stopped: no site evaluated; go on with" in status.problems[0]
    early = replace(stopped, state="finished", detail="too few sites have budget left")
    status = judged(replace(healthy, runs=(early,)))
    assert status.well and "ended early: too few" in status.warnings[0]


def test_sites_that_are_away_or_wait_are_warnings(healthy: Status, tmp_path: Path) -> None:
    folder = write_place(tmp_path / "later", now=NOW, done=4)
    run = read_progress(folder, now=NOW)
    away = replace(healthy.sites[0], online=False)
    status = judged(replace(healthy, runs=(run,), sites=(away, *healthy.sites[1:])))
    assert status.well
    assert any(w.startswith("site south: waiting, not approved") for w in status.warnings)
    assert "site east: missing, no reply before the deadline" in status.warnings
    assert "not connected: east" in status.warnings
    soon = judged(replace(healthy, certificate_days=12.4))
    assert soon.well and "ends in 12 days" in soon.warnings[0]


def test_the_json_is_json_and_says_what_monitoring_asks_for(healthy: Status) -> None:
    document = json.loads(json.dumps(judged(healthy).as_json(), allow_nan=False))
    assert document["well"] is True and document["problems"] == []
    assert document["processes"]["superlink"]["health"] == "serving"
    assert document["sites"]["north"]["online"] is True
    (run,) = document["runs"]
    assert (run["round"], run["rounds"], run["state"]) == (1, 12, "running")
    assert run["sites"]["north"]["epsilon_left"] == pytest.approx(8 - 3.0)
    # Round 2 should have ended at 11:57: now, at the earliest, and ten rounds of 4 minutes follow.
    assert run["expected_end"] == "2026-03-01T12:40:00+00:00"


def test_the_terminal_names_sites_rounds_and_markup_is_text(
    healthy: Status, tmp_path: Path
) -> None:
    folder = write_place(tmp_path / "later", now=NOW, done=4)
    run = read_progress(folder, now=NOW)
    parts = {site.name: site for site in run.sites}
    sites = tuple(replace(site, part=parts[site.name]) for site in healthy.sites)
    screen = StringIO()
    console = Console(file=screen, width=120)
    status = replace(healthy, runs=(run,), sites=sites, place="a[bold]b")
    show(judged(status), console)
    shown = screen.getvalue()
    assert "✓ everything runs" in shown and "round 4 of 12" in shown
    assert "✓○✓○ missing" in shown and "✓✓✓… waiting" in shown
    assert "<img src=x" in shown


def test_a_folder_that_was_never_started(tmp_path: Path) -> None:
    ports = Loopback(superlink=39181, superlink_health=39182, superexec_health=39183, web=39184)
    made = Coordinator.create(
        tmp_path / "federation",
        CoordinatorSettings(hosts=("localhost",), port=39180, loopback=ports),
    )
    status = survey(made)
    assert status.supervisor is None and not status.well
    assert status.gateway == "not there: nothing listens on the port"
    assert status.health["superlink"] == "unreachable"
    assert status.certificate_days == pytest.approx(730, abs=1)
    (made.path / "journal.jsonl").write_text("{}\n")
    assert any("journal.jsonl" in problem for problem in survey(made).problems)


def test_a_process_that_keeps_ending() -> None:
    assert keeps_ending(_process(restarts=3, age_s=5), NOW)
    assert not keeps_ending(_process(restarts=3, age_s=61), NOW)
    assert not keeps_ending(_process(restarts=1, age_s=5), NOW)


def test_durations_in_words() -> None:
    assert [span(s) for s in (0, 99, 600, 7200, 18_000, 400_000)] == [
        "0 s",
        "99 s",
        "10 min",
        "2.0 h",
        "5.0 h",
        "5 days",
    ]
    assert ago(NOW, NOW) == "now" and ago(NOW - timedelta(minutes=5), NOW) == "5 min ago"
