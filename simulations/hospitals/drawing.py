"""Radiographs drawn into their files, by all cores.

What draws imports no torch: its processes are there while the patients are still made up.
"""

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from multiprocessing import get_context
from pathlib import Path

import numpy as np

from simulations.hospitals.files import ImageFormat, write_image
from simulations.patients import Findings, Scanner, draw

_CHUNK = 64
_FEW = 4 * _CHUNK  # are drawn sooner than processes start


@dataclass(frozen=True, kw_only=True)
class Drawn:
    """One radiograph to draw, with its own seed."""

    path: Path
    findings: Findings
    scanner: Scanner
    pixels: int
    format: ImageFormat
    entropy: tuple[int, ...]


Draw = Callable[[Sequence[Drawn]], Iterator[int]]


@contextmanager
def drawing(least: int) -> Iterator[Draw]:
    """What begins to draw all that it is given, and says as it goes on how many more are done.

    least: at least so many are to be drawn. The processes start here and end with the context.
    """
    if least <= _FEW:
        yield lambda images: map(_draw, _chunks(images))
        return
    with ProcessPoolExecutor(mp_context=get_context("spawn")) as pool:
        for _ in range(pool._max_workers):  # type: ignore[attr-defined]  # one starts with each
            pool.submit(_draw, ())
        yield lambda images: pool.map(_draw, _chunks(images))


def _chunks(images: Sequence[Drawn]) -> list[Sequence[Drawn]]:
    return [images[start : start + _CHUNK] for start in range(0, len(images), _CHUNK)]


def _draw(images: Sequence[Drawn]) -> int:
    for image in images:
        rng = np.random.default_rng(list(image.entropy))
        pixels = draw(image.findings, rng=rng, scanner=image.scanner, size=image.pixels)
        write_image(image.path, pixels, inverted=image.scanner.inverted, format=image.format)
    return len(images)
