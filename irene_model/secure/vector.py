"""Named arrays as one vector, and back (pure)."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from irene_model.errors import ProtocolError

Array = npt.NDArray[Any]
Vector = npt.NDArray[np.float32]


def dimensions(like: Mapping[str, Array]) -> int:
    """D, how many numbers arrays of the shapes of `like` hold."""
    return sum(array.size for array in like.values())


def flatten(arrays: Mapping[str, Array], like: Mapping[str, Array]) -> Vector:
    """(D,) float32: all `arrays` in the order of their sorted names, which is the same everywhere.

    ProtocolError where names or shapes are not those of `like`.
    """
    if odd := sorted(set(arrays) ^ set(like)):
        state = "unknown" if odd[0] in arrays else "missing"
        raise ProtocolError(f"an array of a sum is {state}: '{odd[0][:80]}'")
    vector = np.empty(dimensions(like), dtype=np.float32)
    start = 0
    for name in sorted(like):
        if arrays[name].shape != like[name].shape:
            raise ProtocolError(
                f"the array '{name}' has shape {arrays[name].shape}, not {like[name].shape}"
            )
        stop = start + like[name].size
        vector[start:stop] = arrays[name].ravel()
        start = stop
    return vector


def unflatten(vector: Array, like: Mapping[str, Array]) -> dict[str, Array]:
    """The arrays that `vector` (D,) holds, views of it; the inverse of `flatten`.

    ProtocolError for a vector of another length.
    """
    if vector.shape != (dimensions(like),):
        raise ProtocolError(
            f"a sum has shape {vector.shape}, and the study's is ({dimensions(like)},)"
        )
    arrays, start = {}, 0
    for name in sorted(like):
        stop = start + like[name].size
        arrays[name] = vector[start:stop].reshape(like[name].shape)
        start = stop
    return arrays
