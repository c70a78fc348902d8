"""Patients dealt to sites of given sizes, by how well each suits each. Pure.

Skews multiply: a patient suits a site by the product of what each part says of the two. Iterative
proportional fitting (Deming & Stephan 1940) then finds the chances nearest to that under which
every patient goes to one site and every site gets its number, and the patients are drawn by them.
"""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from simulations.splits.shares import Sites, sizes

Matrix = npt.NDArray[np.float64]
_FITS = 100
_CLOSE = 1e-3  # of a site's size
_LEAST = 1e-9  # of the best suiting: nothing but what is forbidden is impossible


class DealError(ValueError):
    """Somebody has no site left that may see him."""


def site_sizes(
    total: int,
    shares: Sequence[float],
    *,
    alpha: float | None,
    power: float | None,
    least: int,
    rng: np.random.Generator,
) -> list[int]:
    """`total` patients over the sites: by `shares`, times a Dirichlet draw or 1 / k^power.

    Raises ValueError where `least` patients a site are more than there are.
    """
    weights = np.asarray(shares, dtype=float)
    spare = total - (least - 1) * len(weights)
    if spare < len(weights):
        raise ValueError(f"{total} patients can't give {len(weights)} sites {least} each")
    if alpha is not None:
        weights = weights * np.maximum(rng.dirichlet([alpha] * len(weights)), _LEAST)
    elif power is not None:
        weights = weights / np.arange(1, len(weights) + 1) ** power
    return [size + least - 1 for size in sizes(spare, weights.tolist())]


def label_suits(
    classes: npt.NDArray[np.int64], num_sites: int, alpha: float, rng: np.random.Generator
) -> Matrix:
    """(patients, sites): each class's shares, drawn from Dirichlet(`alpha`)."""
    found = np.empty((len(classes), num_sites))
    for value in np.unique(classes):
        found[classes == value] = rng.dirichlet([alpha] * num_sites)
    return found


def tilted(values: Matrix, slopes: Matrix) -> Matrix:
    """(patients, sites): exp(value times slope).

    Of a normal of variance v, a slope of m / v moves the mean by m and leaves the rest.
    """
    exponents = np.outer(values - values.mean(), slopes)
    found: Matrix = np.exp(exponents - exponents.max(axis=1, keepdims=True))
    return found


def deal(
    capacities: Sequence[int],
    suits: Matrix,
    allowed: npt.NDArray[np.bool_],
    rng: np.random.Generator,
) -> Sites:
    """A site for each patient, such that each site gets as many as its capacity.

    suits: (patients, sites), not negative. allowed: the same; False is never. Raises DealError
    where the patients that few sites may see are more than these sites take.
    """
    chances = fitted(np.asarray(capacities, dtype=float), suits, allowed)
    left = np.array(capacities, dtype=np.int64)
    assigned = np.empty(len(suits), dtype=np.int64)
    order = rng.permutation(len(suits))
    # Who has few sites to go to comes first, and all others fill what is left.
    for patient in order[np.argsort(allowed[order].sum(axis=1), kind="stable")]:
        open_to = chances[patient] * (allowed[patient] & (left > 0))
        if not open_to.any():
            raise DealError
        site = int(rng.choice(len(left), p=open_to / open_to.sum()))
        assigned[patient] = site
        left[site] -= 1
    return assigned


def fitted(capacities: Matrix, suits: Matrix, allowed: npt.NDArray[np.bool_]) -> Matrix:
    """(patients, sites) chances: rows add up to 1, columns nearly to the capacities."""
    if not allowed.any(axis=1).all():
        raise DealError
    chances: Matrix = np.where(
        allowed, np.maximum(suits, _LEAST * suits.max(axis=1, keepdims=True)), 0.0
    )
    for _ in range(_FITS):
        chances *= capacities / np.maximum(chances.sum(axis=0), 1e-300)
        chances /= np.maximum(chances.sum(axis=1, keepdims=True), 1e-300)
        if np.all(np.abs(chances.sum(axis=0) - capacities) <= _CLOSE * capacities):
            break
    # What fitting has made vanish stays possible, so that the last seats find their patients.
    return np.where(allowed, np.maximum(chances, 1e-300), 0.0)


def visitors(
    homes: Sites, num_sites: int, *, share: float, sites: int, rng: np.random.Generator
) -> list[tuple[int, int]]:
    """(patient, further site) of those who are seen at several, `sites` each with their home."""
    chosen = rng.permutation(len(homes))[: max(1, round(share * len(homes)))]
    found = []
    for patient in np.sort(chosen):
        others = np.delete(np.arange(num_sites), homes[patient])
        found += [(int(patient), int(s)) for s in np.sort(rng.permutation(others)[: sites - 1])]
    return found
