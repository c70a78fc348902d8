"""The append-only log of who did what and when: one at each hospital, one at the coordinator.

A line of JSON each, in a hash chain (`chain` beside this file), synced before `append` returns. It
holds names, counts and hashes, never a patient's values, a key or a path of patients' files.

A process verifies the file once, and again whenever anybody else has written to it, which its
inode, size and times tell: so a process that adds many lines does not read them all for each.
"""

import fcntl
import json
import os
import time
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import IO

from irene_model.errors import DataError
from irene_model.journal.chain import Entry, append, verify
from irene_model.journal.private_files import open_private, private_folder

Fact = str | int | float | bool | None


_KEEP = "keep the file as evidence and move it away to begin anew"


@dataclass(frozen=True, kw_only=True)
class _Verified:
    """A whole file's entries as this process read or wrote them; `state` is what it then was."""

    state: tuple[int, ...]
    entries: list[Entry]


_verified: dict[Path, _Verified] = {}  # of this process; one file a site or coordinator


class Journal:
    """The journal in one file; processes that append at the same time wait for each other."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def append(self, what: str, *, who: str, **facts: Fact) -> Entry:
        """Add that `who` did `what` now; `facts` are further names, counts and hashes.

        Raises DataError where the file is damaged: nothing is added to a broken chain.
        """
        private_folder(self.path.parent)
        descriptor = open_private(self.path, os.O_RDWR | os.O_APPEND)
        with os.fdopen(descriptor, "r+", encoding="utf-8") as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            at = datetime.now(UTC).isoformat(timespec="seconds")
            entries, whole = self._entries_in(file)
            entry = append(entries, what, {"who": who, "time": at, **facts})
            # A line that a crash cut off, and so was never acknowledged, goes.
            file.truncate(whole)
            file.write(json.dumps(asdict(entry)) + "\n")
            file.flush()
            exact = time.time_ns()  # a kernel's own stamp is as coarse as its ticks
            os.utime(file.fileno(), ns=(exact, exact))
            os.fsync(file.fileno())
            entries.append(entry)
            _verified[self.path] = _Verified(state=_state(file), entries=entries)
        return entry

    def entries(self) -> list[Entry]:
        """All entries, verified; DataError names the first line that is not as it was written.

        A line that is being added is waited for: what is read here is on disk.
        """
        try:
            with self.path.open(encoding="utf-8") as file:
                fcntl.flock(file, fcntl.LOCK_SH)
                return list(self._entries_in(file)[0])
        except FileNotFoundError:
            return []

    def _entries_in(self, file: IO[str]) -> tuple[list[Entry], int]:
        """The entries of the open file, whose lock is held, and the bytes of its whole lines."""
        known, state = _verified.pop(self.path, None), _state(file)
        if known is not None and known.state == state:
            _verified[self.path] = known
            return known.entries, os.fstat(file.fileno()).st_size
        text = self._text(file)
        whole = text[: text.rfind("\n") + 1]
        entries = self._read(whole)
        if whole == text:
            _verified[self.path] = _Verified(state=state, entries=entries)
        return entries, len(whole.encode())

    def _text(self, file: IO[str]) -> str:
        try:
            return file.read()
        except UnicodeDecodeError:
            raise DataError(f"{self.path}: holds what is no text; {_KEEP}") from None

    def _read(self, text: str) -> list[Entry]:
        try:
            entries = [Entry(**json.loads(line)) for line in text.splitlines()]
            verify(entries)
        except (ValueError, TypeError, RecursionError) as error:
            reason = str(error) if "row" in str(error) else "a line is not an entry"
            raise DataError(f"{self.path}: {reason}; {_KEEP}") from None
        return entries


def _state(file: IO[str]) -> tuple[int, ...]:
    """What changes when anybody writes to the file, or puts another in its place."""
    status = os.fstat(file.fileno())
    return (status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns, status.st_ctime_ns)
