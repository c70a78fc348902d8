"""What a disk does to a run: flipped bits, half files, and no room. Nothing is lost."""

import json
import logging
import shutil
from pathlib import Path

import pytest

from irene_model.errors import DiskError
from server.runs import manifest
from server.runs.run_folder import RunFolder
from tests.helpers.full_disk import full_disk
from tests.server.runs.test_run_folder import after, assert_same, play, study


@pytest.fixture
def folder(tmp_path: Path) -> RunFolder:
    return RunFolder.create(tmp_path / "run", study(), seed=3)


def flip(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)


def cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


@pytest.mark.parametrize("damage", [flip, cut, Path.unlink])
@pytest.mark.parametrize("name", ["model.safetensors", "config.json", manifest.NAME])
def test_a_damaged_checkpoint_is_known_and_the_one_before_is_used(
    folder: RunFolder, damage: object, name: str, caplog: pytest.LogCaptureFixture
) -> None:
    play(folder, 1, 2)
    assert manifest.problem_of(folder.checkpoint(2)) is None
    damage(folder.checkpoint(2) / name)  # type: ignore[operator]
    with caplog.at_level(logging.ERROR):
        again = RunFolder.resume(folder.path)
    assert again.last_round == 1
    assert [line["round"] for line in again.rounds()] == [1]
    assert_same(again.load_checkpoint(1), after(folder, 1))
    assert again.info["restarted"] == [2, 3]  # both may have been charged, and are told of again
    assert "the run goes on from the checkpoint before" in caplog.text
    (aside,) = (folder.path / "checkpoints").glob("round-0002.damaged-*")  # kept as evidence
    play(again, 2)
    assert RunFolder.resume(folder.path).last_round == 2 and aside.exists()


def damaged(folder: RunFolder, *rounds: int) -> RunFolder:
    for round in rounds:
        flip(folder.checkpoint(round) / "model.safetensors")
    return RunFolder.resume(folder.path)


def test_of_two_damaged_checkpoints_the_one_that_no_site_can_send_again_is_stood_in_for(
    folder: RunFolder,
) -> None:
    play(folder, 1, 2, 3)
    again = damaged(folder, 2, 3)  # a site that was asked for round 4 keeps rounds 3 and 4
    assert again.last_round == 2 and again.info["lost_rounds"] == [2]
    assert again.info["restarted"] == [3, 4]
    assert [line["round"] for line in again.rounds()] == [1, 2]  # what it cost is counted
    assert_same(again.load_checkpoint(2), after(folder, 1))
    assert manifest.problem_of(again.checkpoint(2)) is None
    play(again, 3)
    assert RunFolder.resume(folder.path).last_round == 3


def test_checkpoints_that_are_damaged_one_after_the_other_are_stood_in_for_too(
    folder: RunFolder,
) -> None:
    play(folder, 1, 2, 3)
    assert damaged(folder, 3).last_round == 2  # and the server is killed before round 3 is done
    again = damaged(folder, 2)
    assert again.last_round == 2 and again.info["lost_rounds"] == [2]
    again = damaged(folder, 1, 2)
    assert again.last_round == 2 and again.info["lost_rounds"] == [1, 2]
    assert_same(again.load_checkpoint(2), after(folder, 0))
    assert again.info["restarted"] == [3, 4]


def test_a_server_killed_while_it_sets_damaged_ones_aside_loses_nothing_more(
    folder: RunFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    play(folder, 1, 2, 3)
    with monkeypatch.context() as patch:
        patch.setattr("server.runs.damage.stand_in", lambda *_, **__: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            damaged(folder, 2, 3)
    again = RunFolder.resume(folder.path)
    assert again.last_round == 2 and again.info["restarted"] == [3, 4]


def test_rounds_beyond_9999_are_in_the_order_of_their_numbers(folder: RunFolder) -> None:
    for round in (9_998, 9_999, 10_000, 100_001):
        shutil.copytree(folder.checkpoint(0), folder.checkpoint(round))
    assert folder.last_round == 100_001 and folder.checkpoint(100_001).name == "round-100001"
    (folder.checkpoints / "round-100002.partial").mkdir()
    (folder.checkpoints / "round-100003.damaged-00ff00").mkdir()
    assert folder.last_round == 100_001
    lines = "".join(json.dumps({"round": n}) + "\n" for n in range(1, 100_002))
    (folder.path / "rounds.jsonl").write_text(lines)
    again = damaged(folder, 100_001)
    assert again.last_round == 100_000 and again.info["restarted"] == [100_001, 100_002]


@pytest.mark.parametrize("room", [20_000, 300])  # no room for the weights; none for run.json
def test_a_full_disk_stops_with_one_sentence_and_loses_nothing(
    folder: RunFolder, room: int
) -> None:
    play(folder, 1)
    with (
        full_disk(room),
        pytest.raises(DiskError, match=r"the disk is full.*nothing is lost: make room and resume"),
    ):
        play(RunFolder.resume(folder.path), 2)
    json.loads((folder.path / "run.json").read_text())
    again = RunFolder.resume(folder.path)
    assert again.last_round == 1
    assert_same(again.load_checkpoint(1), after(folder, 1))
    play(again, 2)
    assert RunFolder.resume(folder.path).last_round == 2
