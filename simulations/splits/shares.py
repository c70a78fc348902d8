"""How one cohort becomes many sites. Pure: patients' classes in, a site for each patient out.

Label skew follows Hsu et al. 2019: for each class, the sites' shares are drawn from a Dirichlet
distribution; the smaller alpha, the more the sites differ.
"""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

Sites = npt.NDArray[np.int64]


def sizes(total: int, shares: Sequence[float]) -> list[int]:
    """`total` patients in proportion to `shares`, at least one each, adding up exactly."""
    if total < len(shares):
        raise ValueError(f"{total} patients can't be split over {len(shares)} sites")
    spare = total - len(shares)
    exact = np.asarray(shares) / np.sum(shares) * spare
    whole = np.floor(exact).astype(int)
    for index in np.argsort(whole - exact, kind="stable")[: spare - whole.sum()]:
        whole[index] += 1
    return [int(count) + 1 for count in whole]


def iid(num_patients: int, shares: Sequence[float], rng: np.random.Generator) -> Sites:
    """Patients at random, in proportion to `shares`."""
    assigned = np.repeat(np.arange(len(shares)), sizes(num_patients, shares))
    return rng.permutation(assigned)


def quantity_skew(
    num_patients: int, num_sites: int, alpha: float, rng: np.random.Generator
) -> Sites:
    """Patients at random; the sites' sizes are drawn from Dirichlet(`alpha`)."""
    return iid(num_patients, rng.dirichlet([alpha] * num_sites).tolist(), rng)


def label_skew(
    classes: Sequence[int], shares: Sequence[float], alpha: float, rng: np.random.Generator
) -> Sites:
    """Each class is spread over the sites by its own Dirichlet(`alpha`) times `shares`.

    `classes` gives one class for each patient, as the first disease.
    """
    each = np.asarray(classes)
    assigned = np.zeros(len(each), dtype=np.int64)
    weights = np.asarray(shares) / np.mean(shares)
    for value in np.unique(each):
        members = rng.permutation(np.flatnonzero(each == value))
        borders = np.cumsum(rng.dirichlet(alpha * weights))[:-1] * len(members)
        for site, part in enumerate(np.split(members, np.round(borders).astype(int))):
            assigned[part] = site
    return assigned
