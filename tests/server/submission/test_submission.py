"""A run as the coordinator asks for it and follows it; a scripted Flower answers."""

import json
from collections.abc import Mapping
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from irene_model.errors import ConfigError, IreneError
from irene_model.operations.supervised import Running
from irene_model.study.study import Study
from server.coordinator.control import Control, ControlError, NodeStatus, RunStatus
from server.coordinator.coordinator import Coordinator
from server.coordinator.enrolment import EnrolledSite, Enrolment
from server.coordinator.run_records import read_record
from server.submission import following, keeper, submission
from server.submission.cancellation import cancel
from server.submission.following import Lines, carry_out
from server.submission.keeper import Keeper
from server.submission.submission import Submission, active, begin, begun_run, new_run, submit
from server.submission.taking_up import take_up
from tests.helpers.coordinator_folder import new_coordinator

RUNNING = RunStatus(status="running", details="")
COMPLETED = RunStatus(status="finished:completed", details="")
LOST = RunStatus(status="finished:failed", details="No heartbeat received from the task")
FAILED = RunStatus(
    status="finished:failed", details="ServerApp failed with exception: round 1: no site answers"
)
STOPPED = RunStatus(status="finished:stopped", details="")


class Flower(Control):
    """Gives out `answers` one by one, and does `between` before each."""

    def __init__(self, *answers: RunStatus | None) -> None:
        self.answers = list(answers)
        self.submitted: list[dict[str, str | int]] = []
        self.folder: Path | None = None
        self.stopped: list[str] = []
        self.asked: list[str] = []

    def submit(self, config: Mapping[str, str | int]) -> str:
        self.submitted.append(dict(config))
        return str(len(self.submitted))

    def stop(self, run_id: str) -> None:
        self.stopped.append(run_id)

    def nodes(self) -> dict[str, NodeStatus]:
        return {"1": NodeStatus(online=True, since=None)}

    def run(self, run_id: str) -> RunStatus | None:
        self.asked.append(run_id)
        if self.folder is not None:  # a round passes between two looks
            self.folder.mkdir(parents=True, exist_ok=True)
            (self.folder / "run.json").touch()
            with (self.folder / "rounds.jsonl").open("a") as file:
                count = (self.folder / "rounds.jsonl").read_text().count("\n")
                file.write(json.dumps({"round": count + 1}) + "\n")
        return self.answers.pop(0)


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(following, "_LOOK_S", 0.0)
    monkeypatch.setattr(following, "_POLL_S", 0.0)


@pytest.fixture
def coordinator(tmp_path: Path) -> Coordinator:
    made = new_coordinator(tmp_path / "federation")
    site = EnrolledSite(node_id="1", key_sha256="0" * 64, enrolled="2026-01-01T00:00:00+00:00")
    Enrolment(sites={"north": site, "south": site}).write(made.enrolled)
    return made


def first(coordinator: Coordinator, **options: Any) -> Submission:
    given = {"name": "first", "seed": 7, **options}
    return new_run(coordinator, coordinator.path / "study.yaml", **given)


def test_a_new_run_names_absolute_paths_and_all_sites(coordinator: Coordinator) -> None:
    flower = Flower()
    assert submit(coordinator, flower, first(coordinator)) == "1"
    assert flower.submitted == [
        {
            "study": str(coordinator.path / "study.yaml"),
            "out": str(coordinator.runs / "first"),
            "seed": 7,
            "sites": 2,
            "enrolled": str(coordinator.enrolled),
            "start-image": "",
            "start-text": "",
        }
    ]
    (entry,) = coordinator.journal.entries()
    fingerprint = Study.read(coordinator.path / "study.yaml").fingerprint
    assert json.loads(entry.content)["study_sha256"] == fingerprint
    assert not (coordinator.runs / "first").exists()  # the ServerApp makes it


def test_a_run_without_a_name_is_called_after_its_study(coordinator: Coordinator) -> None:
    assert first(coordinator, name=None).name.startswith("chest-findings-2")


def test_what_could_not_become_a_run_is_refused(coordinator: Coordinator, tmp_path: Path) -> None:
    (coordinator.runs / "taken").mkdir()
    with pytest.raises(ConfigError, match=r"--name taken: .* exists; use --resume taken"):
        first(coordinator, name="taken")
    for name in ("../out", "a/b", "", ".hidden", "a b"):
        with pytest.raises(ConfigError, match="a run's name is at most 100 letters"):
            first(coordinator, name=name)
    with pytest.raises(ConfigError, match=r"--start-image: .*: no such file"):
        first(coordinator, start_image=tmp_path / "nothing")
    with pytest.raises(ConfigError, match=r"nothing\.yaml: no such file"):
        new_run(coordinator, tmp_path / "nothing.yaml", name="x", seed=0)
    Enrolment().write(coordinator.enrolled)
    with pytest.raises(ConfigError, match="at least 2 sites and 0 enrolled"):
        first(coordinator)


