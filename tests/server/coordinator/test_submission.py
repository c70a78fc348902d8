"""A run as the coordinator asks for it and follows it; a scripted Flower answers."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from irene_model.errors import ConfigError, IreneError
from irene_model.study.study import Study
from server.coordinator import submission
from server.coordinator.control import Control, RunStatus
from server.coordinator.coordinator import Coordinator
from server.coordinator.enrolment import EnrolledSite, Enrolment
from server.coordinator.submission import Submission, active, begun_run, carry_out, new_run, submit
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

    def submit(self, config: Mapping[str, str | int]) -> str:
        self.submitted.append(dict(config))
        return str(len(self.submitted))

    def run(self, run_id: str) -> RunStatus | None:
        if self.folder is not None:  # a round passes between two looks
            self.folder.mkdir(parents=True, exist_ok=True)
            (self.folder / "run.json").touch()
            with (self.folder / "rounds.jsonl").open("a") as file:
                count = (self.folder / "rounds.jsonl").read_text().count("\n")
                file.write(json.dumps({"round": count + 1}) + "\n")
        return self.answers.pop(0)


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(submission, "_LOOK_S", 0.0)
    monkeypatch.setattr(submission, "_POLL_S", 0.0)


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


def test_a_run_that_has_not_ended_is_found_again(coordinator: Coordinator) -> None:
    flower = Flower(RUNNING, COMPLETED, None)
    assert active(coordinator, flower, "first") is None  # never submitted: Flower isn't asked
    submit(coordinator, flower, first(coordinator))
    submit(coordinator, flower, first(coordinator))
    submit(coordinator, flower, first(coordinator, name="second"))
    assert active(coordinator, flower, "first") == "2"
    assert active(coordinator, flower, "first") is None
    assert active(coordinator, flower, "first") is None


def test_half_a_line_is_not_read(coordinator: Coordinator) -> None:
    wanted = first(coordinator)
    wanted.folder.mkdir()
    (wanted.folder / "rounds.jsonl").write_text('{"round": 1}\n{"rou')
    assert wanted.rounds == [{"round": 1}]
