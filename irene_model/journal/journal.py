"""The append-only log of who did what and when: one at each hospital, one at the coordinator.

A line of JSON each, in a hash chain (`chain` beside this file), synced before `append` returns. It
holds names, counts and hashes, never a patient's values, a key or a path of patients' files.
"""

import fcntl
import json
import os
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path

from irene_model.errors import DataError
from irene_model.journal.chain import Entry, append, verify
from irene_model.journal.private_files import open_private, private_folder

Fact = str | int | float | bool | None


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
            time = datetime.now(UTC).isoformat(timespec="seconds")
            text = file.read()
            entry = append(self._read(text), what, {"who": who, "time": time, **facts})
            # A line that a crash cut off, and so was never acknowledged, goes.
            file.truncate(len(text[: text.rfind("\n") + 1].encode()))
            file.write(json.dumps(asdict(entry)) + "\n")
            file.flush()
            os.fsync(file.fileno())
        return entry

    def entries(self) -> list[Entry]:
        """All entries, verified; DataError names the first line that is not as it was written.

        A line that is being added is waited for: what is read here is on disk.
        """
        try:
            with self.path.open(encoding="utf-8") as file:
                fcntl.flock(file, fcntl.LOCK_SH)
                text = file.read()
        except FileNotFoundError:
            return []
        return self._read(text)

    def _read(self, text: str) -> list[Entry]:
        lines = text[: text.rfind("\n") + 1].splitlines()
        try:
            entries = [Entry(**json.loads(line)) for line in lines]
            verify(entries)
        except (ValueError, TypeError) as error:
            reason = str(error) if "row" in str(error) else "a line is not an entry"
            raise DataError(
                f"{self.path}: {reason}; keep the file as evidence and move it away to begin anew"
            ) from None
        return entries
