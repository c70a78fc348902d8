"""A journal of many lines costs each line once, and still nothing is added to a damaged one."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from irene_model.errors import DataError
from irene_model.journal import chain
from irene_model.journal.journal import Journal


def test_a_process_hashes_each_line_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    hashed: list[int] = []
    honest = chain._hash

    def counted(previous: str, sequence: int, kind: str, content: str) -> str:
        hashed.append(sequence)
        return honest(previous, sequence, kind, content)

    monkeypatch.setattr(chain, "_hash", counted)
    for number in range(1, 101):  # another object each time, as the ledger's callers make it
        entry = Journal(tmp_path / "journal.jsonl").append("round", who="server", round=number)
        assert entry.sequence == number
    assert hashed == list(range(1, 101))
    assert len(Journal(tmp_path / "journal.jsonl").entries()) == 100
    assert len(hashed) == 100


def test_what_is_altered_a_moment_after_it_was_written_is_found(tmp_path: Path) -> None:
    """With as many bytes as before, within one tick of the kernel's clock."""
    for number in range(20):
        journal = Journal(tmp_path / f"{number}" / "journal.jsonl")
        journal.append("round", who="server", round=1)
        descriptor = os.open(journal.path, os.O_WRONLY)
        os.pwrite(descriptor, b"9", journal.path.read_bytes().index(b"1"))
        os.close(descriptor)
        with pytest.raises(DataError):
            journal.append("round", who="server", round=2)
        with pytest.raises(DataError):
            journal.entries()


def test_another_file_in_its_place_is_read_anew(tmp_path: Path) -> None:
    journal, other = Journal(tmp_path / "journal.jsonl"), Journal(tmp_path / "other.jsonl")
    journal.append("round", who="server", round=1)
    other.append("enrolled", who="coordinator", site="north")
    other.path.replace(journal.path)
    journal.append("round", who="server", round=2)
    assert [entry.kind for entry in journal.entries()] == ["enrolled", "round"]


def test_lines_of_another_process_are_seen(tmp_path: Path) -> None:
    journal = Journal(tmp_path / "journal.jsonl")
    journal.append("round", who="server", round=1)
    program = (
        "import sys; from pathlib import Path; from irene_model.journal import Journal; "
        "Journal(Path(sys.argv[1])).append('round', who='another', round=2)"
    )
    subprocess.run([sys.executable, "-c", program, str(journal.path)], check=True)
    assert journal.append("round", who="server", round=3).sequence == 3
    rounds = [json.loads(entry.content)["round"] for entry in journal.entries()]
    assert rounds == [1, 2, 3]


def test_what_is_given_out_is_a_copy(tmp_path: Path) -> None:
    journal = Journal(tmp_path / "journal.jsonl")
    journal.append("round", who="server", round=1)
    journal.entries().clear()
    assert journal.append("round", who="server", round=2).sequence == 2
