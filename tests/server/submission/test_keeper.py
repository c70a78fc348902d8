"""Who keeps a run alive: a lost one is taken up again, a cancelled one is not."""

import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from irene_model.errors import ConfigError, IreneError
from irene_model.operations.supervised import Running
from server.coordinator.control import ControlError, NodeStatus, RunStatus
from server.coordinator.coordinator import Coordinator
from server.coordinator.run_records import read_record
from server.submission import following, keeper, submission
from server.submission.cancellation import cancel
from server.submission.following import carry_out
from server.submission.keeper import Keeper
from server.submission.submission import begin, begun_run, submit
from server.submission.taking_up import take_up
from tests.helpers.federations.scripted_flower import (
    COMPLETED,
    LOST,
    RUNNING,
    STOPPED,
    Flower,
    first,
)

pytestmark = pytest.mark.usefixtures("quick")


@pytest.fixture
def executors(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Which SuperExec is alive: the last of the list."""
    alive = ["first"]
    for module in (submission, following, keeper):
        monkeypatch.setattr(module, "executor", lambda _: alive[-1])
    superlink = Running(pid=1, started="", restarts=0, born="1", alive=True)
    monkeypatch.setattr(keeper, "running", lambda _: {"superlink": superlink})
    return alive


def keeper_of(coordinator: Coordinator, flower: Flower) -> Keeper:
    return Keeper(coordinator=coordinator, control=flower)


def test_a_detached_run_whose_executor_died_is_taken_up_again(
    coordinator: Coordinator, executors: list[str]
) -> None:
    flower = Flower(RUNNING, RUNNING, RUNNING)
    submit(coordinator, flower, first(coordinator))
    keeper_of(coordinator, flower).look()
    assert flower.asked == ["1"] and len(flower.submitted) == 1
    executors.append("")  # dead, and not there again yet
    keeper_of(coordinator, flower).look()
    executors.append("second")
    again = keeper_of(coordinator, flower)
    again.look()
    assert flower.stopped == ["1"]
    assert flower.submitted[1] == flower.submitted[0]  # though its folder was not there yet
    record = read_record(coordinator, "first")
    assert [each.flower_run for each in record.handed] == ["1", "2"]
    assert record.newest.lost == "SuperExec was started again" and record.open
    again.look()
    assert len(flower.submitted) == 2  # one taking up for one loss


@pytest.mark.parametrize("lost", [LOST, None])  # None: Flower has lost its database
def test_a_lost_run_is_taken_up_and_its_end_is_noted_once(
    coordinator: Coordinator, executors: list[str], lost: RunStatus | None
) -> None:
    flower, wanted = Flower(lost, COMPLETED, COMPLETED), first(coordinator)
    submit(coordinator, flower, wanted)
    keeper_of(coordinator, flower).look()
    assert len(flower.submitted) == 2
    keeper_of(coordinator, flower).look()
    # Who followed it from its first submission on sees the second one's end.
    said: list[str] = []
    flower.answers[:0] = [STOPPED]
    carry_out(coordinator, flower, wanted, "1", observe=print, say=said.append)
    assert len(said) == 1 and flower.asked[-2:] == ["1", "2"]
    kinds = [entry.kind for entry in coordinator.journal.entries()]
    assert kinds == ["run submitted", "run submitted", "run ended"]
    keeper_of(coordinator, flower).look()  # nothing is open: Flower is not asked


def test_a_run_that_is_lost_for_ever_is_given_up_by_the_keeper_too(
    coordinator: Coordinator, executors: list[str]
) -> None:
    flower = Flower(*[LOST] * 4)
    submit(coordinator, flower, first(coordinator))
    for _ in range(6):
        keeper_of(coordinator, flower).look()
    assert len(flower.submitted) == 4
    assert read_record(coordinator, "first").ended == f"lost: {LOST.details}"


def test_two_that_see_the_same_loss_submit_once(
    coordinator: Coordinator, executors: list[str]
) -> None:
    flower, wanted = Flower(), first(coordinator)
    submit(coordinator, flower, wanted)
    assert take_up(coordinator, flower, wanted, "1", lost="it died") == "2"
    assert take_up(coordinator, flower, wanted, "1", lost="it died") == "2"
    assert len(flower.submitted) == 2
    flower.answers = [RUNNING]
    assert begin(coordinator, flower, wanted) == ("2", False)


def test_what_fails_is_said_once_and_tried_again(
    coordinator: Coordinator, executors: list[str], caplog: pytest.LogCaptureFixture
) -> None:
    class Silent(Flower):
        def nodes(self) -> dict[str, NodeStatus]:
            self.asked.append("nodes")
            raise ControlError("the SuperLink does not answer")

    silent = Silent()
    looking = keeper_of(coordinator, silent)
    looking.look()
    looking.look()
    assert silent.asked == ["nodes", "nodes"] and caplog.text.count("does not answer") == 1


def test_a_cancelled_run_ends_for_good_and_another_goes_on(
    coordinator: Coordinator, executors: list[str]
) -> None:
    flower, wanted = Flower(RUNNING), first(coordinator)
    submit(coordinator, flower, wanted)
    submit(coordinator, flower, first(coordinator, name="second"))
    wanted.folder.mkdir()
    cancel(coordinator, flower, "first")
    assert flower.stopped == ["1"]
    assert json.loads((wanted.folder / "cancelled.json").read_text())["time"]
    executors.append("another")
    flower.answers = [RUNNING]
    keeper_of(coordinator, flower).look()
    assert flower.asked[-1] == "2" and len(flower.submitted) == 3  # the second's alone
    flower.answers = [STOPPED]
    with pytest.raises(IreneError, match=r"run first was cancelled, by .* on 20"):
        carry_out(coordinator, flower, wanted, "1", observe=print, say=print)
    (wanted.folder / "run.json").touch()
    with pytest.raises(ConfigError, match=r"--resume first: was cancelled, by .*a new run begins"):
        begun_run(coordinator, "first", None)
    flower.answers = [RUNNING]
    with pytest.raises(ConfigError, match="first: was cancelled already"):
        cancel(coordinator, flower, "first")
    assert flower.stopped[-1] == "1"  # Flower had not ended it the first time
    with pytest.raises(ConfigError, match="third: no such run; first, second was submitted"):
        cancel(coordinator, flower, "third")
    done = coordinator.runs / "second"
    done.mkdir()
    (done / "results.json").touch()
    with pytest.raises(ConfigError, match="second: has finished; its report"):
        cancel(coordinator, flower, "second")


def test_a_server_does_not_take_up_what_was_cancelled(tmp_path: Path) -> None:
    from server.app import main

    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "cancelled.json").write_text("{}")

    function: Any = getattr(main, "__wrapped__", main)
    with pytest.raises(ConfigError, match="was cancelled, and is not taken up again"):
        function(None, SimpleNamespace(run_config={"study": "x", "out": str(tmp_path / "run")}))
