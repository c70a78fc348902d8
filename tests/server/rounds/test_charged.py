"""A site's count of charged rounds: told back to it, falling never in silence, ending nothing."""

import json
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from client.participant import Participant
from irene_model.exchange.protocol import Flat
from irene_model.exchange.protocol import Message as Typed
from server.report.report import write_report
from server.rounds.charged import Charged
from server.rounds.exchange import Exchange
from server.rounds.round_loop import RoundLoop
from server.runs.run_folder import RunFolder
from server.watch.rounds_view import RoundsView
from tests.helpers.direct_grid import Node, exchange_with, hospital_node
from tests.helpers.hospital_folder import write_hospital
from tests.helpers.made_up_site import STUDY, made_up_site


def line(**counts: int) -> dict[str, Any]:
    return {"sites": {site: {"rounds_charged": count} for site, count in counts.items()}}


def test_the_largest_count_is_told_back_and_a_smaller_one_is_said() -> None:
    charged = Charged([line(north=1), line(north=2, south=1), {"sites": {"north": {}}}], most=5)
    assert [charged.rounds(site) for site in ("north", "south", "east")] == [2, 1, 0]
    assert charged.heard("north", {"rounds_charged": 3}) == charged.heard("north", {}) == {}
    said = charged.heard("north", {"rounds_charged": 1})["ledger"]
    assert "counted 3 rounds of this run before and 1 now" in said
    assert charged.rounds("north") == 3


@pytest.mark.parametrize("count", [10**13, 6, -1, None, "5", 2.5])
def test_no_count_of_a_reply_is_believed_beyond_the_study(count: Any) -> None:
    charged = Charged([], most=5)
    charged.heard("north", {"rounds_charged": count})
    assert 0 <= charged.rounds("north") <= 5
    assert Charged([{"sites": {"north": {"rounds_charged": count}}}], most=5).rounds("north") <= 5


def run(exchange: Exchange, folder: RunFolder) -> list[dict[str, Any]]:
    loop = RoundLoop(exchange=exchange, folder=folder, expected_sites=2, give_up=True)
    results = loop.run()
    (folder.path / "results.json").write_text(json.dumps(results))
    return folder.rounds()


def test_a_count_that_falls_is_in_line_terminal_and_report_and_ends_nothing(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    folder = RunFolder.create(tmp_path / "run", STUDY, seed=0)
    told: list[Any] = []
    honest = made_up_site(STUDY, "north")

    def forgetful(flat: Flat) -> Typed | int:
        answer = honest.answer(flat)
        if flat.values["kind"] != "train":
            return answer
        told.append(flat.values["rounds_charged"])
        count = {1: 1, 2: 2}.get(int(flat.values["round"]), 1)
        assert not isinstance(answer, int)
        return answer.model_copy(update={"rounds_charged": count})

    nodes = {1: Node(forgetful), 2: made_up_site(STUDY, "south")}
    lines = run(exchange_with(nodes), folder)
    assert told == [0, 1, 2]
    assert [sorted(s for s, e in each["sites"].items() if "ledger" in e) for each in lines] == [
        [], [], ["north"],
    ]  # fmt: skip
    assert "site north: its ledger counted 2 rounds" in caplog.text
    shown = StringIO()
    RoundsView(Console(file=shown, width=200), 3).show(lines[-1])
    assert "north: its ledger counted 2 rounds of this run before and 1 now" in shown.getvalue()
    report = write_report(folder.path).read_text()
    assert "its ledger counted 2 rounds of this run before and 1 now" in report


def test_a_hospital_whose_ledger_went_back_is_refused_by_itself(tmp_path: Path) -> None:
    """Real participants without a journal: the coordinator's count alone can tell."""
    names = ("north", "south")
    sites = {name: write_hospital(tmp_path / name) for name in names}
    for name, each in sites.items():
        each.configure("site", name)
        each.configure("metrics", False)
        each.configure("budget", {"epsilon": 50, "delta": 1.0e-3})
        each.configure("model", STUDY.model.model_dump(exclude_none=True), "study.yaml")
        each.configure("federation.rounds", 3, "study.yaml")
        each.configure("federation.minimum_sites", 1, "study.yaml")
    study = sites["north"].study
    folder = RunFolder.create(tmp_path / "run", study, seed=0)
    real = {name: hospital_node(Participant.at(sites[name].site_file)) for name in names}

    def rolled_back(flat: Flat) -> Typed | int:
        if flat.values["kind"] == "train" and flat.values["round"] == 3:
            for path in (sites["north"].folder / ".irene").glob("ledger.sqlite*"):
                path.unlink()
        return real["north"].answer(flat)

    lines = run(exchange_with({1: Node(rolled_back), 2: real["south"]}), folder)
    entry = lines[2]["sites"]["north"]
    assert (entry["outcome"], entry["code"], entry["rounds_charged"]) == ("failed", "ledger", 0)
    assert "2 rounds of this run were charged here" in entry["reason"]
    assert "counted 2 rounds of this run before and 0 now" in entry["ledger"]
    assert lines[2]["sites"]["south"]["outcome"] == "updated"
