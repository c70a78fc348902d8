"""A cache that is built, interrupted, taken up again, and opened by several processes at once."""

import os
import shutil
import signal
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from client.cache import PIXELS, FileRead, keep_pixels, locked_cache
from client.cache.journal import NAME

SIZE = 4


class Hospital:
    """Files whose first byte is the grey of their picture, and a note of each decoding."""

    def __init__(self, folder: Path, count: int = 12) -> None:
        self.folder = folder
        self.images = [folder / "images" / f"{n}" for n in range(count)]
        self.images[0].parent.mkdir()
        self.table = folder / "table.csv"
        self.table.write_text("a table")
        for n, image in enumerate(self.images):
            image.write_bytes(bytes([n + 1, 7]))
        self.decoded = folder / "decoded"
        self.decoded.touch()

    def decode(self, row: int) -> np.ndarray:  # type: ignore[type-arg]
        with self.decoded.open("a") as notes:
            notes.write(f"{row}\n")
        return np.full((SIZE, SIZE), self.images[row].read_bytes()[0], dtype=np.uint8)

    def open(
        self,
        key: str = "key",
        decode: Callable[[int], np.ndarray] | None = None,  # type: ignore[type-arg]
        edition: int = 1,
    ) -> np.ndarray:  # type: ignore[type-arg]
        with locked_cache(self.folder / "cache", edition=edition, key=key) as cache:
            if not cache.is_current():
                with cache.rebuilt([FileRead.of(str(self.table))]) as work:
                    keep_pixels(work, self.images, SIZE, decode or self.decode)
            pixels = np.load(cache.folder / PIXELS, mmap_mode="r")
            assert isinstance(pixels, np.ndarray)
            return pixels

    def newly_decoded(self) -> list[int]:
        """The rows decoded since the last call."""
        rows = sorted(int(row) for row in self.decoded.read_text().split())
        self.decoded.write_text("")
        return rows

    def is_right(self, pixels: np.ndarray) -> bool:  # type: ignore[type-arg]
        return [int(p[0, 0]) for p in pixels] == [p.read_bytes()[0] for p in self.images]

    def folders(self) -> list[str]:
        return sorted(path.name for path in (self.folder / "cache").glob("*/"))


@pytest.fixture
def hospital(tmp_path: Path) -> Hospital:
    return Hospital(tmp_path)


def test_an_unchanged_cache_is_opened_and_nothing_is_decoded(hospital: Hospital) -> None:
    assert hospital.is_right(hospital.open())
    assert hospital.newly_decoded() == list(range(12))
    assert hospital.is_right(hospital.open())
    assert hospital.newly_decoded() == []


def test_only_what_changed_is_decoded(hospital: Hospital) -> None:
    before = hospital.open()
    hospital.newly_decoded()
    hospital.images[3].write_bytes(bytes([99, 7]))
    os.utime(hospital.images[4])
    hospital.images[5] = hospital.images[5].rename(hospital.images[5].with_name("moved"))
    after = hospital.open()
    assert hospital.newly_decoded() == [3]
    assert hospital.is_right(after) and after[3, 0, 0] == 99
    assert before[3, 0, 0] == 4  # who reads the old cache goes on reading it
    assert hospital.folders() == ["v1-key"]


def test_a_changed_table_and_another_study_take_the_pixels_over(hospital: Hospital) -> None:
    hospital.open()
    hospital.newly_decoded()
    hospital.table.write_text("b table")
    assert hospital.is_right(hospital.open())
    assert hospital.is_right(hospital.open("another"))
    assert hospital.newly_decoded() == []
    assert hospital.is_right(hospital.open(edition=2))  # decoded by other rules
    assert len(hospital.newly_decoded()) == 12


def test_an_image_of_several_records_is_decoded_once(hospital: Hospital) -> None:
    hospital.images[7] = hospital.images[2]
    assert hospital.is_right(hospital.open())
    assert len(hospital.newly_decoded()) == 11


