"""A run of more than 9,999 rounds: read in order, shown on pages of a bounded size, and ended."""

import io
from datetime import UTC, datetime
from pathlib import Path

import pytest
from rich.console import Console

from server.report.thinning import MOST_ROWS, thinned
from server.watch.live_page import render_page
from server.watch.prometheus import exposition
from server.watch.rounds_view import RoundsView
from server.watch.run_progress import RunProgress, read_progress
from tests.helpers.watched_run import write_place
from tests.server.report.test_report import Folder, part, round_line

ROUNDS = 10_050
NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> RunProgress:
    folder = write_place(tmp_path_factory.mktemp("many"), now=NOW, done=ROUNDS, rounds=20_000)
    return read_progress(folder, now=NOW, expected=("north",))


def test_progress_counts_all_rounds(run: RunProgress) -> None:
    assert (run.done, run.rounds, len(run.lines)) == (ROUNDS, 20_000, ROUNDS)
    assert run.lines[-1]["checkpoint"] == "checkpoints/round-10050"
    assert run.seconds_a_round == 600.0
    assert any(line.endswith(f" {ROUNDS}.0") for line in exposition([run], {}).splitlines())


def test_the_live_page_stays_small_enough_to_be_asked_for_every_few_seconds(
    run: RunProgress,
) -> None:
    page = render_page(run, [run], "")
    assert len(page) < 400_000 and "10050" in page
    out = io.StringIO()
    RoundsView(Console(file=out, width=100), 20_000).show(run.lines[-1])
    assert "10050/20000" in out.getvalue()


def test_the_report_says_which_rounds_it_shows(tmp_path: Path) -> None:
    folder = Folder(tmp_path)
    both = {"North": part("updated"), "South": part("missing", "too late")}
    folder.rounds = [round_line(n, both, 0.6) for n in range(1, ROUNDS + 1)]
    report = folder.report()
    assert len(report) < 1_000_000
    assert f"The newest {MOST_ROWS} of {ROUNDS} rounds" in report
    assert '<th scope="row" class="num">10050</th>' in report
    assert f'<th scope="row" class="num">{ROUNDS - MOST_ROWS}</th>' not in report
    assert f"× {ROUNDS}" in report  # what is counted, is counted over all


@pytest.mark.parametrize("count", [0, 1, 499, 500, 501, 10_050])
def test_thinning_keeps_the_ends_and_the_order(count: int) -> None:
    kept = thinned(range(count))
    assert len(kept) == min(count, 500) and list(kept) == sorted(set(kept))
    assert list(kept)[:1] == list(range(count))[:1] and list(kept)[-1:] == list(range(count))[-1:]
