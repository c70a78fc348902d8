"""What a run shows of its privacy while it goes on is what counts at its end, and never more."""

import itertools
import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from server.report.learning_curves import curves
from server.report.report import render
from server.rounds.round_loop import RoundLoop
from server.runs.lines import Json
from server.runs.run_folder import RunFolder
from server.watch.live_page import render_live
from server.watch.prometheus import exposition
from server.watch.run_progress import read_progress
from simulations.display import RunProgress as Terminal
from tests.helpers.direct_grid import exchange_with
from tests.helpers.federations.hurry import hurry
from tests.helpers.made_up_site import made_up_site, study_of

SITES = ("east", "north", "south")
# Steps and rate are nearly the demo's: RDP's bound on the noise that spends 8 is about 9.1.
STUDY = study_of(
    {"rounds": 4, "local_steps": 18, "round_deadline_s": 0.4},
    training={"expected_batch": 8},
    privacy={"epsilon": 8.0, "delta": 1e-5},
)


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> tuple[RunFolder, Json, str]:
    """A run of three sites of which one is silent in round 2; its results and its terminal."""
    patch = pytest.MonkeyPatch()
    hurry(patch)
    folder = RunFolder.create(tmp_path_factory.mktemp("shown") / "run", STUDY, seed=1)
    nodes = {n: made_up_site(STUDY, site) for n, site in enumerate(SITES, 1)}
    terminal = Terminal()
    terminal.start_rounds(folder)

    def observe(line: Json) -> None:
        with terminal._console.capture() as captured:
            # A round in which nothing happened and nobody evaluated prints nothing.
            terminal.round({**line, "evaluation": line["evaluation"] or {}})
        said.append(captured.get())
        nodes[3].silent = {"train"} if line["round"] == 1 else set()

    said: list[str] = []
    try:
        results = RoundLoop(
            exchange=exchange_with(nodes), folder=folder, expected_sites=3, give_up=True,
            observe=observe,
        ).run()  # fmt: skip
    finally:
        patch.undo()
    folder.write_results(results)
    folder.update_info(finished=datetime.now(UTC).isoformat())
    return folder, results, "".join(said)


def spent(results: Json) -> dict[str, float]:
    privacy = results["arms"]["federated-dp"]["privacy"]
    return {site: each["epsilon"] for site, each in privacy.items()}


def test_every_line_tells_the_smaller_bound_and_the_last_one_that_of_the_results(
    finished: tuple[RunFolder, Json, str],
) -> None:
    folder, results, _ = finished
    lines = folder.rounds()
    privacy = results["arms"]["federated-dp"]["privacy"]
    for site in SITES:
        told = [line["sites"][site]["epsilon"] for line in lines]
        assert all(a < b for a, b in itertools.pairwise(told)) or site == "south"
        assert told[-1] == privacy[site]["epsilon"] == privacy[site]["prv"]
        assert told[0] > 0 and max(told) <= 8 and privacy[site]["rdp"] > 9
    # South was asked in round 2 and gave no sign: it may have been charged.
    silent = lines[1]["sites"]
    assert silent["south"]["outcome"] == "missing"
    assert silent["south"]["epsilon"] == silent["north"]["epsilon"]


def test_terminal_pages_and_metrics_show_it(finished: tuple[RunFolder, Json, str]) -> None:
    folder, results, said = finished
    last = spent(results)
    assert f"epsilon up to {max(last.values()):.2f}" in said and "RDP" not in said
    shown = [float(part.split()[0]) for part in said.split("epsilon up to ")[1:]]
    assert len(shown) == 4 and shown == sorted(shown) and shown[-1] <= 8
    run = read_progress(folder.path, now=datetime.now(UTC))
    assert {site.name: site.epsilon for site in run.sites} == last
    metrics = exposition([run], {}).splitlines()
    told = [line.rsplit(" ", 1)[1] for line in metrics if line.startswith("irene_epsilon{")]
    assert sorted(map(float, told)) == sorted(last.values())
    page = render_live(run, "")
    assert "RDP" not in page and "more than asked" not in page
    assert f"{max(last.values()):.2f}" in page


def test_before_the_results_are_there_the_pages_show_the_lines(
    finished: tuple[RunFolder, Json, str], tmp_path: Path
) -> None:
    folder, results, _ = finished
    for name in ("run.json", "study.yaml", "rounds.jsonl"):
        (tmp_path / name).write_text((folder.path / name).read_text())
    run = read_progress(tmp_path, now=datetime.now(UTC))
    assert {site.name: site.epsilon for site in run.sites} == spent(results)
    assert not any(site.settled for site in run.sites)


def test_the_curves_end_at_the_results(finished: tuple[RunFolder, Json, str]) -> None:
    folder, results, _ = finished
    (drawn,) = [c for t, c in curves(SITES, folder.rounds()) if t.startswith("Privacy")]
    ends = {line.name: line.markers[-1].text for line in drawn.lines}
    (alike,) = {f"{e:.3f}" for e in spent(results).values()}  # so that one curve is all of them
    assert ends == {"each of all sites": f"each of all sites, round 4: {alike}"}
    # What the evaluation at the end adds, for other patients, is at the curve's end too.
    more = json.loads(json.dumps(results))
    more["arms"]["federated-dp"]["privacy"]["north"]["epsilon"] = 7.999
    page = render(STUDY, folder.info, more, folder.rounds())
    assert "north, round 4: 7.999" in page and "by RDP, which" not in page


def test_a_round_that_waits_shows_what_it_may_have_cost(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    hurry(monkeypatch)
    folder = RunFolder.create(tmp_path / "run", STUDY, seed=1)
    nodes = {n: made_up_site(STUDY, site) for n, site in enumerate(SITES[:2], 1)}
    waiting: list[Any] = []
    keep = RunFolder.update_info

    def seen(self: RunFolder, **facts: Any) -> None:
        if facts.get("waiting"):
            waiting.append(json.loads(json.dumps(facts["waiting"])))
            nodes[2].silent.clear()
        keep(self, **facts)

    monkeypatch.setattr(RunFolder, "update_info", seen)
    nodes[2].silent = {"train"}
    RoundLoop(exchange=exchange_with(nodes), folder=folder, expected_sites=2, observe=None).run()
    first = folder.rounds()[0]["sites"]["east"]["epsilon"]
    assert waiting and waiting[0]["sites"]["east"]["epsilon"] == first > 0
