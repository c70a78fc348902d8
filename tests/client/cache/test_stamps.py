"""Whether a file is still the one that was read: by its stamp where sure, else by content."""

import os
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from client.cache.stamps import FileRead, all_now

LONG_AGO = 1_000_000_000


def written(path: Path, content: bytes = b"old pixels") -> Path:
    path.write_bytes(content)
    os.utime(path, (LONG_AGO, LONG_AGO))
    return path


def settled(path: Path) -> FileRead:
    """As it would be read minutes after it was written."""
    return replace(FileRead.of(str(path)), settled=True)


def replaced(path: Path) -> None:
    written(path, b"new")


def replaced_alike(path: Path) -> None:
    """Another content of the same size and time, as `rsync --times` or a restore leaves it."""
    written(path, b"new pixels")


def replaced_by_rename(path: Path) -> None:
    written(path.with_name("other"), b"new pixels").rename(path)


def removed(path: Path) -> None:
    path.unlink()


def made_a_folder(path: Path) -> None:
    path.unlink()
    path.mkdir()


@pytest.mark.parametrize(
    "change", [replaced, replaced_alike, replaced_by_rename, removed, made_a_folder]
)
def test_a_changed_file_is_not_the_same(tmp_path: Path, change: Callable[[Path], None]) -> None:
    path = written(tmp_path / "image")
    known = settled(path)
    change(path)
    assert known.now() is None
    assert all_now([known]) is None


def test_a_file_that_only_looks_changed_is_the_same(tmp_path: Path) -> None:
    path = written(tmp_path / "image")
    known = settled(path)
    os.utime(path, (LONG_AGO + 5, LONG_AGO + 5))
    found = known.now()
    assert found is not None and found.sha256 == known.sha256
    assert found.stamp.mtime_ns == (LONG_AGO + 5) * 10**9
    assert all_now([known]) == [found]


def test_an_equal_stamp_settles_nothing_while_it_is_young(tmp_path: Path) -> None:
    """Two contents within one tick of the clock have one stamp."""
    path = written(tmp_path / "image")
    known = FileRead.of(str(path))
    assert not known.settled  # its ctime is of this moment
    earlier = replace(known, sha256="0" * 64)
    assert earlier.now() is None
    assert all_now([earlier]) is None
    assert replace(earlier, settled=True).now() is not None


def test_a_time_in_the_future_never_settles(tmp_path: Path) -> None:
    path = tmp_path / "image"
    path.write_bytes(b"pixels")
    os.utime(path, (4_000_000_000, 4_000_000_000))
    assert not FileRead.of(str(path)).settled


def test_a_settled_file_is_not_read_again(tmp_path: Path) -> None:
    path = written(tmp_path / "image")
    known = replace(settled(path), sha256="of what nobody reads")
    assert known.now() is known
    assert all_now([known, known]) == [known, known]


def test_links_are_followed(tmp_path: Path) -> None:
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        written(tmp_path / name / "image", name.encode() * 5)
    link = tmp_path / "pacs"
    link.symlink_to(tmp_path / "a")
    known = settled(link / "image")
    link.unlink()
    link.symlink_to(tmp_path / "b")
    assert known.now() is None
