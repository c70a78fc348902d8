"""The life of a round: who is asked, who is missed, what is aggregated, and in which order."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from google.protobuf.message import DecodeError

from irene_model.errors import IreneError
from irene_model.exchange.protocol import Arrays, Flat
from irene_model.exchange.protocol import Message as Typed
from tests.helpers.federations.three_sites import ALL, Federation, federation, outcomes
from tests.helpers.made_up_site import made_up_site, study_of

pytestmark = pytest.mark.usefixtures("hurried")


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