def test_what_the_caller_could_not_read_is_not_listed(hospital: Hospital) -> None:
    def decode(row: int) -> np.ndarray | None:  # type: ignore[type-arg]
        return None if row == 3 else hospital.decode(row)

    home = hospital.folder / "cache"
    with (  # as a reader that names all damaged images at once
        pytest.raises(ValueError, match="damaged"),
        locked_cache(home, edition=1, key="key") as cache,
        cache.rebuilt([]) as work,
    ):
        keep_pixels(work, hospital.images, SIZE, decode)
        raise ValueError("damaged")
    assert 3 not in hospital.newly_decoded()
    assert hospital.is_right(hospital.open())
    assert hospital.newly_decoded() == [3]


def failing_after(hospital: Hospital, count: int) -> Callable[[int], np.ndarray]:  # type: ignore[type-arg]
    left = [count]

    def decode(row: int) -> np.ndarray:  # type: ignore[type-arg]
        left[0] -= 1
        if left[0] < 0:
            raise KeyboardInterrupt
        return hospital.decode(row)

    return decode


def test_an_interrupted_build_goes_on_where_it_stopped(
    hospital: Hospital, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("client.cache.pixels.usable_processors", lambda: 1)
    for _ in range(2):
        with pytest.raises(KeyboardInterrupt):
            hospital.open(decode=failing_after(hospital, 5))
    assert not (hospital.folder / "cache" / "v1-key").exists()
    done = hospital.newly_decoded()
    assert len(set(done)) == len(done) == 10
    assert hospital.is_right(hospital.open())
    assert len(hospital.newly_decoded()) == 2
    assert hospital.folders() == ["v1-key"]


def test_a_killed_build_goes_on_and_a_torn_line_is_not_believed(
    hospital: Hospital, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("client.cache.pixels.usable_processors", lambda: 1)
    monkeypatch.setattr("client.cache.pixels._SAVED_EVERY_S", 0.0)

    def decode(row: int) -> np.ndarray:  # type: ignore[type-arg]
        if row == 6:
            (listed,) = (hospital.folder / "cache").glob(f"building-*/{NAME}")
            while listed.read_text().count("\n") < 5:
                time.sleep(0.01)
            os.kill(os.getpid(), signal.SIGKILL)
        return hospital.decode(row)

    child = os.fork()
    if not child:
        hospital.open(decode=decode)
        os._exit(0)
    assert os.WTERMSIG(os.waitpid(child, 0)[1]) == signal.SIGKILL
    (left,) = (hospital.folder / "cache").glob("building-*/")
    listed = (left / NAME).read_text()
    assert 5 <= listed.count("\n") <= 6
    (left / NAME).write_text(listed[:-9])
    hospital.newly_decoded()
    assert hospital.is_right(hospital.open())
    assert len(hospital.newly_decoded()) == 12 - (listed.count("\n") - 1)
    assert hospital.folders() == ["v1-key"]


def test_two_processes_at_once_decode_each_image_once(hospital: Hospital) -> None:
    children = []
    for _ in range(3):
        child = os.fork()
        if not child:
            os._exit(0 if hospital.is_right(hospital.open()) else 1)
        children.append(child)
    assert [os.waitpid(child, 0)[1] for child in children] == [0, 0, 0]
    assert hospital.newly_decoded() == list(range(12))


def test_a_damaged_list_makes_a_new_cache(hospital: Hospital) -> None:
    hospital.open()
    hospital.newly_decoded()
    for damaged in ("", "no json\n", "[1, 2]\n"):
        (hospital.folder / "cache" / "v1-key" / NAME).write_text(damaged)
        assert hospital.is_right(hospital.open())
        assert len(hospital.newly_decoded()) == 12


def test_other_accounts_may_not_read_it(hospital: Hospital) -> None:
    hospital.open()
    for path in (hospital.folder / "cache").rglob("*"):
        assert not path.stat().st_mode & 0o077, path


def test_what_is_missing_is_told_by_who_decodes(hospital: Hospital) -> None:
    hospital.open()
    shutil.rmtree(hospital.images[0].parent)
    with pytest.raises(FileNotFoundError):
        hospital.open()
