"""All radiographs of a site, by all cores, and all that can't be read as one report."""

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeVar

from client.images.files import Radiograph, quiet, read_radiograph
from client.images.headers import HeaderFacts, read_header
from client.images.problems import MOST_PIXELS, BadImages, ImageProblem, by_cause
from irene_model.operations import usable_processors

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


@dataclass(frozen=True, kw_only=True)
class RadiographReader:
    """Reads radiographs of one size, in any thread, and remembers those that can't be read.

    most_pixels: of one radiograph; one that has more is none.
    """

    size: int
    most_pixels: int = MOST_PIXELS
    _problems: dict[int, tuple[str, str]] = field(default_factory=dict)  # row: place, cause

    def read(self, file: ImageFile) -> Radiograph | None:
        """The radiograph; None if it can't be read."""
        try:
            return read_radiograph(file.path, self.size, self.most_pixels)
        except ImageProblem as problem:
            self._problems[file.row] = (file.place, str(problem))
            return None

    @property
    def bad(self) -> tuple[BadImages, ...]:
        """All that could not be read, by cause."""
        return by_cause([self._problems[row] for row in sorted(self._problems)])


def read_radiographs(
    files: Sequence[ImageFile],
    size: int,
    use: Callable[[ImageFile, Radiograph], T],
    progress: Progress | None = None,
    *,
    most_pixels: int = MOST_PIXELS,
) -> tuple[list[T], tuple[BadImages, ...]]:
    """What `use` makes of each readable file, in order, and all others by cause.

    `use` runs in a thread of many; a radiograph is dropped after it, since all may not fit in
    memory: there are as many at a time as processors that this process may use.
    """
    reader = RadiographReader(size=size, most_pixels=most_pixels)

    def read(file: ImageFile) -> list[T]:
        radiograph = reader.read(file)
        return [] if radiograph is None else [use(file, radiograph)]

    used: list[T] = []
    with quiet(), ThreadPoolExecutor(max_workers=usable_processors()) as pool:
        for done, made in enumerate(pool.map(read, files), start=1):
            used += made
            if progress is not None:
                progress(done, len(files))
    return used, reader.bad


def read_headers(paths: Sequence[Path | None]) -> list[HeaderFacts | None]:
    """The header facts of each file, in order; None where there is no file or no such header."""
    with quiet(), ThreadPoolExecutor(max_workers=usable_processors()) as pool:
        return list(pool.map(lambda path: None if path is None else read_header(path), paths))
