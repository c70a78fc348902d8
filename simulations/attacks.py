"""Who was in a noised sum of gradients? Pure: sums and everybody's gradients in, scores out.

Legend: n records, d parameters; `sums` hold one (d,) a round, `gradients` one (n, d) a round.
"""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

Matrix = npt.NDArray[np.float64]


def regress(sums: Sequence[Matrix], gradients: Sequence[Matrix]) -> Matrix:
    """Sum over the rounds of each canary's ridge coefficient, (canaries,)."""
    pairs = zip(sums, gradients, strict=True)
    return np.asarray(np.sum([_ridge(each, rows) for each, rows in pairs], axis=0))


def regress_differences(sums: Sequence[Matrix], gradients: Sequence[Matrix]) -> Matrix:
    """The same of successive differences: of a canary, what it added to both rounds."""
    count = len(gradients[0])
    score = np.zeros(count)
    for t in range(1, len(sums)):
        rows = np.concatenate([gradients[t], -gradients[t - 1]])
        both = _ridge(sums[t] - sums[t - 1], rows)
        score += both[:count] + both[count:]
    return score


def _ridge(y: Matrix, rows: Matrix) -> Matrix:
    """argmin |y - aᵀ rows|² + ν² |a|², with ν the noise that is really in `y`.

    Nobody has to be believed about ν: there are far more parameters than canaries, so it is what
    no combination of the canaries explains. The floor keeps the system solvable without noise.
    """
    gram, seen = rows @ rows.T, rows @ y
    identity = np.eye(len(rows))
    floor = 1e-6 * float(np.trace(gram)) / len(rows)
    unshrunk = np.linalg.solve(gram + floor * identity, seen)
    noise = float(np.sum((y - unshrunk @ rows) ** 2)) / (rows.shape[1] - len(rows))
    return np.asarray(np.linalg.solve(gram + (floor + noise) * identity, seen))


def clipped_rows(rows: Matrix, clip_norm: float) -> Matrix:
    """Each row scaled to norm `clip_norm` at most."""
    norms = np.linalg.norm(rows, axis=1, keepdims=True)
    return np.asarray(rows * np.minimum(1.0, clip_norm / np.maximum(norms, 1e-12)))
