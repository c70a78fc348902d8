"""Radiographs that lie on their side or head among a site's others: no header of a PNG says so."""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

Grid = npt.NDArray[np.float32]

_SIDE = 8  # means of so many blocks a side are compared
_FEWEST = 8  # of fewer images nobody can say which are the odd ones
# Of 243 films of one hospital none is as much nearer to the others once it is turned; of the same
# films turned, nine in ten are found.
_MARGIN, _LEAST = 0.3, 0.5


def grid_of(pixels: npt.NDArray[np.uint8]) -> Grid:
    """Block means (8, 8) of what is in the square (size, size), without black on its sides."""
    rows, columns = (np.flatnonzero(pixels.any(axis=axis)) for axis in (1, 0))
    if not rows.size:
        return np.zeros((_SIDE, _SIDE), np.float32)
    inside = pixels[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1].astype(np.float32)
    for axis in (0, 1):
        edges = np.linspace(0, inside.shape[axis], _SIDE + 1).astype(int)
        sums = np.add.reduceat(inside, edges[:-1].clip(max=inside.shape[axis] - 1), axis)
        counts = np.diff(edges).clip(1).reshape((-1, 1) if axis == 0 else (1, -1))
        inside = sums / counts
    return inside.astype(np.float32)


def count_turned(grids: Sequence[Grid]) -> int:
    """How many are like the median of all once they are turned, and unlike it as they are."""
    if len(grids) < _FEWEST:
        return 0
    each = np.stack([_unit(grid) for grid in grids])
    usual = _unit(np.median(each, axis=0))
    alike = [np.einsum("nij,ij->n", each, np.rot90(usual, quarters)) for quarters in range(4)]
    turned = np.max(alike[1:], axis=0)
    return int(((turned > _LEAST) & (turned > alike[0] + _MARGIN)).sum())


def _unit(grid: Grid) -> Grid:
    centred = grid - grid.mean()
    return np.asarray(centred / max(float(np.linalg.norm(centred)), 1e-6), np.float32)
