"""A round that waits: for whom, since when, and when it stops instead."""

import json
from pathlib import Path

import pytest

from irene_model.errors import IreneError
from irene_model.exchange.protocol import Flat
from irene_model.exchange.protocol import Message as Typed
from irene_model.exchange.replies import HelloReply, TrainReply
from irene_model.study.study import Study
from server.rounds import attendance as roll_module
from server.rounds import round_loop as rounds_module
from server.runs.run_folder import RunFolder
from server.runs.waiting_note import sentence, waiting
from tests.helpers.direct_grid import Node
from tests.helpers.federations.three_sites import ALL, Federation, federation, outcomes, three_sites
from tests.helpers.made_up_site import made_up_site, study_of

pytestmark = pytest.mark.usefixtures("hurried")


def test_with_too_few_updates_a_round_waits_and_is_tried_again(tmp_path: Path) -> None:
    run = federation(tmp_path, minimum_sites=3)
    run.give_up = False
    broken, tries = run.nodes[1].answer, 0

    def sometimes(flat: Flat) -> Typed | int:
        nonlocal tries
        tries += flat.values["kind"] == "train"
        return 8 if flat.values.get("round") == 2 and tries < 5 else broken(flat)

    run.nodes[1].answer = sometimes
    lines = run.run()
    assert [line["attempts"] for line in lines] == [1, 4, 1]
    assert [outcomes(line) for line in lines] == [ALL] * 3
    assert run.nodes[2].asked.count("train 2") == 4  # its ledger sends the same bytes
    assert run.moved(2) == pytest.approx(1e-4, rel=1e-2)
    assert run.folder.info["waiting"] is None


def test_a_run_that_waits_before_its_first_round_says_for_whom_and_since_when(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(roll_module, "_PAUSE_S", 0.01)
    monkeypatch.setitem(roll_module._AGAIN_S, "waiting", 0.0)
    clock = iter(f"2026-03-01T12:00:{second:02d}+00:00" for second in range(60))
    monkeypatch.setattr(rounds_module, "now", lambda: next(clock))
    run = federation(tmp_path, minimum_sites=3)
    run.give_up = False
    ready, looks = run.nodes[2].answer, []

    def asks_its_people(flat: Flat) -> Typed | int:
        looks.append(json.loads((run.folder.path / "run.json").read_text()).get("waiting"))
        if len(looks) < 5:
            return HelloReply(site="north", outcome="waiting", reason="not approved here yet")
        run.nodes[2].answer = ready
        return ready(flat)

    run.nodes[2].answer = asks_its_people
    assert [outcomes(line) for line in run.run()] == [ALL] * 3
    told = looks[-1]
    assert told["round"] == 1 and told["attempts"] == 0
    assert told["sites"]["east"]["outcome"] == "ready"
    north = told["sites"]["north"]
    assert (north["outcome"], north["reason"]) == ("waiting", "not approved here yet")
    assert north["since"] == told["since"] == "2026-03-01T12:00:00+00:00"
    assert sentence(told) == (
        f"round 1 has not begun since {north['since']}; it waits for north (waiting: not approved "
        f"here yet since {north['since']})"
    )
    assert run.folder.info["waiting"] is None


def test_since_when_is_kept_while_nothing_changes() -> None:
    north = {"outcome": "waiting", "reason": "not approved"}
    first = waiting(None, {"north": north}, round=2, attempts=1, now="1", again=None)
    gone = {"outcome": "absent", "reason": ""}
    second = waiting(
        first, {"north": north, "south": gone}, round=2, attempts=2, now="2", again="3"
    )
    assert second["since"] == "1"
    assert {site: each["since"] for site, each in second["sites"].items()} == {
        "north": "1",
        "south": "2",
    }
    assert (
        waiting(second, {"north": gone}, round=3, attempts=1, now="4", again=None)["since"] == "4"
    )
    assert "south (absent since 2)" in sentence(second) and "2 times since 1" in sentence(second)


def test_where_nobody_can_help_it_stops_and_loses_nothing(tmp_path: Path) -> None:
    run = federation(tmp_path, minimum_sites=3)
    answer = run.nodes[1].answer
    run.nodes[1].answer = lambda flat: 8 if flat.values.get("round") == 2 else answer(flat)
    with pytest.raises(IreneError, match=r"round 2: fewer than 3 .*east: the client process"):
        run.run()
    assert run.folder.last_round == 1
    run.nodes[1].answer = answer
    run.folder = RunFolder.resume(run.folder.path)
    assert [line["round"] for line in run.run()] == [1, 2, 3]


def declining(study: Study, site: str, code: str, from_round: int) -> Node:
    node = made_up_site(study, site)
    agreeing = node.answer

    def answer(flat: Flat) -> Typed | int:
        reply = agreeing(flat)
        if not isinstance(reply, TrainReply) or reply.round < from_round:
            return reply
        said = {"outcome": "declined", "reason": "over", "code": code}
        return reply.model_copy(update={**said, "arrays": {}, "weight": 0.0})

    node.answer = answer
    return node


def test_only_budgets_end_a_run_early(tmp_path: Path) -> None:
    study = study_of({"round_deadline_s": 0.4})
    nodes = three_sites(study)
    nodes[1] = declining(study, "east", "budget", 2)
    nodes[2] = declining(study, "north", "budget", 3)
    run = Federation(tmp_path / "run", study, nodes)
    lines = run.run()
    assert outcomes(lines[1]) == ALL | {"east": "declined"}
    assert run.folder.last_round == 2 and lines[2]["checkpoint"] is None
    assert run.folder.info["stopped"] == "round 3: too few sites have budget left"


def test_sites_that_decline_for_another_reason_are_waited_for(tmp_path: Path) -> None:
    study = study_of({"round_deadline_s": 0.4})
    nodes = three_sites(study)
    nodes[1], nodes[2] = (declining(study, s, "stale", 2) for s in ("east", "north"))
    run = Federation(tmp_path / "run", study, nodes)
    with pytest.raises(IreneError, match="round 2: fewer than 2 sites"):
        run.run()
