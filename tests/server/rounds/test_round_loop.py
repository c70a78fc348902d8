"""The life of a round: who is waited for, what becomes of late updates, and when a run stops."""

import json
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from google.protobuf.message import DecodeError

from irene_model.errors import IreneError
from irene_model.exchange.protocol import Arrays, Flat
from irene_model.exchange.protocol import Message as Typed
from irene_model.exchange.replies import HelloReply, TrainReply
from irene_model.exchange.requests import TrainRequest
from irene_model.study.study import Study
from server.rounds import attendance as roll_module
from server.rounds import exchange as exchange_module
from server.rounds import pace as pace_module
from server.rounds import round_loop as rounds_module
from server.rounds.round_loop import RoundLoop
from server.runs.run_folder import Json, RunFolder
from server.runs.waiting_note import sentence, waiting
from tests.helpers.direct_grid import Node, exchange_with
from tests.helpers.made_up_site import made_up_site, study_of

pytestmark = pytest.mark.usefixtures("hurried")


@pytest.fixture
def hurried(monkeypatch: pytest.MonkeyPatch) -> None:
    """Minutes of a real federation in tenths of seconds."""
    monkeypatch.setattr(pace_module, "_FLOOR_S", 0.1)
    monkeypatch.setattr(exchange_module, "_LOOK_S", 0.0)
    monkeypatch.setattr(exchange_module, "_GONE_S", 0.05)
    monkeypatch.setattr(rounds_module, "_FIRST_PAUSE_S", 0.01)


class Federation:
    """A run whose nodes a test changes between rounds."""

    def __init__(self, path: Path, study: Study, nodes: dict[int, Node]) -> None:
        self.nodes = nodes
        self.folder = RunFolder.create(path, study, seed=1)
        self.after: dict[int, Any] = {}
        self.give_up = True

    def run(self) -> list[Json]:
        def observe(line: Json) -> None:
            self.after.get(line["round"], lambda: None)()

        RoundLoop(
            exchange=exchange_with(self.nodes),
            folder=self.folder,
            expected_sites=len(self.nodes),
            give_up=self.give_up,
            observe=observe,
        ).run()
        return self.folder.rounds()

    def moved(self, round: int) -> float:
        """By how much a round moved the first weight; all move alike."""
        before, after = (self.folder.load_checkpoint(r) for r in (round - 1, round))
        return float((after["head.bias"] - before["head.bias"])[0])


def three_sites(study: Study) -> dict[int, Node]:
    return {n: made_up_site(study, site) for n, site in enumerate(("east", "north", "south"), 1)}


def outcomes(line: Json) -> dict[str, str]:
    return {site: entry["outcome"] for site, entry in line["sites"].items()}


ALL = dict.fromkeys(("east", "north", "south"), "updated")


def federation(path: Path, **changes: Any) -> Federation:
    study = study_of({"round_deadline_s": 0.4, **changes})
    return Federation(path / "run", study, three_sites(study))


def test_an_undisturbed_run(tmp_path: Path) -> None:
    run = federation(tmp_path)
    lines = run.run()
    assert [outcomes(line) for line in lines] == [ALL] * 3
    assert run.moved(1) == pytest.approx(1e-4, rel=1e-2)
    assert all(line["attempts"] == 1 and line["late"] == [] for line in lines)


def test_a_silent_site_holds_one_round_for_its_time_and_costs_nothing_after(tmp_path: Path) -> None:
    run = federation(tmp_path, round_deadline_s=2.0)
    run.nodes[3].silent = {"train"}
    run.after[1] = lambda: run.nodes[3].silent.add("hello")  # dead, though Flower still sees it
    lines = run.run()
    assert outcomes(lines[0]) == ALL | {"south": "missing"}
    assert lines[0]["seconds"] >= 2.0
    for line in lines[1:]:
        assert outcomes(line) == ALL | {"south": "absent"} and line["seconds"] < 2.0
        assert "no reply in the time" in line["sites"]["south"]["reason"]
    assert run.nodes[3].asked[:4] == ["hello", "train 1", "train 1", "hello"]
    assert set(run.nodes[3].asked[4:]) <= {"hello"}


def test_the_expiry_of_a_message_is_no_sign_of_life(tmp_path: Path) -> None:
    """Flower answers for a dead site with an error of its own, once the message has expired."""
    run = federation(tmp_path, round_deadline_s=1.0, rounds=5)
    run.nodes[3].silent = {"train"}

    def dies() -> None:
        run.nodes[3].answer = lambda _: 3
        run.nodes[3].silent.clear()

    run.after[1] = dies
    lines = run.run()
    assert [outcomes(line)["south"] for line in lines] == ["missing", *["absent"] * 4]
    assert all(line["seconds"] < 1.0 for line in lines[1:])
    assert [late["outcome"] for line in lines for late in line["late"]] == ["failed"]
    assert [asked for asked in run.nodes[3].asked if "train" in asked] == ["train 1"] * 2


def test_a_site_that_dies_before_an_evaluation_is_missed_there_and_nowhere_else(
    tmp_path: Path,
) -> None:
    run = federation(tmp_path, round_deadline_s=1.0, evaluate_every=1)
    run.give_up = False  # the others send no metrics, and are asked again without it
    answer = run.nodes[3].answer

    def until_then(flat: Flat) -> Typed | int:
        dead = "evaluate 1" in run.nodes[3].asked
        return 3 if dead else answer(flat)

    run.nodes[3].answer = until_then
    lines = run.run()
    assert [outcomes(line)["south"] for line in lines] == ["updated", "absent", "absent"]
    assert [asked for asked in run.nodes[3].asked if "hello" not in asked] == [
        "train 1",
        "evaluate 1",
    ]
    assert run.nodes[1].asked.count("evaluate 1") == 2