def test_a_run_goes_on_with_its_own_study_only(coordinator: Coordinator) -> None:
    with pytest.raises(ConfigError, match=r"--resume first: no run of that name has begun.*none"):
        begun_run(coordinator, "first", None)
    study, folder = coordinator.path / "study.yaml", coordinator.runs / "first"
    folder.mkdir()
    (folder / "run.json").touch()
    (folder / "study.yaml").write_bytes(study.read_bytes())
    assert begun_run(coordinator, "first", study).study == folder / "study.yaml"
    study.write_text(study.read_text().replace("rounds: 20", "rounds: 30"))
    with pytest.raises(ConfigError, match="differs from the study that first began with"):
        begun_run(coordinator, "first", study)
    for name in ("results.json", "report.html"):
        (folder / name).touch()
    with pytest.raises(ConfigError, match="has finished; its report"):
        begun_run(coordinator, "first", None)


def follow(coordinator: Coordinator, flower: Flower) -> tuple[list[int], list[str]]:
    """Submit and follow; the rounds that were shown, and what was said."""
    wanted = first(coordinator)
    flower.folder = wanted.folder
    seen: list[int] = []
    said: list[str] = []
    run_id = submit(coordinator, flower, wanted)
    carry_out(
        coordinator, flower, wanted, run_id,
        observe=lambda line: seen.append(line["round"]), say=said.append,
    )  # fmt: skip
    return seen, said


def test_each_round_is_shown_once(coordinator: Coordinator) -> None:
    seen, said = follow(coordinator, Flower(RUNNING, RUNNING, COMPLETED))
    assert seen == [1, 2, 3]
    assert said == []
    assert json.loads(coordinator.journal.entries()[-1].content)["status"] == "finished:completed"


def test_a_run_whose_process_vanished_goes_on_by_itself(coordinator: Coordinator) -> None:
    flower = Flower(RUNNING, LOST, RUNNING, COMPLETED)
    seen, said = follow(coordinator, flower)
    assert seen == [1, 2, 3, 4]
    assert said == [
        "the run's process was lost (No heartbeat received from the task); going on after round 2"
    ]
    assert len(flower.submitted) == 2
    assert flower.submitted[0] == flower.submitted[1]


def test_a_run_that_is_lost_again_and_again_without_a_round_is_given_up(
    coordinator: Coordinator,
) -> None:
    flower, wanted = Flower(*[LOST] * 9), first(coordinator)
    run_id = submit(coordinator, flower, wanted)
    with pytest.raises(IreneError, match="failed: No heartbeat"):
        carry_out(coordinator, flower, wanted, run_id, observe=print, say=lambda _: None)
    assert len(flower.submitted) == 4


@pytest.mark.parametrize(
    ("status", "said"),
    [
        (FAILED, "run first failed: round 1: no site answers; go on with irene-server run .*"),
        (STOPPED, "run first was stopped; go on with irene-server run .* --resume first"),
    ],
)
def test_a_run_that_failed_is_not_tried_again(
    coordinator: Coordinator, status: RunStatus, said: str
) -> None:
    flower = Flower(RUNNING, status)
    with pytest.raises(IreneError, match=said):
        follow(coordinator, flower)
    assert len(flower.submitted) == 1


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


def test_lines_are_given_once_however_the_file_changes(tmp_path: Path) -> None:
    path = tmp_path / "rounds.jsonl"
    lines = Lines(path=path, seen=1)
    assert lines.new() == []
    path.write_text('{"round": 1}\n{"round": 2}\n{"ro')
    assert lines.new() == [{"round": 2}] and lines.new() == []
    with path.open("a") as file:
        file.write('und": 3}\n')
    assert lines.new() == [{"round": 3}]
    (tmp_path / "new").write_text('{"round": 1}\n')  # resumed: the last two are trained again
    (tmp_path / "new").replace(path)
    assert lines.new() == []
    with path.open("a") as file:
        file.write("".join(f'{{"round": {n}}}\n' for n in (2, 3, 4)))
    assert lines.new() == [{"round": 4}]


def test_a_run_that_has_not_ended_is_found_again(coordinator: Coordinator) -> None:
    flower = Flower(RUNNING, COMPLETED, None)
    assert active(coordinator, flower, "first") is None  # never submitted: Flower isn't asked
    submit(coordinator, flower, first(coordinator))
    submit(coordinator, flower, first(coordinator))
    submit(coordinator, flower, first(coordinator, name="second"))
    assert active(coordinator, flower, "first") == "2"
    assert active(coordinator, flower, "first") is None
    assert active(coordinator, flower, "first") is None


def test_a_run_older_than_the_twenty_that_flower_lists_is_not_forgotten(
    coordinator: Coordinator,
) -> None:
    class Listing(Control):
        def _ask(self, *arguments: str) -> dict[str, Any]:
            most = int(arguments[arguments.index("--limit") + 1]) if "--limit" in arguments else 20
            runs = [
                {"run-id": str(number), "status": "running", "status-details": ""}
                for number in range(30, 0, -1)
            ]
            return {"success": True, "runs": runs[:most]}

    assert Listing(coordinator).run("1") == RUNNING
    assert Listing(coordinator).run("31") is None


def test_half_a_line_is_not_read(coordinator: Coordinator) -> None:
    wanted = first(coordinator)
    wanted.folder.mkdir()
    (wanted.folder / "rounds.jsonl").write_text('{"round": 1}\n{"rou')
    assert wanted.rounds == [{"round": 1}]
