"""Who was in a noised sum of gradients? Pure: sums and everybody's gradients in, scores out.

Legend: n records, d parameters; y (d,) a round's noised sum, g (n, d) everybody's gradients. The
attacker takes y for f Σ aᵢ gᵢ + noise, where aᵢ says whether record i took part and f is a scale of
the whole batch: 1 where each gradient was clipped by itself.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Matrix = npt.NDArray[np.float64]


@dataclass(frozen=True, kw_only=True)
class Evidence:
    """All of y and g that counts: g gᵀ (n, n), g y (n,), yᵀ y, and d."""

    gram: Matrix
    products: Matrix
    energy: float
    dimensions: int

    @classmethod
    def of(cls, total: Matrix, rows: Matrix) -> "Evidence":
        """What `total` (d,) says of the gradients `rows` (n, d); n must be below d."""
        return cls(
            gram=rows @ rows.T,
            products=rows @ total,
            energy=float(total @ total),
            dimensions=rows.shape[1],
        )

    def since(
        self, before: "Evidence", *, change: Matrix, rows: Matrix, earlier: Matrix
    ) -> "Evidence":
        """What `change` (d,), this total less that of `before`, says of `rows` and -`earlier`.

        rows, earlier: the gradients of this evidence and of `before`, (n, d) and (m, d). As `of`
        of both together, but for the products within each, which are known: nearly all of an
        audit's time goes into such products.
        """
        across = -(rows @ earlier.T)
        return Evidence(
            gram=np.block([[self.gram, across], [across.T, before.gram]]),
            products=np.concatenate([rows @ change, -(earlier @ change)]),
            energy=float(change @ change),
            dimensions=self.dimensions,
        )

    def clipped(self, clip_norm: float) -> "Evidence":
        """As if each gradient had been scaled to norm `clip_norm` at most."""
        norms = np.sqrt(np.diag(self.gram))
        factors = np.minimum(1.0, clip_norm / np.maximum(norms, 1e-12))
        return Evidence(
            gram=self.gram * np.outer(factors, factors),
            products=self.products * factors,
            energy=self.energy,
            dimensions=self.dimensions,
        )


def batch_scale(evidence: Evidence, expected: Matrix) -> float:
    """The f that fits best if each record took part as much as `expected` (n,)."""
    return float(expected @ evidence.products / (expected @ evidence.gram @ expected))


def participation(evidence: Evidence, expected: Matrix, *, scale: float = 1.0) -> Matrix:
    """How much more each record seems to have taken part than `expected`: E[a | y] - E[a], (n,).

    expected: each record's chance to take part, (n,). Ridge regression with the variance of a coin
    of that chance. Nobody has to be believed about the noise: see `noise_variance`. The floor keeps
    the system solvable without noise.
    """
    identity = np.eye(len(expected))
    floor = _floor(evidence)
    noise = noise_variance(evidence)
    deviations = scale * np.sqrt(expected * (1 - expected))  # of f a
    beyond = evidence.products - scale * (evidence.gram @ expected)
    weighted = evidence.gram * np.outer(deviations, deviations)
    ridge = (noise + floor * scale**2) * identity
    return np.asarray(deviations * np.linalg.solve(weighted + ridge, deviations * beyond) / scale)


def noise_variance(evidence: Evidence) -> float:
    """What no combination of the records explains, for each parameter: there are far more of these
    than of records, so it is the noise's variance, and more where the records are not all."""
    records = len(evidence.products)
    identity = np.eye(records)
    free = np.linalg.solve(evidence.gram + _floor(evidence) * identity, evidence.products)
    unexplained = evidence.energy - 2 * free @ evidence.products + free @ evidence.gram @ free
    return max(0.0, float(unexplained)) / (evidence.dimensions - records)


def _floor(evidence: Evidence) -> float:
    return 1e-6 * float(np.trace(evidence.gram)) / len(evidence.products)
