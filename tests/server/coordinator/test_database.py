"""What Flower remembers: lost it is made anew, damaged it is named with a remedy that works."""

import shutil
import sqlite3
from pathlib import Path

import pytest

from irene_model.errors import ConfigError
from server.coordinator.coordinator import Coordinator
from server.coordinator.database import problem_of
from server.coordinator.services import check_start
from server.watch.status_survey import survey
from tests.helpers.coordinator_folder import new_coordinator


@pytest.fixture
def coordinator(tmp_path: Path) -> Coordinator:
    made = new_coordinator(tmp_path / "federation")
    with sqlite3.connect(made.database) as connection:
        connection.execute("PRAGMA journal_mode=WAL")
        connection.execute("CREATE TABLE node (id INTEGER PRIMARY KEY, key BLOB)")
        connection.executemany(
            "INSERT INTO node VALUES (?, ?)", [(n, b"k" * 900) for n in range(99)]
        )
    connection.close()
    return made


def overwrite(path: Path) -> None:
    with path.open("r+b") as file:
        file.seek(8192)
        file.write(b"\x55" * 8192)


def no_database(path: Path) -> None:
    path.write_bytes(b"not at all, but long enough to be looked at" * 99)


def cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


@pytest.mark.parametrize("damage", [overwrite, no_database, cut])
def test_a_damaged_database_is_named_with_a_remedy_that_works(
    coordinator: Coordinator, damage: object
) -> None:
    assert problem_of(coordinator.database) is None
    check_start(coordinator)
    damage(coordinator.database)  # type: ignore[operator]
    with pytest.raises(
        ConfigError, match=r"superlink\.sqlite: is damaged; .* move it away.* start"
    ):
        check_start(coordinator)
    assert any("is damaged" in problem for problem in survey(coordinator).problems)
    (coordinator.path / "aside").mkdir()
    for path in coordinator.path.glob("superlink.sqlite*"):
        shutil.move(path, coordinator.path / "aside")
    assert problem_of(coordinator.database) is None
    check_start(coordinator)


def test_one_that_is_busy_or_empty_or_not_there_is_not_damaged(coordinator: Coordinator) -> None:
    with sqlite3.connect(coordinator.database) as connection:
        connection.execute("BEGIN EXCLUSIVE")
        assert problem_of(coordinator.database) is None
        connection.rollback()
    connection.close()
    coordinator.database.write_bytes(b"")
    assert problem_of(coordinator.database) is None
    coordinator.database.unlink()
    assert problem_of(coordinator.database) is None
    assert not coordinator.database.exists()
