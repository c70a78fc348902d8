"""Updates to what they agree on, one update in memory at a time.

`WeightedMean` is Σ nᵢ uᵢ / Σ nᵢ (McMahan et al. 2017), where uᵢ is site i's update and nᵢ its
declared number of patients; a parameter that a site does not train, and a label's row of a head at
a site without the label, take no part in either sum. Sums are kept in float64, so that many sites
add up as few. `CoordinateWise` gives the median or the trimmed mean of each coordinate (Yin et al.
2018, "Byzantine-robust distributed learning: towards optimal statistical rates"); it needs all
updates at once, keeps them on disk and reads one part of one array of all at a time.
"""

import math
import shutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np
from safetensors import safe_open
from safetensors.numpy import save_file

from irene_model.exchange import Array, Arrays
from irene_model.study import Study
from irene_model.weights import Labels, is_head

_VALUES_AT_ONCE = 2**22  # of all sites together, 16 MiB in float32


@dataclass(frozen=True, kw_only=True)
class Contribution:
    """One judged update: of the parameters that `site` trains, and the labels that it has (K,)."""

    site: str
    arrays: Mapping[str, Array]
    labels: Labels
    weight: float


class Tally(Protocol):
    """What a round's updates are added to. `sites` gave an update of this round."""

    sites: set[str]

    def add(self, update: Contribution, *, late: bool = False) -> None:
        """Add an update; a late one does not count among `sites`."""

    def result(self) -> Arrays:
        """What all updates agree on, float32; without the parameters that nobody trained."""


class WeightedMean:
    """A running weighted mean of updates with the shapes of `like`."""

    def __init__(self, like: Mapping[str, Array]) -> None:
        self.sites: set[str] = set()
        self._like = like
        self._sums: dict[str, Array] = {}
        self._weights: dict[str, Array] = {}  # (), or (K, 1, …) for a head

    def add(self, update: Contribution, *, late: bool = False) -> None:
        """Add an update that was judged."""
        for name, array in update.arrays.items():
            if name not in self._sums:
                self._sums[name] = np.zeros(self._like[name].shape)
                self._weights[name] = np.zeros(())
            weight: Array = np.full((), update.weight)
            if is_head(name):
                weight = weight * _rows(update.labels, array)
            self._sums[name] += weight * array.astype(np.float64)
            self._weights[name] = self._weights[name] + weight
        if not late:
            self.sites.add(update.site)

    def result(self) -> Arrays:
        """The mean so far; zero in a head's row of a label that no site has."""
        return {
            name: np.divide(
                total,
                weight,
                out=np.zeros_like(total),
                where=np.broadcast_to(weight > 0, total.shape),
            ).astype(np.float32)
            for name, total in self._sums.items()
            for weight in (self._weights[name],)
        }


class CoordinateWise:
    """The median or trimmed mean of each coordinate; every site counts once, whatever its size."""

    def __init__(self, folder: Path, middle: Callable[[Array], Array]) -> None:
        """`folder` keeps the updates until the next round; `middle` is (sites, …) to (…)."""
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        self.sites: set[str] = set()
        self._folder = folder
        self._middle = middle
        self._labels: dict[str, Labels] = {}
        self._trained: dict[str, list[str]] = {}  # parameter -> sites
        self._shapes: dict[str, tuple[int, ...]] = {}

    def add(self, update: Contribution, *, late: bool = False) -> None:
        """Keep an update that was judged; a late one is none that a median could weigh less."""
        assert not late
        save_file(dict(update.arrays), self._folder / f"{update.site}.safetensors")
        self.sites.add(update.site)
        self._labels[update.site] = update.labels
        for name, array in update.arrays.items():
            self._trained.setdefault(name, []).append(update.site)
            self._shapes[name] = array.shape

    def result(self) -> Arrays:
        """The middle of what was added, in blocks of the arrays' first axis."""
        try:
            return {name: self._of(name, sorted(sites)) for name, sites in self._trained.items()}
        finally:
            shutil.rmtree(self._folder, ignore_errors=True)

    def _of(self, name: str, sites: list[str]) -> Array:
        shape = self._shapes[name]
        if not shape:
            return self._middle(np.stack([self._read(s, name, slice(None)) for s in sites]))
        result = np.zeros(shape, np.float32)
        step = max(1, _VALUES_AT_ONCE // (len(sites) * max(1, math.prod(shape[1:]))))
        if is_head(name):
            step = 1  # each row has sites of its own
        for start in range(0, shape[0], step):
            part = slice(start, min(start + step, shape[0]))
            who = [s for s in sites if not is_head(name) or self._labels[s][start]]
            if who:
                result[part] = self._middle(np.stack([self._read(s, name, part) for s in who]))
        return result

    def _read(self, site: str, name: str, part: slice) -> Array:
        with safe_open(self._folder / f"{site}.safetensors", framework="numpy") as file:
            if part == slice(None):
                return np.asarray(file.get_tensor(name))
            return np.asarray(file.get_slice(name)[part])


def median(values: Array) -> Array:
    """The median over the first axis."""
    return np.asarray(np.median(values, axis=0), dtype=np.float32)


def trimmed_mean(values: Array, fraction: float) -> Array:
    """The mean over the first axis without the ⌊fraction · n⌋ smallest and largest values."""
    cut = math.floor(fraction * len(values))
    kept = np.sort(values, axis=0)[cut : len(values) - cut]
    return np.asarray(kept.mean(axis=0, dtype=np.float64), dtype=np.float32)


def tally_for(study: Study, like: Mapping[str, Array], folder: Path) -> Tally:
    """What the study's strategy adds updates to; `folder` is for those that must be kept."""
    match study.federation.strategy:
        case "median":
            return CoordinateWise(folder, median)
        case "trimmed_mean":
            share = study.federation.trim_fraction
            return CoordinateWise(folder, lambda values: trimmed_mean(values, share))
        case _:
            return WeightedMean(like)


def norm(update: Mapping[str, Array]) -> float:
    """L2 norm over all arrays together."""
    return math.sqrt(sum(_square(array) for array in update.values()))


def _square(array: Array) -> float:
    flat = array.ravel()
    parts = (flat[i : i + _VALUES_AT_ONCE] for i in range(0, flat.size, _VALUES_AT_ONCE))
    return sum(float(np.sum(part.astype(np.float64) ** 2)) for part in parts)


def _rows(labels: Labels, array: Array) -> Array:
    """1 for a row of a label that is there, else 0; (K, 1, …) as `array` has axes."""
    return labels.astype(np.float64).reshape(-1, *[1] * (array.ndim - 1))
