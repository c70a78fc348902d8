"""The journal: what was written stays, in order, and tampering is found."""

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from irene_model.errors import DataError
from irene_model.journal.journal import Journal


def test_entries_come_back_in_order(tmp_path: Path) -> None:
    journal = Journal(tmp_path / "deep" / "journal.jsonl")
    journal.append("enrolled", who="coordinator", site="north", key="ab" * 32)
    journal.append("round", who="server", round=1, sites=4)
    assert [entry.kind for entry in journal.entries()] == ["enrolled", "round"]
    assert '"round":1' in journal.entries()[1].content
    assert journal.path.stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize("old, new", [("north", "south"), ("enrolled", "expelled")])
def test_an_altered_line_is_found_and_nothing_is_added(tmp_path: Path, old: str, new: str) -> None:
    journal = Journal(tmp_path / "journal.jsonl")
    for site in ("north", "east"):
        journal.append("enrolled", who="coordinator", site=site)
    text = journal.path.read_text().replace(old, new, 1)
    journal.path.write_text(text)
    with pytest.raises(DataError, match="row 1 was altered"):
        journal.append("enrolled", who="coordinator", site="west")
    assert journal.path.read_text() == text


def test_a_removed_line_is_found(tmp_path: Path) -> None:
    journal = Journal(tmp_path / "journal.jsonl")
    for round in range(3):
        journal.append("round", who="server", round=round)
    lines = journal.path.read_text().splitlines(keepends=True)
    journal.path.write_text(lines[0] + lines[2])
    with pytest.raises(DataError, match="row 2 is missing"):
        journal.entries()


def test_a_line_cut_off_by_a_crash_is_dropped(tmp_path: Path) -> None:
    journal = Journal(tmp_path / "journal.jsonl")
    journal.append("round", who="server", round=1)
    whole = journal.path.read_text()
    journal.path.write_text(whole + whole[:40])
    assert len(journal.entries()) == 1
    journal.append("round", who="server", round=2)
    assert [entry.sequence for entry in journal.entries()] == [1, 2]


def test_writers_wait_for_each_other(tmp_path: Path) -> None:
    journal = Journal(tmp_path / "journal.jsonl")
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda n: journal.append("round", who="server", round=n), range(40)))
    assert len(journal.entries()) == 40
