"""Vectors that an encoder made of pixels, as one array on disk, kept by what the pixels are.

An encoder takes far longer than decoding a file. So a row whose very pixels another cache beside
this one has vectors of, finished or not, is copied, and equal pixels are encoded once.
"""

import hashlib
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path

import numpy as np
import numpy.typing as npt

from client.cache.folders import kept_beside

Vectors = npt.NDArray[np.float16]
Pixels = npt.NDArray[np.uint8]
_SAVED_EVERY_S = 2.0  # what a killed process has to do again
_DIGEST = 32  # bytes of a sha256


def keep_vectors(
    work: Path,
    name: str,
    pixels: Pixels,
    rows: Sequence[int],
    *,
    shape: tuple[int, ...],
    encode: Callable[[Pixels], Vectors],
    progress: Callable[[int, int], None] | None = None,
) -> None:
    """Write the vectors (N, *shape) of `pixels` (N,H,W) into `work`; zeros but in `rows`.

    name: of the array, which stands for the encoder: vectors are taken over from an array of the
        same name alone.
    progress: is told how many of the rows are done, and of how many.
    """
    size = (len(pixels), *shape)
    vectors = np.lib.format.open_memmap(
        work / file_of(name), mode="w+", dtype=np.float16, shape=size
    )
    # Of the pixels behind each row, once its vectors are on the disk; zeros before.
    listed = np.lib.format.open_memmap(
        work / _digests_of(name), mode="w+", dtype=np.uint8, shape=(len(pixels), _DIGEST)
    )
    known = _sources(work, name, shape)
    waiting: list[tuple[int, bytes]] = []

    def save() -> None:
        vectors.flush()
        for row, digest in waiting:
            listed[row] = np.frombuffer(digest, np.uint8)
        listed.flush()
        waiting.clear()

    saved = time.monotonic()
    try:
        for done, row in enumerate(rows, start=1):
            digest = hashlib.sha256(pixels[row].tobytes()).digest()
            source = known.get(digest)
            vectors[row] = encode(pixels[row]) if source is None else source[0][source[1]]
            known[digest] = (vectors, row)
            waiting.append((row, digest))
            if progress is not None:
                progress(done, len(rows))
            if time.monotonic() - saved > _SAVED_EVERY_S:
                save()
                saved = time.monotonic()
    finally:
        save()


def file_of(name: str) -> str:
    """The file of the array `name`."""
    return f"{name}.npy"


def _digests_of(name: str) -> str:
    return f"{name}-of.npy"


def _sources(work: Path, name: str, shape: tuple[int, ...]) -> dict[bytes, tuple[Vectors, int]]:
    """Where the caches beside `work` have vectors, by the sha256 of the pixels."""
    known: dict[bytes, tuple[Vectors, int]] = {}
    with kept_beside(work) as folders:
        for folder in folders:
            with suppress(OSError, ValueError):
                vectors = np.load(folder / file_of(name), mmap_mode="r")
                listed = np.load(folder / _digests_of(name), mmap_mode="r")
                fits = vectors.shape[1:] == shape and vectors.dtype == np.float16
                if not fits or listed.shape != (len(vectors), _DIGEST):
                    continue
                for row in np.flatnonzero(listed.any(axis=1)).tolist():
                    known[listed[row].tobytes()] = (vectors, row)
    return known
