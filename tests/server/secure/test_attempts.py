"""attempts.jsonl: numbers that are never used twice, whatever a crash left."""

import json
from pathlib import Path

import pytest

from irene_model.errors import CheckpointError
from server.secure.attempts import ABORTED, NAME, SUMMED, Attempts

SITES = ("west", "east", "north")


def test_a_number_grows_within_a_round_and_what_is_asked_in_it(tmp_path: Path) -> None:
    attempts = Attempts(tmp_path)
    numbers = [
        attempts.begin(what, round, SITES)["attempt"]
        for what, round in (("train", 1), ("train", 1), ("test", 1), ("train", 2), ("train", 1))
    ]
    assert numbers == [1, 2, 1, 1, 3]
    assert Attempts(tmp_path).begin("train", 1, SITES)["attempt"] == 4


def test_an_attempt_is_read_again_as_it_ended(tmp_path: Path) -> None:
    attempts = Attempts(tmp_path)
    first, second = attempts.begin("train", 1, SITES), attempts.begin("train", 1, SITES[:2])
    attempts.end(first, ABORTED, blamed={"west": "gone"}, spared=["west"])
    attempts.end(second, SUMMED)
    for known in (attempts, Attempts(tmp_path)):
        ended = known.of("train", 1)
        assert [each["outcome"] for each in ended] == ["aborted", "summed"]
        assert ended[0]["partners"] == ["east", "north", "west"]
        assert ended[0]["blamed"] == {"west": "gone"} and ended[0]["spared"] == ["west"]
    assert known.of("train", 2) == [] and len(known.all()) == 2


def test_a_line_that_a_crash_cut_off_asked_nobody(tmp_path: Path) -> None:
    Attempts(tmp_path).begin("train", 1, SITES)
    path = tmp_path / NAME
    path.write_text(path.read_text() + '{"what": "train", "round": 1, "att')
    assert Attempts(tmp_path).begin("train", 1, SITES)["attempt"] == 2
    assert [json.loads(line)["attempt"] for line in path.read_text().splitlines()] == [1, 2]


@pytest.mark.parametrize(
    "line", ["nonsense", "[]", '{"what": "train"}', '{"attempt": 0}', '{"attempt": 1e9}']
)
def test_a_damaged_file_is_refused_since_a_number_could_be_used_twice(
    tmp_path: Path, line: str
) -> None:
    Attempts(tmp_path).begin("train", 1, SITES)
    path = tmp_path / NAME
    path.write_text(f"{line}\n{path.read_text()}")
    with pytest.raises(CheckpointError, match="line 1: is damaged"):
        Attempts(tmp_path)
