"""A run as the coordinator asks for it and follows it; a scripted Flower answers."""

import json
from pathlib import Path
from typing import Any

import pytest

from irene_model.errors import ConfigError, IreneError
from irene_model.study.study import Study
from server.coordinator.control import Control, RunStatus
from server.coordinator.coordinator import Coordinator
from server.coordinator.enrolment import Enrolment
from server.submission.following import Lines, carry_out
from server.submission.submission import active, begun_run, new_run, submit
from tests.helpers.federations.scripted_flower import (
    COMPLETED,
    FAILED,
    LOST,
    RUNNING,
    STOPPED,
    Flower,
    first,
)

pytestmark = pytest.mark.usefixtures("quick")


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
