"""What becomes of updates that come late, twice, or after a damage."""

import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from irene_model.exchange.protocol import Flat
from irene_model.exchange.protocol import Message as Typed
from irene_model.exchange.requests import TrainRequest
from server.rounds import exchange as exchange_module
from server.runs.run_folder import RunFolder
from tests.helpers.direct_grid import Node
from tests.helpers.federations.three_sites import ALL, Federation, federation, outcomes, three_sites
from tests.helpers.made_up_site import made_up_site, study_of

pytestmark = pytest.mark.usefixtures("hurried")


@pytest.mark.parametrize("discount", [None, 0.5])
def test_a_late_update_is_used_once_at_a_discount_or_discarded(
    tmp_path: Path, discount: float | None
) -> None:
    late = {"late": {"discount": discount}} if discount else {}
    study = study_of({"round_deadline_s": 0.4, **late})
    nodes = three_sites(study)
    nodes[3] = made_up_site(study, "south", 1.8e-4)
    nodes[3].silent = {"train"}
    run = Federation(tmp_path / "run", study, nodes)
    run.after[1] = nodes[3].silent.clear
    lines = run.run()
    assert run.moved(1) == pytest.approx(1e-4, rel=1e-2)
    (entry,) = lines[1]["late"]
    assert (entry["site"], entry["round"]) == ("south", 1)
    fresh = [1e-4, 1e-4, 1.8e-4] if outcomes(lines[1])["south"] == "updated" else [1e-4, 1e-4]
    if discount is None:
        assert entry["outcome"] == "discarded" and "too late" in entry["reason"]
        assert run.moved(2) == pytest.approx(np.mean(fresh), rel=1e-2)
    else:
        assert (entry["outcome"], entry["discount"]) == ("updated", 0.5)
        expected = (sum(fresh) + 0.5 * 1.8e-4) / (len(fresh) + 0.5)
        assert run.moved(2) == pytest.approx(expected, rel=1e-2)
    assert lines[2]["late"] == [] and outcomes(lines[2]) == ALL


@pytest.mark.parametrize("age_s", [0.0, 1e6])
def test_a_late_update_is_used_by_a_server_that_was_started_anew(
    tmp_path: Path, age_s: float
) -> None:
    study = study_of({"round_deadline_s": 0.4, "late": {"discount": 0.5}})
    run = Federation(tmp_path / "run", study, three_sites(study))
    run.nodes[3].silent = {"train"}
    run.after[1] = lambda: 1 / 0  # the server is killed
    with pytest.raises(ZeroDivisionError):
        run.run()
    (owed,) = run.folder.info["late"]
    assert (owed["site"], owed["round"]) == ("south", 1)
    run.folder.update_info(late=[owed | {"until": time.time() + 60 - age_s}])
    run.nodes, run.after = three_sites(study), {}  # its store has forgotten all messages
    run.nodes[3] = made_up_site(study, "south", 1.8e-4)
    asked, answer = [], run.nodes[3].answer

    def noting(flat: Flat) -> Typed | int:
        if flat.values["kind"] == "train":
            asked.append((flat.values["round"], flat.values["again"], len(flat.arrays) > 0))
        return answer(flat)

    run.nodes[3].answer = noting
    run.folder = RunFolder.resume(run.folder.path)
    lines = run.run()
    if age_s:
        assert lines[1]["late"] == [] and asked == [(2, False, True), (3, False, True)]
    else:
        assert sorted(asked) == [(1, True, False), (2, False, True), (3, False, True)]
        (late,) = lines[1]["late"]
        assert (late["site"], late["round"], late["outcome"]) == ("south", 1, "updated")
        expected = (1e-4 + 1e-4 + 1.8e-4 + 0.5 * 1.8e-4) / 3.5
        assert run.moved(2) == pytest.approx(expected, rel=1e-2)
    assert run.folder.info["late"] == [] and lines[2]["late"] == []


def test_what_a_round_that_is_trained_again_still_waited_for_is_forgotten(tmp_path: Path) -> None:
    """A damaged checkpoint led back before it: its discount would be above one."""
    study = study_of({"round_deadline_s": 0.4, "late": {"discount": 0.5}})
    run = Federation(tmp_path / "run", study, three_sites(study))
    run.folder.update_info(late=[{"site": "south", "round": 3, "until": 1e12}])
    lines = run.run()
    assert [line["late"] for line in lines] == [[], [], []]
    assert run.nodes[3].asked.count("train 3") == 1


def keeping_two(node: Node) -> Node:
    """As a site's ledger does: a round that was released before the newest two is gone."""
    released: list[int] = []
    answer = node.answer

    def keeps(flat: Flat) -> Typed | int:
        if flat.values["kind"] == "train":
            round = int(flat.values["round"])
            if round in released and round not in released[-2:]:
                return 8
            if round not in released:
                released.append(round)
        return answer(flat)

    node.answer = keeps
    return node


def test_two_damaged_checkpoints_in_a_row_end_in_results_and_not_in_waiting(
    tmp_path: Path,
) -> None:
    study = study_of({"round_deadline_s": 2.0, "rounds": 5})
    nodes = {number: keeping_two(node) for number, node in three_sites(study).items()}
    run = Federation(tmp_path / "run", study, nodes)
    run.after[3] = lambda: 1 / 0
    with pytest.raises(ZeroDivisionError):
        run.run()
    for node in nodes.values():  # round 4 was begun
        node.answer(TrainRequest.about(study, run="r", round=4).to_flat())
    for round in (2, 3):
        (run.folder.checkpoint(round) / "config.json").write_text("{}")
    run.folder, run.after = RunFolder.resume(run.folder.path), {}
    lines = run.run()
    assert [outcomes(line) for line in lines] == [ALL] * 5
    assert run.folder.info["lost_rounds"] == [2]
    assert [line["sites"]["east"]["rounds_charged"] for line in lines] == [1, 2, 3, 4, 5]


def test_a_short_cut_of_the_network_loses_no_update(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The grid asserts that nothing is pulled from a node that is offline."""
    monkeypatch.setattr(exchange_module, "_GONE_S", 5.0)
    run = federation(tmp_path, round_deadline_s=3.0)
    looks = 0
    real = exchange_module.Exchange._look

    def flicker(self: Any, *, now: bool = False) -> frozenset[int]:
        nonlocal looks
        looks += 1
        run.nodes[2].online = not 8 <= looks <= 20
        return real(self, now=True)

    monkeypatch.setattr(exchange_module.Exchange, "_look", flicker)
    assert [outcomes(line) for line in run.run()] == [ALL] * 3 and looks > 20


def test_a_discarded_late_update_is_judged_all_the_same(tmp_path: Path) -> None:
    study = study_of({"round_deadline_s": 0.4})
    nodes = three_sites(study)
    answer = nodes[3].answer

    def lying(flat: Flat) -> Any:
        reply = answer(flat)
        return (
            reply.model_copy(update={"sample_rate": 0.5})
            if flat.values["kind"] == "train"
            else reply
        )

    nodes[3].answer = lying
    nodes[3].silent = {"train"}
    run = Federation(tmp_path / "run", study, nodes)
    run.after[1] = nodes[3].silent.clear
    (entry,) = run.run()[1]["late"]
    assert entry["outcome"] == "refused" and "sample_rate" not in entry
