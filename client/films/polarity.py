"""Radiographs that look like negatives of a site's others: no header of a PNG says so."""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

_SIDE = 8  # means of so many blocks a side are compared, of the middle half of the square
_NEGATIVE = -0.5
_FEWEST = 8  # of fewer images nobody can say which are the odd ones


def core_of(pixels: npt.NDArray[np.uint8]) -> npt.NDArray[np.float32]:
    """Block means of a square's middle half, where every frontal chest has lungs, as (64,)."""
    quarter = len(pixels) // 4
    middle = pixels[quarter : len(pixels) - quarter, quarter : len(pixels) - quarter]
    rows = np.array_split(middle.astype(np.float32), _SIDE, axis=0)
    blocks = [block for row in rows for block in np.array_split(row, _SIDE, axis=1)]
    return np.array([block.mean() if block.size else 0 for block in blocks], np.float32)


def count_negatives(cores: Sequence[npt.NDArray[np.float32]]) -> int:
    """How many of the cores run against the median of all."""
    if len(cores) < _FEWEST:
        return 0
    centred = np.stack(cores) - np.mean(cores, axis=1, keepdims=True)
    lengths = np.linalg.norm(centred, axis=1)
    each = centred / np.maximum(lengths, 1e-6)[:, None]
    usual = np.median(each, axis=0)
    usual /= max(float(np.linalg.norm(usual)), 1e-6)
    return int((each @ usual < _NEGATIVE).sum())
