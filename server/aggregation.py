"""Updates to their mean, one update in memory at a time. Pure.

Σ nᵢ uᵢ / Σ nᵢ (McMahan et al. 2017), where uᵢ is site i's update and nᵢ its declared number of
patients. The sums are kept in float64, so that many sites add up as few.
"""

from collections.abc import Mapping

import numpy as np

from irene_model.errors import ProtocolError
from irene_model.protocol import Array, Arrays, check_update


class WeightedMean:
    """A running weighted mean of updates that have the names and shapes of `like`."""

    def __init__(self, like: Mapping[str, Array]) -> None:
        self._like = like
        self._sums = {name: np.zeros(array.shape) for name, array in like.items()}
        self._weight = 0.0
        self.count = 0

    def add(self, update: Mapping[str, Array], weight: float) -> None:
        """Judge `update` whole, then add it; a ProtocolError leaves the sums untouched."""
        if not (np.isfinite(weight) and weight > 0):
            raise ProtocolError("the update's weight must be a positive number")
        check_update(update, self._like)
        for name, array in update.items():
            self._sums[name] += weight * array.astype(np.float64)
        self._weight += weight
        self.count += 1

    def mean(self) -> Arrays:
        """The mean so far, float32; at least one update must have been added."""
        assert self.count > 0
        return {
            name: (total / self._weight).astype(np.float32) for name, total in self._sums.items()
        }


def norm(update: Mapping[str, Array]) -> float:
    """L2 norm over all arrays together."""
    return float(np.sqrt(sum(float(np.sum(a.astype(np.float64) ** 2)) for a in update.values())))
