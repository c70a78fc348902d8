"""Whether a file is still the one that was read.

A stamp (size, times, inode) answers quickly, and not always: a copy can keep size and modification
time, and a file that is written twice within one tick of the clock has one time for two contents.
Where the stamp leaves a doubt, the sha256 of the content decides. The idea is that of git's index
("racy git"): a stamp counts only if it was already old when it was taken.
"""

import hashlib
import os
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

# FAT keeps times to 2 s, NFS may serve attributes that are some seconds old.
_TICK_NS = 3_000_000_000


class Stamp(NamedTuple):
    """What `stat` says of a file behind all links. Times in ns since the epoch."""

    size: int
    mtime_ns: int
    ctime_ns: int
    inode: int


@dataclass(frozen=True, kw_only=True)
class FileRead:
    """A file as it was when it was read.

    settled: the stamp was older than a tick of the clock when it was taken, so that an equal stamp
        means an equal content.
    """

    path: str
    stamp: Stamp
    sha256: str
    settled: bool

    @classmethod
    def of(cls, path: str) -> "FileRead":
        """The file as it is now; take it before the file is read for its content.

        In this order a file that is replaced meanwhile is found to have changed the next time.

        Raises:
            OSError: the file can't be read.
        """
        stamp, settled = take_stamp(path)
        with Path(path).open("rb") as file:
            digest = hashlib.file_digest(file, "sha256").hexdigest()
        return cls(path=path, stamp=stamp, sha256=digest, settled=settled)

    def now(self) -> "FileRead | None":
        """The file with its present stamp; None where it is gone or holds something else."""
        try:
            stamp, _ = take_stamp(self.path)
            if self.settled and stamp == self.stamp:
                return self
            if stamp.size != self.stamp.size:
                return None
            found = FileRead.of(self.path)
        except OSError:
            return None
        return found if found.sha256 == self.sha256 else None


def take_stamp(path: str) -> tuple[Stamp, bool]:
    """The stamp, and whether it is settled."""
    now = time.time_ns()
    stamp = _stamp(path)
    return stamp, max(stamp.mtime_ns, stamp.ctime_ns) < now - _TICK_NS


def _stamp(path: str) -> Stamp:
    status = os.stat(path)  # noqa: PTH116 - of every image at every opening: half of Path's time
    return Stamp(status.st_size, status.st_mtime_ns, status.st_ctime_ns, status.st_ino)


def all_now(files: Sequence[FileRead]) -> list[FileRead] | None:
    """Each of `files` with its present stamp; None as soon as one has changed.

    Most are settled and need nothing but a `stat`; contents are read by several threads.
    """
    present = list(files)
    doubtful = []
    for index, file in enumerate(files):
        try:
            stamp = _stamp(file.path)
        except OSError:
            return None
        if stamp.size != file.stamp.size:
            return None
        if stamp != file.stamp or not file.settled:
            doubtful.append(index)
    with ThreadPoolExecutor() as pool:
        for index, found in zip(
            doubtful, pool.map(lambda index: files[index].now(), doubtful), strict=True
        ):
            if found is None:
                return None
            present[index] = found
    return present
