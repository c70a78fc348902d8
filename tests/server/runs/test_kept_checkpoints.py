"""Which checkpoints stay, and that a run of many rounds takes up hardly more than they do."""

from pathlib import Path
from typing import Any

import pytest

from server.runs.checkpoint_files import KEPT, place_of, remove, rounds_in, superfluous
from server.runs.run_folder import RunFolder
from tests.helpers.federations.three_sites import federation

LINE_BYTES = 8_000  # of a round with three sites, in rounds.jsonl and run.log


def line(round: int, auroc: Any) -> dict[str, Any]:
    return {"round": round, "evaluation": None if auroc is None else {"auroc": auroc}}


@pytest.mark.parametrize(
    ("aurocs", "stay"),
    [
        ([None] * 10, [0, 8, 9, 10]),
        ([0.6, 0.9, 0.7, None, 0.5, 0.5, 0.5, 0.5, 0.5, 0.5], [0, 2, 8, 9, 10]),
        ([0.6, 0.9, 0.9, 0.9, 0.5, 0.5, 0.5, 0.5, 0.5, 0.5], [0, 2, 8, 9, 10]),  # the earliest
        ([0.6] * 9 + [0.7], [0, 8, 9, 10]),
        ([None, "0.9", {}, 0.4, None, None, None, None, None, None], [0, 4, 8, 9, 10]),
    ],
)
def test_the_first_the_best_and_the_newest_stay(aurocs: list[Any], stay: list[int]) -> None:
    lines = [line(round, auroc) for round, auroc in enumerate(aurocs, start=1)]
    gone = superfluous(range(11), 3, lines)
    assert sorted(set(range(11)) - set(gone)) == stay


def test_the_best_is_of_those_that_are_here() -> None:
    lines = [line(1, 0.9), line(2, 0.8), line(3, 0.7), line(4, None), line(5, None)]
    assert superfluous([0, 2, 3, 4, 5], 2, lines) == [3]


def test_what_a_crash_left_half_removed_goes_and_is_no_checkpoint(tmp_path: Path) -> None:
    for round in range(4):
        place_of(tmp_path, round).mkdir()
        (place_of(tmp_path, round) / "model.safetensors").write_bytes(b"1")
    half = place_of(tmp_path, 9).with_suffix(".leaving")
    half.mkdir()
    assert rounds_in(tmp_path) == [0, 1, 2, 3]
    remove(tmp_path, [1])
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        "round-0000", "round-0002", "round-0003",
    ]  # fmt: skip


@pytest.mark.usefixtures("hurried")
def test_a_round_adds_its_line_and_hardly_anything_else(tmp_path: Path) -> None:
    run = federation(tmp_path, rounds=12)
    run.folder.update_info(keep_checkpoints=3)
    sizes: dict[int, int] = {}
    for round in range(1, 13):
        run.after[round] = lambda round=round: sizes.update({round: size(run.folder)})
    run.run()
    assert len(rounds_in(run.folder.checkpoints)) <= 5
    assert {0, 10, 11, 12} <= set(rounds_in(run.folder.checkpoints))
    growth = (sizes[12] - sizes[6]) / 6
    checkpoint = sum(path.stat().st_size for path in run.folder.checkpoint(12).iterdir())
    assert growth < LINE_BYTES < checkpoint
    again = RunFolder.resume(run.folder.path)
    assert (again.last_round, len(again.rounds())) == (12, 12)


def test_a_number_that_nobody_wrote_keeps_as_many_as_ever(tmp_path: Path) -> None:
    run = federation(tmp_path, rounds=2)
    for told in ("all", None, 1.5):
        run.folder.info["keep_checkpoints"] = told
        run.folder.thin([])
    assert rounds_in(run.folder.checkpoints) == [0]
    assert KEPT >= 3


def size(folder: RunFolder) -> int:
    return sum(path.stat().st_size for path in folder.path.rglob("*") if path.is_file())
