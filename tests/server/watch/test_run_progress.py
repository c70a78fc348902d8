"""A run is told from its folder alone, in the middle of a round and of a write."""

import json
import os
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from server.watch.run_progress import (
    RunProgress,
    enrolled_names,
    read_progress,
    run_folders,
    seconds_a_round,
)
from tests.helpers.watched_run import SITES, write_info, write_place

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)


@pytest.fixture
def place(tmp_path: Path) -> Path:
    write_place(tmp_path, now=NOW)
    _touch(tmp_path / "runs" / "first", NOW)
    return tmp_path


def _touch(run: Path, when: datetime) -> None:
    for file in run.iterdir():
        os.utime(file, (when.timestamp(),) * 2)


def test_a_run_that_goes_on_names_rounds_sites_and_its_end(place: Path) -> None:
    run = read_progress(place / "runs" / "first", now=NOW, expected=enrolled_names(place))
    assert (run.state, run.done, run.rounds, run.active) == ("running", 5, 12, True)
    assert [site.name for site in run.sites] == list(SITES)
    # Round 5 began 11 minutes ago and trained for 4; the pace of 10 minutes holds for 7 more.
    assert run.seconds_a_round == 600.0
    assert run.expected_end == NOW + timedelta(minutes=3 + 60)
    assert run.asked_epsilon == 8


def test_last_seen_is_the_last_round_that_a_site_answered_in(place: Path) -> None:
    run = read_progress(place / "runs" / "first", now=NOW)
    by_name = {site.name: site for site in run.sites}
    newest = NOW - timedelta(minutes=11) + timedelta(minutes=4)
    assert by_name["south"].last_seen == newest  # it waits, and so it is there
    assert by_name["south"].outcome == "waiting"
    assert by_name["east"].outcomes == ("updated", "missing") * 2 + ("updated",)
    assert by_name["west"].outcomes == (None, None, "refused", "refused", "refused")
    assert by_name["north"].epsilon == 7.0 and not by_name["north"].settled
    assert by_name["west"].epsilon is None


def test_an_enrolled_site_that_never_came_is_shown(place: Path) -> None:
    run = read_progress(place / "runs" / "first", now=NOW, expected=("ghost", *SITES))
    ghost = run.sites[1]
    assert (ghost.name, ghost.outcome, ghost.last_seen) == ("ghost", None, None)
    assert ghost.outcomes == (None,) * 5


@pytest.mark.parametrize("cut", [1, 40, 200])
def test_a_half_written_last_line_is_left_out(place: Path, cut: int) -> None:
    rounds = place / "runs" / "first" / "rounds.jsonl"
    text = rounds.read_text()
    rounds.write_text(text[: len(text) - cut])
    run = read_progress(place / "runs" / "first", now=NOW)
    # One byte less is the line break alone, and the line is whole.
    assert run.done == (5 if cut == 1 else 4)


@pytest.mark.parametrize("rest", ["[]", "{}", '{"round": 6}', '{"round": 6, "sites": {"a": 1}}'])
def test_a_line_that_is_none_ends_what_is_read(place: Path, rest: str) -> None:
    with (place / "runs" / "first" / "rounds.jsonl").open("a") as file:
        file.write(rest + "\n")
    assert read_progress(place / "runs" / "first", now=NOW).done == 5


def test_a_run_without_news_for_longer_than_its_messages_may_take_is_silent(place: Path) -> None:
    folder = place / "runs" / "first"
    patience = timedelta(seconds=3 * 60 + 180)  # the deadline of the small study is a minute
    assert read_progress(folder, now=NOW + patience).state == "running"
    late = read_progress(folder, now=NOW + patience + timedelta(seconds=1))
    assert late.state == "silent" and late.expected_end is None


def test_a_stopped_and_a_finished_run(place: Path) -> None:
    folder = place / "runs" / "first"
    write_info(folder, stopped="round 6: too few sites have budget left")
    run = read_progress(folder, now=NOW)
    assert (run.state, run.detail) == ("stopped", "round 6: too few sites have budget left")
    write_info(folder, finished=NOW.isoformat())
    privacy = {"north": {"epsilon": 6.5}, "south": {"epsilon": None}}
    results = {"arms": {"federated-dp": {"privacy": {"north": privacy["north"]}}}}
    (folder / "results.json").write_text(json.dumps(results))
    run = read_progress(folder, now=NOW + timedelta(days=9))
    north = next(site for site in run.sites if site.name == "north")
    assert (run.state, run.ended) == ("finished", NOW)
    assert (north.epsilon, north.settled) == (6.5, True)


