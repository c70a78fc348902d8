"""Masked vectors added up, modulo 2^32 (pure)."""

from typing import Any

import numpy as np
import numpy.typing as npt

from irene_model.errors import ProtocolError
from irene_model.secure.keystream import CHUNK, Words32


def empty(dimensions: int) -> Words32:
    """A sum of nothing, (D,) uint32."""
    return np.zeros(dimensions, dtype=np.uint32)


def check_masked(vector: npt.NDArray[Any], dimensions: int) -> None:
    """Refuse what is no masked vector (D,) uint32: a ProtocolError. Any such bits may be one."""
    if vector.dtype != np.uint32 or vector.shape != (dimensions,):
        raise ProtocolError(
            f"a masked sum is {vector.dtype} of shape {vector.shape}, not uint32 of shape "
            f"({dimensions},)"
        )


def add(total: Words32, more: Words32) -> None:
    """Add `more` (D,) to `total` (D,) in place, modulo 2^32; ProtocolError for another shape."""
    check_masked(more, len(total))
    for start in range(0, len(total), CHUNK):
        total[start : start + CHUNK] += more[start : start + CHUNK]
