"""All images of a site as one array on disk, decoding only those that no cache has yet.

An image is the same as one that was decoded before if its path and stamp are, or its content: what
was moved, touched or copied is found again by its sha256.
"""

import time
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO

import numpy as np
import numpy.typing as npt

from client.cache import journal
from client.cache.folders import kept_beside
from client.cache.stamps import FileRead, take_stamp
from irene_model.operations import usable_processors

PIXELS = "pixels.npy"
_SAVED_EVERY_S = 2.0  # what a killed process has to do again
Image = npt.NDArray[np.uint8]  # (size, size)
Pixels = npt.NDArray[np.uint8]  # (N, size, size)


@dataclass(frozen=True, kw_only=True)
class _Known:
    """An image that another cache has: where its pixels are."""

    file: FileRead
    pixels: Pixels
    row: int


@dataclass(frozen=True, kw_only=True)
class _Sources:
    """What the caches beside this one have decoded."""

    by_path: dict[str, _Known] = field(default_factory=dict)
    by_content: dict[str, _Known] = field(default_factory=dict)
    sizes: set[int] = field(default_factory=set)

    def find(self, path: str) -> tuple[FileRead, Image] | None:
        """The image at `path` and its pixels, if they are known."""
        known = self.by_path.get(path)
        with suppress(OSError):
            if known is not None and known.file.settled and known.file.now() is known.file:
                return known.file, known.pixels[known.row]
            if take_stamp(path)[0].size in self.sizes:
                file = FileRead.of(path)
                same = self.by_content.get(file.sha256)
                if same is not None:
                    return file, same.pixels[same.row]
        return None


def keep_pixels(
    work: Path,
    images: Sequence[Path | None],
    size: int,
    decode: Callable[[int], Image | None],
    progress: Callable[[int, int], None] | None = None,
) -> None:
    """Write the pixels (N, size, size) of `images` into the folder `work`; zeros where None.

    decode: the pixels (size, size) of the image with this index; None if the caller has noted that
        it can't be read, and refuses the whole later.
    progress: is told how many rows are done, and of how many.
    """
    rows: dict[str, list[int]] = {}
    for row, image in enumerate(images):
        if image is not None:
            rows.setdefault(str(image), []).append(row)
    pixels = np.lib.format.open_memmap(
        work / PIXELS, mode="w+", dtype=np.uint8, shape=(len(images), size, size)
    )
    sources = _sources(work, size)

    def take(path: str) -> FileRead | None:
        found = sources.find(path)
        if found is None:
            return None
        file, pixels[rows[path]] = found
        return file

    def read(path: str) -> FileRead | None:
        file = None
        with suppress(OSError):  # `decode` says why the file can't be read
            file = FileRead.of(path)
        image = decode(rows[path][0])
        if image is None:
            return None
        pixels[rows[path]] = image
        return file

    done = images.count(None)
    with (
        (work / journal.NAME).open("w", encoding="utf-8") as listed,
        ThreadPoolExecutor(max_workers=usable_processors()) as pool,
    ):
        if progress is not None and done:
            progress(done, len(images))
        missing = set(rows)
        for step in (take, read):
            paths = [path for path in rows if path in missing]
            for file in _saved(pool.map(step, paths), rows, pixels, listed):
                if file is not None:
                    missing.discard(file.path)
                    done += len(rows[file.path])
                    if progress is not None:
                        progress(done, len(images))


def _saved(
    files: Iterable[FileRead | None],
    rows: dict[str, list[int]],
    pixels: np.memmap[tuple[int, int, int], np.dtype[np.uint8]],
    listed: IO[str],
) -> Iterable[FileRead | None]:
    """`files`, each listed soon after its pixels are on the disk, also where one raises."""
    waiting: list[FileRead] = []

    def save() -> None:
        pixels.flush()
        journal.append(listed, ((file, rows[file.path][0]) for file in waiting))
        waiting.clear()

    saved = time.monotonic()
    try:
        for file in files:
            if file is not None:
                waiting.append(file)
            yield file
            if time.monotonic() - saved > _SAVED_EVERY_S:
                save()
                saved = time.monotonic()
    finally:
        save()


def _sources(work: Path, size: int) -> _Sources:
    sources = _Sources()
    with kept_beside(work) as folders:
        for folder in folders:
            entries = journal.read(folder)
            with suppress(OSError, ValueError):
                pixels = np.load(folder / PIXELS, mmap_mode="r")
                if pixels.shape[1:] != (size, size) or pixels.dtype != np.uint8:
                    continue
                for file, row in entries:
                    if 0 <= row < len(pixels):
                        known = _Known(file=file, pixels=pixels, row=row)
                        sources.by_path[file.path] = sources.by_content[file.sha256] = known
                        sources.sizes.add(file.stamp.size)
    return sources
