"""Where a cache lies, who may build it, and when it is still right.

A cache is a folder named after what was asked for; what it was made of stands in its list of files,
and an opening compares each of them. Whoever opens or builds holds the cache's lock, which the
kernel takes back however a process ends: a second process waits and then finds the work done.
A cache is built in a folder beside its place and renamed, so that half of one is never found.
"""

import fcntl
import logging
import os
import shutil
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from client.cache import journal
from client.cache.stamps import FileRead, all_now
from irene_model.journal import open_private, private_folder, tighten, tighten_all, write_private

_log = logging.getLogger(__name__)
_BUILDING = "building-"


@dataclass(frozen=True, kw_only=True)
class Cache:
    """One cache of the folder `home`, whose lock is held.

    key: a hash of what was asked for.
    edition: of the format; pixels of another edition are never taken over.
    """

    home: Path
    edition: str
    key: str

    @property
    def folder(self) -> Path:
        """Where it lies once it is built."""
        return self.home / f"{self.edition}-{self.key}"

    def is_current(self) -> bool:
        """Whether it is there and every file that it was made of is still the same."""
        known = journal.read(self.folder)
        if not known:
            return False
        files = [file for file, _ in known]
        present = all_now(files)
        if present is None:
            return False
        if present != files:
            # What was doubtful has been read and found the same: the next opening need not.
            rows = (row for _, row in known)
            lines = [journal.line_of(file, row) for file, row in zip(present, rows, strict=True)]
            write_private(self.folder / journal.NAME, "".join(lines).encode())
        for each in (self.home, self.folder):
            tighten(each)
        return True

    @contextmanager
    def rebuilt(self, tables: Sequence[FileRead]) -> Iterator[Path]:
        """An empty folder to fill, which then takes the cache's place.

        tables: what was read besides images. If the block raises, what it has got done is left
        where a later build finds it.
        """
        begun = self._begun()
        work = Path(tempfile.mkdtemp(dir=self.home, prefix=f"{_BUILDING}{self.folder.name}-"))
        yield work
        with (work / journal.NAME).open("a", encoding="utf-8") as file:
            journal.append(file, ((table, journal.NO_ROW) for table in tables))
        tighten_all(work)  # mkdtemp's folder was private before anything was in it
        with _locked(self.home / "sources.lock"):
            if self.folder.exists():
                begun.append(self.folder.rename(work.with_name(f"{work.name}-before")))
            work.rename(self.folder)
        for each in begun:  # whoever has its files open keeps them
            shutil.rmtree(each, ignore_errors=True)

    def _begun(self) -> list[Path]:
        """What earlier builds of this cache left unfinished; who has the lock is alone in it."""
        return list(self.home.glob(f"{_BUILDING}{self.folder.name}-*"))


@contextmanager
def locked_cache(home: Path, *, edition: int, key: str) -> Iterator[Cache]:
    """The cache `key` of the folder `home`, for this process alone while the block runs."""
    cache = Cache(home=private_folder(home), edition=f"v{edition}", key=key)
    with _locked(home / f"{cache.folder.name}.lock"):
        yield cache


@contextmanager
def kept_beside(work: Path) -> Iterator[list[Path]]:
    """The caches of the same edition beside `work`, finished or not; none is moved meanwhile."""
    edition = work.name.removeprefix(_BUILDING).partition("-")[0]
    with _locked(work.parent / "sources.lock"):
        yield [
            folder
            for start in ("", _BUILDING)
            for folder in work.parent.glob(f"{start}{edition}-*/")
            if folder != work
        ]


@contextmanager
def _locked(path: Path) -> Iterator[None]:
    with os.fdopen(open_private(path, os.O_RDWR), "r+") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            _log.info("another process works in %s; waiting for it", path.parent)
            fcntl.flock(lock, fcntl.LOCK_EX)
        yield
