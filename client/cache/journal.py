"""The list of files that a cache follows from, a line for each, as `files.jsonl`.

While a cache is built, each image has its line only once its pixels are on the disk: what a killed
process leaves is believed as far as the list goes, and an unfinished last line is not.
"""

import json
import os
from collections.abc import Iterable
from pathlib import Path
from typing import IO

from client.cache.stamps import FileRead, Stamp

NAME = "files.jsonl"
NO_ROW = -1  # a table: it has no pixels


def line_of(file: FileRead, row: int) -> str:
    """A line of the list; `row` is where the file's pixels are."""
    return json.dumps([file.path, *file.stamp, file.sha256, file.settled, row]) + "\n"


def read(folder: Path) -> list[tuple[FileRead, int]]:
    """The files and their rows; none where the list is missing or damaged."""
    try:
        text = (folder / NAME).read_text(encoding="utf-8")
        whole = text[: text.rfind("\n") + 1].splitlines()
        return [
            (
                FileRead(path=path, stamp=Stamp(*stamp), sha256=sha256, settled=settled),
                row,
            )
            for path, *stamp, sha256, settled, row in json.loads(f"[{','.join(whole)}]")
        ]
    except (OSError, ValueError, TypeError, RecursionError):
        return []


def append(file: IO[str], entries: Iterable[tuple[FileRead, int]]) -> None:
    """Write a line for each entry and have the disk keep them."""
    file.writelines(line_of(each, row) for each, row in entries)
    file.flush()
    os.fsync(file.fileno())
