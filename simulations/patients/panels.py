"""A study's further panels of numbers for synthetic patients, whatever panels it declares.

A value lies in its reference interval, but one in five answers to one of the blood's abnormalities
and leaves it by two or three half-widths, up or down, while that abnormality is there. Which value
answers to what follows from the names alone, so all hospitals and seeds agree.
"""

import hashlib
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from irene_model.study import Panel
from simulations.patients.diseases import ABNORMALITIES
from simulations.patients.patients import Encounter

_ANSWERS = 0.2  # share of values that answer to an abnormality
_SHIFT = (2.0, 3.0)  # half-widths of the reference interval
_SPREAD = 0.5  # standard deviation in half-widths


def draw_panel(
    panel: Panel, encounters: Sequence[Encounter], rng: np.random.Generator
) -> npt.NDArray[np.float64]:
    """Values (encounters, values) in the study's units."""
    z = _SPREAD * rng.standard_normal((len(encounters), len(panel.values)))
    z += np.array([_seen(encounter) for encounter in encounters]) @ _loadings(panel)
    low, high = (np.array([getattr(v, end) for v in panel.values]) for end in ("low", "high"))
    values = (low + high) / 2 + z * (high - low) / 2
    # What can't be negative by its interval is not.
    bounded: npt.NDArray[np.float64] = np.where(low >= 0, np.maximum(values, 0.0), values)
    return bounded


def _seen(encounter: Encounter) -> list[float]:
    return [float(name in encounter.abnormalities) for name in ABNORMALITIES]


def _loadings(panel: Panel) -> npt.NDArray[np.float64]:
    """(abnormalities, values): by how many half-widths each value moves."""
    loadings = np.zeros((len(ABNORMALITIES), len(panel.values)))
    for column, name in enumerate(panel.names):
        seed = hashlib.sha256(f"{panel.name}\n{name}".encode()).digest()
        rng = np.random.default_rng(list(seed))
        if rng.random() < _ANSWERS:
            sign = rng.choice((-1.0, 1.0))
            loadings[rng.integers(len(ABNORMALITIES)), column] = sign * rng.uniform(*_SHIFT)
    return loadings
