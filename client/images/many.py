"""All radiographs of a site, by all cores, and all that can't be read as one report."""

import os
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeVar

from client.images.files import Radiograph, quiet, read_radiograph
from client.images.headers import HeaderFacts, read_header
from client.images.problems import BadImages, ImageProblem, by_cause

T = TypeVar("T")
Progress = Callable[[int, int], None]  # images decoded, images in all


@dataclass(frozen=True, kw_only=True)
class ImageFile:
    """An image and where its record stands, as `encounters.csv line 7`.

    row: the record's number, for whoever uses it.
    """

    path: Path = field(repr=False)
    place: str
    row: int


def read_radiographs(
    files: Sequence[ImageFile],
    size: int,
    use: Callable[[ImageFile, Radiograph], T],
    progress: Progress | None = None,
) -> tuple[list[T], tuple[BadImages, ...]]:
    """What `use` makes of each readable file, in order, and all others by cause.

    `use` runs in a thread of many; a radiograph is dropped after it, since all may not fit in
    memory.
    """

    def read(file: ImageFile) -> tuple[T | None, str]:
        try:
            return use(file, read_radiograph(file.path, size)), ""
        except ImageProblem as problem:
            return None, str(problem)

    used: list[T] = []
    problems: list[tuple[str, str]] = []
    with quiet(), ThreadPoolExecutor(max_workers=os.cpu_count()) as pool:
        read_files = zip(files, pool.map(read, files), strict=True)
        for done, (file, (made, cause)) in enumerate(read_files, start=1):
            if cause:
                problems.append((file.place, cause))
            elif made is not None:
                used.append(made)
            if progress is not None:
                progress(done, len(files))
    return used, by_cause(problems)


def read_headers(paths: Sequence[Path | None]) -> list[HeaderFacts | None]:
    """The header facts of each file, in order; None where there is no file or no such header."""
    with quiet(), ThreadPoolExecutor(max_workers=os.cpu_count()) as pool:
        return list(pool.map(lambda path: None if path is None else read_header(path), paths))
