"""Every chart, page and table takes whatever a float may hold, and any number of rounds."""

import copy
import itertools
import json
import re
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from irene_model.console.figures import figure, known
from irene_model.pages import page_templates as words
from irene_model.study.study import Study
from server.report import page_templates as pages
from server.report.learning_curves import curves
from server.report.plots import Point, Series, line_chart, share_of, ticks
from server.report.report import render
from server.watch.live_page import render_live
from server.watch.prometheus import exposition
from server.watch.rounds_view import RoundsView
from server.watch.run_progress import RunProgress, read_progress
from server.watch.site_progress import SiteProgress
from server.watch.status import SiteStatus, Status
from server.watch.status_view import show as show_status
from simulations.display import RunProgress as Terminal
from simulations.report import comparison_page
from tests.helpers.any_floats import ANY, said_by
from tests.helpers.watched_run import write_place
from tests.server.report.test_report import STUDY, Folder
from tests.simulations.compare.test_comparison import ROWS, summary

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
POOL = st.lists(ANY, min_size=1, max_size=7)
MAYBE = st.one_of(st.none(), ANY)
QUICKLY = settings(
    max_examples=25,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
_COORDINATES = re.compile(r'\b(?:d|x|y|x1|x2|y1|y2|cx|cy|r|width|height|points)="([^"]*)"')
_NUMBER = re.compile(r"-?\d+(?:\.\d+)?(?:e[-+]?\d+)?")


def scattered(document: Any, pool: list[float]) -> Any:
    """`document` with a float of `pool`, in turn, for each of its numbers but rounds and counts."""
    return _replaced(document, itertools.cycle(pool))


def _replaced(document: Any, numbers: Iterator[float]) -> Any:
    if isinstance(document, dict):
        return {
            key: each if key in ("round", "schema", "seed", "parameters", "attempts")
            else _replaced(each, numbers)
            for key, each in document.items()
        }  # fmt: skip
    if isinstance(document, list):
        return [_replaced(each, numbers) for each in document]
    if isinstance(document, bool) or not isinstance(document, int | float):
        return document
    return next(numbers)


def check_drawn(page: str) -> None:
    """No picture on the page has a coordinate that is none, or lies far away."""
    for svg in re.findall(r"<svg.*?</svg>", page, re.DOTALL):
        ElementTree.fromstring(svg)
        for written in _COORDINATES.findall(svg):
            assert "nan" not in written.lower() and "inf" not in written.lower(), svg[:300]
            assert all(abs(float(each)) < 2000 for each in _NUMBER.findall(written)), svg[:300]
    assert not re.search(r"\d{60}", page)  # a number that is one can be read


@settings(max_examples=100, deadline=None)
@given(
    lines=st.lists(st.lists(st.tuples(ANY, ANY, MAYBE, MAYBE), max_size=12), max_size=10),
    from_zero=st.booleans(),
)
@example(lines=[[(1, -5.0, None, None)]], from_zero=True)
@example(lines=[[(1, 5e-324, None, None), (2, 0.0, None, None)]], from_zero=True)
@example(lines=[[(1, 1.0, None, None), (2, 1.0000000000000002, None, None)]], from_zero=False)
@example(lines=[[(1, 1e300, -1e308, 1e308)] * 2], from_zero=False)
@example(lines=[[(n, 0.0, None, None) for n in range(9)], []], from_zero=True)
def test_a_chart_of_any_floats_has_its_lines_on_it(lines: Any, from_zero: bool) -> None:
    series = [
        Series(name=str(n), points=[Point(x=x, y=y, low=a, high=b) for x, y, a, b in line])
        for n, line in enumerate(lines)
    ]
    chart = line_chart(series, x_label="round", y_label="epsilon", from_zero=from_zero)
    finite = [p for s in series for p in s.points if None not in (known(p.x), known(p.y))]
    assert (chart is None) == (not finite)
    if chart is None:
        return
    page = pages.pages().from_string(
        '{% from "report/parts.html.j2" import line_chart %}{{ line_chart("title", chart) }}'
    )
    check_drawn(page.render(chart=chart))
    for line in chart.lines:
        places = [part.split(",") for part in re.findall(r"[-\d.]+,[-\d.]+", line.path + line.band)]
        assert places
        for x, y in places:
            assert chart.left <= float(x) <= chart.right and chart.top <= float(y) <= chart.bottom
    texts = [tick.text for tick in chart.y_ticks]
    assert len(set(texts)) == len(texts) >= 2 and max(map(len, texts)) < 22
    assert sorted(t.at for t in chart.y_ticks) == [t.at for t in reversed(chart.y_ticks)]


@settings(max_examples=300, deadline=None)
@given(low=ANY, high=ANY, most=st.integers(2, 20), value=ANY)
def test_ticks_rise_and_shares_lie_between_them(
    low: float, high: float, most: int, value: float
) -> None:
    places = ticks(low, high, most)
    assert 2 <= len(places) <= most + 2
    assert all(known(place) is not None for place in places)
    assert all(a < b for a, b in itertools.pairwise(places))
    assert 0.0 <= share_of(value, places) <= 1.0


@pytest.mark.parametrize("rounds", [0, 1, 2, 999, 1001, 12_345])
def test_a_curve_of_many_rounds_ends_with_the_last_and_stays_small(rounds: int) -> None:
    lines = [
        {
            "round": n,
            "sites": {s: {"outcome": "updated", "epsilon": n / 1000} for s in "abcdefghij"},
        }
        for n in range(1, rounds + 1)
    ]
    drawn = curves(list("abcdefghij"), lines, at_the_end={"a": 20.0})
    assert len(drawn) == (rounds > 0)
    for _, chart in drawn:
        assert chart.lines[0].markers[-1].text == f"a, round {rounds:g}: 20.000"
        assert chart.lines[1].markers[-1].text.startswith(f"b, round {rounds:g}: ")
        assert sum(len(line.path) for line in chart.lines) < 8 * 1100 * 12
        assert all(len(line.markers) <= 32 for line in chart.lines)


@given(value=MAYBE, digits=st.integers(0, 3))
def test_words_for_any_number(value: float | None, digits: int) -> None:
    for word in (
        words.span(value), words.size(value), words.small(value), figure(value, digits),
        words.moment(value), comparison_page.signed(value),  # type: ignore[arg-type]
    ):  # fmt: skip
        assert len(word) < 25
        if word != str(value):
            assert "nan" not in word and "inf" not in word


def test_what_is_no_number_has_no_figure() -> None:
    for value in (None, True, "8", [], 10**400, float("nan")):
        assert known(value) is None and figure(value) == "\N{EN DASH}"
    assert figure(7.994, 2) == "7.99" and figure(1e9) == "1e+09" and figure(-0.5, 1) == "-0.5"


@QUICKLY
@given(numbers=POOL)
def test_the_report_of_any_numbers(tmp_path: Path, numbers: list[float]) -> None:
    folder = Folder(tmp_path)
    folder.results["arms"]["other"] = copy.deepcopy(folder.results["arms"]["federated"])
    folder.results = scattered(folder.results, numbers)
    folder.rounds = scattered(folder.rounds, numbers)
    check_drawn(folder.report())  # from files, as a run writes them
    (tmp_path / "s.yaml").write_text(STUDY)
    study = Study.read(tmp_path / "s.yaml")
    check_drawn(render(study, folder.run, folder.results, folder.rounds))


@QUICKLY
@given(numbers=POOL)
def test_the_live_page_the_metrics_and_the_status_of_any_numbers(
    tmp_path_factory: pytest.TempPathFactory, numbers: list[float]
) -> None:
    place = tmp_path_factory.mktemp("place")
    run = write_place(place, now=NOW)
    rounds = run / "rounds.jsonl"
    lines = [json.loads(line) for line in rounds.read_text().splitlines()]
    rounds.write_text("".join(json.dumps(scattered(line, numbers)) + "\n" for line in lines))
    seen = read_progress(run, now=NOW)
    assert seen.done == 5
    for progress in (seen, _with_epsilons(seen, numbers)):
        check_drawn(render_live(progress, ""))
        for line in exposition([progress], {}).splitlines():
            assert line.startswith("#") or known(float(line.rsplit(" ", 1)[1])) is not None
        assert "nan" not in said_by(lambda c, p=progress: show_status(_status(p), c))  # type: ignore[misc]


def _with_epsilons(seen: RunProgress, numbers: list[float]) -> RunProgress:
    """The run as if its reader had let any float through."""
    sites = tuple(
        SiteProgress(**{**vars(site), "epsilon": epsilon, "settled": True})
        for site, epsilon in zip(seen.sites, itertools.cycle(numbers), strict=False)
    )
    return RunProgress(**{**vars(seen), "sites": sites})


def _status(run: RunProgress) -> Status:
    sites = tuple(SiteStatus(name=s.name, online=None, last_seen=None, part=s) for s in run.sites)
    return Status(
        place="p", at=NOW, supervisor=None, processes={}, health={}, gateway="served",
        address="a", certificate_days=None, sites=sites, runs=(run,), flower=None,
    )  # fmt: skip


@QUICKLY
@given(numbers=POOL)
def test_the_comparison_of_any_numbers(numbers: list[float]) -> None:
    results = summary(ROWS)
    results["arms"] = scattered(results["arms"], numbers)
    check_drawn(comparison_page.render(results))
    Terminal().ranking(results, Path("out"))


@QUICKLY
@given(numbers=POOL)
def test_the_terminal_of_any_numbers(
    tmp_path: Path, numbers: list[float], capsys: pytest.CaptureFixture[str]
) -> None:
    folder = Folder(tmp_path)
    terminal = Terminal()
    terminal.trials(9)
    for line in scattered(folder.rounds, numbers):
        terminal.round(line)
        assert "nan" not in said_by(lambda c, line=line: RoundsView(c, total=3).show(line))  # type: ignore[misc]
    from simulations.result_tables import label_table, site_table

    arm = scattered(folder.results["arms"]["federated"], numbers)
    said = said_by(lambda c: (c.print(label_table("arm", arm, arm)), c.print(site_table(arm, arm))))
    assert "nan" not in said and "inf" not in said
    assert "nan" not in capsys.readouterr().out
