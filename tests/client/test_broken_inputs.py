"""Two thousand broken files: each is read, counted as unreadable, or refused by one sentence."""

import json
import os
import resource
import subprocess
import sys
from pathlib import Path
from random import Random

import pytest

from irene_model.errors import DataError
from tests.drills.fuzz import MOST_BYTES, fault_of, run_inputs
from tests.helpers.fuzzing.formats import Format, formats

COUNT, SEED = 2000, 0
_MOST_S = 120  # of a processor, several times what it takes
_MAPPED = 3 << 30  # bytes of its own: beyond them a process gets no memory at all


class _AsItIsError(DataError):
    """One that does not take care of what it says."""

    def __str__(self) -> str:
        return str(self.args[0])


def bounded() -> None:
    resource.setrlimit(resource.RLIMIT_DATA, (_MAPPED, _MAPPED))
    resource.setrlimit(resource.RLIMIT_CPU, (_MOST_S, _MOST_S))


@pytest.mark.slow
def test_two_thousand_broken_inputs_end_in_a_value_or_one_clear_error(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "tests.drills.fuzz", "--folder", str(tmp_path)]
    done = subprocess.run(
        [*command, "--count", str(COUNT), "--seed", str(SEED)],
        stdout=subprocess.PIPE,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        check=False,
        preexec_fn=bounded,
    )
    now = (tmp_path / "now").read_text(encoding="utf-8")
    assert done.stdout, f"exit code {done.returncode} at input {now} of seed {SEED}"
    found = json.loads(done.stdout)
    assert not found["faults"], f"python -m tests.drills.fuzz --seed {SEED} --only N"
    assert found["memory"] < MOST_BYTES
    outcomes = [sum(count.values()) for count in found["counts"].values()]
    assert sum(outcomes) == COUNT and min(outcomes) >= COUNT // len(outcomes)
    for name, count in found["counts"].items():
        assert count.get("refused", 0) > 50, f"{name}: hardly anything was broken"


def test_an_input_is_the_same_every_time(tmp_path: Path) -> None:
    kinds = formats(tmp_path / "a")
    again = formats(tmp_path / "b")
    for number, name in enumerate(kinds):
        for where, those in (("a", kinds), ("b", again)):
            those[name].write_broken(tmp_path / where / name, Random(f"3-{number}"))
        for file in kinds[name].valid:
            if name != "json":  # it holds the times of a journal
                first, second = (tmp_path / where / name / file for where in "ab")
                assert first.read_bytes() == second.read_bytes()


def test_a_fault_is_found_and_told_by_its_number(tmp_path: Path) -> None:
    def reader(error: Exception | None) -> Format:
        def read(path: Path) -> None:
            if error is not None:
                raise error

        return Format(valid={"a": b"x"}, broken=[lambda content, rng: content], read=read)

    outcomes = {
        "read": None,
        "refused": DataError("a file: is damaged; copy it again"),
        "fault": ValueError("not ours"),
    }
    for outcome, error in outcomes.items():
        assert fault_of(reader(error), tmp_path, Random(0))[0] == outcome
    for unclear in ("", "two\nlines", "\x1b[2J", "x" * 10_000):
        assert fault_of(reader(_AsItIsError(unclear)), tmp_path, Random(0))[0] == "fault"
    found = run_inputs([5], 0, tmp_path / "run")
    assert sum(sum(count.values()) for count in found["counts"].values()) == 1