def test_a_run_that_waits_for_sites_says_so_and_shows_them_as_they_are(place: Path) -> None:
    folder = place / "runs" / "first"
    absent = {"outcome": "absent", "reason": "the site is not connected"}
    waiting = {"round": 6, "attempts": 4, "since": "", "sites": {"north": absent, "ghost": absent}}
    write_info(folder, waiting=waiting)
    run = read_progress(folder, now=NOW)
    by_name = {site.name: site for site in run.sites}
    assert (run.state, run.active, run.expected_end) == ("waiting", True, None)
    assert "round 6" in run.detail and "4 times" in run.detail
    assert by_name["north"].outcome == by_name["ghost"].outcome == "absent"
    assert by_name["east"].outcome == "updated"  # as its newest round says
    for broken in ({}, {"round": 6}, {"round": 6, "sites": {"north": None}}, "yes"):
        write_info(folder, waiting=broken)
        assert read_progress(folder, now=NOW).state == "running"


def with_last_line(place: Path, change: Callable[[dict[str, Any]], None]) -> RunProgress:
    """The run's progress after `change` to its newest line."""
    rounds = place / "runs" / "first" / "rounds.jsonl"
    lines = [json.loads(line) for line in rounds.read_text().splitlines()]
    change(lines[-1])
    rounds.write_text("".join(json.dumps(line) + "\n" for line in lines))
    return read_progress(place / "runs" / "first", now=NOW)


def test_the_newest_word_on_epsilon_counts_and_a_sites_own_does_not(place: Path) -> None:
    def change(line: dict[str, Any]) -> None:
        line["sites"]["east"] |= {"epsilon": 4.5, "epsilon_told": 9.1, "epsilon_total": 30.0}
        told = {"outcome": "evaluated", "epsilon_told": 9.2}
        line["evaluation"]["sites"] = {"north": told}
        line["late"] = [{"site": "east", "round": 4, "outcome": "updated", "epsilon_told": 9.3}]

    run = with_last_line(place, change)
    # East's earlier lines say up to 5: silence was counted, and a later reply says less.
    assert [site.epsilon for site in run.sites] == [4.5, 7.0, 4.5, None]


@pytest.mark.parametrize("written", ["NaN", "Infinity", "-Infinity", "1e999", '"8"', "true", "[]"])
def test_what_is_no_number_is_not_known(place: Path, written: str) -> None:
    rounds = place / "runs" / "first" / "rounds.jsonl"
    text = rounds.read_text()
    for name, number in (("epsilon", "7.0"), ("seconds", "240.0")):
        assert f'"{name}": {number}' in text
        text = text.replace(f'"{name}": {number}', f'"{name}": {written}')
    rounds.write_text(text)
    run = read_progress(place / "runs" / "first", now=NOW)
    assert run.done == 5 and run.sites[1].epsilon == 6.0  # as the line before says


def test_an_end_beyond_all_calendars_is_not_known(place: Path) -> None:
    rounds = place / "runs" / "first" / "rounds.jsonl"
    text = rounds.read_text()
    for seconds in ("1e300", "1e12", "-1e300"):
        rounds.write_text(text.splitlines()[0].replace('"seconds": 240.0', f'"seconds": {seconds}'))
        run = read_progress(place / "runs" / "first", now=NOW)
        assert run.done == 1 and run.expected_end is None


def test_a_run_that_can_not_be_read_says_why_and_stops_no_one(place: Path) -> None:
    folder = place / "runs" / "first"
    (folder / "study.yaml").write_text("labels: 3")
    run = read_progress(folder, now=NOW)
    assert run.state == "unreadable" and "study.yaml" in run.detail
    (folder / "run.json").write_text('{"half')
    assert read_progress(folder, now=NOW).state == "unreadable"


def test_before_the_first_round(tmp_path: Path) -> None:
    folder = write_place(tmp_path, now=NOW, done=0)
    _touch(folder, NOW)
    run = read_progress(folder, now=NOW, expected=SITES)
    assert (run.state, run.done, run.expected_end) == ("running", 0, None)
    assert [site.outcome for site in run.sites] == [None] * 4


def test_runs_are_found_in_a_place_a_folder_of_runs_and_in_a_run_itself(place: Path) -> None:
    second = place / "runs" / "second"
    second.mkdir()
    write_info(second)
    (place / "runs" / "no-run").mkdir()
    assert [f.name for f in run_folders(place)] == ["second", "first"]
    assert [f.name for f in run_folders(place / "runs")] == ["second", "first"]
    assert run_folders(second) == [second]
    assert run_folders(place / "runs" / "no-run") == []


def test_a_night_between_two_rounds_does_not_change_the_pace() -> None:
    starts = [NOW + timedelta(minutes=m) for m in (0, 10, 20, 800, 810)]
    lines = [{"started": start.isoformat(), "seconds": 1.0} for start in starts]
    assert seconds_a_round(lines) == 600.0
    assert seconds_a_round(lines[:1]) == 1.0
    assert seconds_a_round([]) is None


@pytest.mark.parametrize("text", ["", "[]", '{"sites": 3}', '{"schema": 1}'])
def test_a_broken_list_of_enrolled_sites_names_nobody(tmp_path: Path, text: str) -> None:
    assert enrolled_names(tmp_path) == ()
    (tmp_path / "enrolled.json").write_text(text)
    assert enrolled_names(tmp_path) == ()