def test_a_message_that_was_lost_on_its_way_is_sent_once_more(tmp_path: Path) -> None:
    run = federation(tmp_path, round_deadline_s=2.0)
    run.nodes[3].losing = 1
    lines = run.run()
    assert [outcomes(line) for line in lines] == [ALL] * 3
    assert run.nodes[3].asked.count("train 1") == 2
    assert run.nodes[3].asked.count("train 2") == 1
    assert 1.0 <= lines[0]["seconds"] < 2.0
    assert lines[0]["bytes_down"] == 4 / 3 * lines[1]["bytes_down"]
    assert run.moved(1) == pytest.approx(1e-4, rel=1e-2)  # counted once


def test_a_site_that_comes_back_takes_part_again(tmp_path: Path) -> None:
    run = federation(tmp_path)
    run.nodes[2].silent = {"train"}
    run.after[1] = run.nodes[2].silent.clear
    lines = run.run()
    assert outcomes(lines[0])["north"] == "missing"
    assert outcomes(lines[2])["north"] == "updated"


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


@pytest.mark.parametrize("strategy", ["median", "trimmed_mean", "fedprox", "fedyogi"])
def test_strategies_by_name(tmp_path: Path, strategy: str) -> None:
    extra: dict[str, Any] = {"proximal_mu": 0.1} if strategy == "fedprox" else {}
    if strategy == "trimmed_mean":
        extra = {"trim_fraction": 0.34}
    if strategy == "fedyogi":
        extra = {"server_learning_rate": 1e-4}
    run = federation(tmp_path, strategy=strategy, rounds=1, **extra)
    run.nodes[3] = made_up_site(run.folder.study, "south", 9e-4)
    run.run()
    expected = {"median": 1e-4, "trimmed_mean": 1e-4, "fedprox": 11e-4 / 3}
    if strategy in expected:
        assert run.moved(1) == pytest.approx(expected[strategy], rel=1e-2)
    else:
        assert run.moved(1) > 0
    assert not (run.folder.path / "updates").exists()


@pytest.mark.parametrize(("strategy", "needed"), [("median", 3), ("trimmed_mean", 5)])
def test_a_robust_strategy_that_could_leave_nobody_out_does_not_begin(
    tmp_path: Path, strategy: str, needed: int
) -> None:
    run = federation(tmp_path, strategy=strategy)
    del run.nodes[3]
    with pytest.raises(IreneError, match=f"2 sites take part and the study needs {needed}, by its"):
        run.run()


def test_a_round_with_too_few_for_a_robust_strategy_is_not_done(tmp_path: Path) -> None:
    run = federation(tmp_path, strategy="median")
    answer = run.nodes[1].answer
    run.nodes[1].answer = lambda flat: 8 if flat.values.get("round") == 2 else answer(flat)
    with pytest.raises(IreneError, match="round 2: fewer than 3 sites gave an update"):
        run.run()


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


def test_where_all_decline_metrics_one_bad_site_holds_up_no_run(tmp_path: Path) -> None:
    for said in ({"outcome": "failed", "reason": "x"}, {"seconds": float("nan")}, 8):
        run = federation(tmp_path / str(said), rounds=1)
        answer = run.nodes[3].answer

        def bad(flat: Flat, answer: Any = answer, said: Any = said) -> Any:
            if flat.values["kind"] != "evaluate":
                return answer(flat)
            return said if said == 8 else answer(flat).model_copy(update=said)

        run.nodes[3].answer = bad
        (line,) = run.run()
        assert line["evaluation"]["auroc"] is None


@pytest.mark.parametrize("error", [ValueError("x"), KeyError("x"), DecodeError("x"), TypeError()])
def test_bytes_that_flower_can_not_read_are_one_sites_trouble(
    tmp_path: Path, error: Exception
) -> None:
    """A node may send any bytes as an object of Flower's; its grid then raises in our loop."""
    run = federation(tmp_path)
    answer = run.nodes[3].answer

    def unreadable(flat: Flat) -> Typed | int:
        if flat.values["kind"] != "hello":
            raise error
        return answer(flat)  # type: ignore[return-value]

    run.nodes[3].answer = unreadable
    for line in run.run():
        assert outcomes(line) == ALL | {"south": "refused"}
        assert line["sites"]["south"]["reason"].startswith("the reply can't be read (")


def test_the_order_of_arrival_changes_nothing(tmp_path: Path) -> None:
    def weights(order: tuple[int, ...], path: Path) -> Arrays:
        study = study_of({"round_deadline_s": 1.0})
        values = {"east": 1e-4, "north": 3.3333e-4, "south": 7.7e-5}
        nodes = {
            number: made_up_site(study, site, value)
            for number, (site, value) in zip(order, values.items(), strict=True)
        }
        run = Federation(path, study, nodes)
        run.run()
        return run.folder.load_checkpoint(3)

    one, other = weights((1, 2, 3), tmp_path / "a"), weights((9, 4, 2), tmp_path / "b")
    for name, array in one.items():
        np.testing.assert_array_equal(array, other[name])
