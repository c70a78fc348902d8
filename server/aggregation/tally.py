"""Updates to what they agree on, two updates in memory at a time.

`WeightedMean` is Σ nᵢ uᵢ / Σ nᵢ (McMahan et al. 2017), where uᵢ is site i's update and nᵢ its
declared number of patients; a parameter that a site does not train, and a label's row of a head at
a site without the label, take no part in either sum, unless the study averages over all sites.
Sums are kept in float64, so that many sites add up as few. The heaviest update is added last, with
no more than its share of the weight: what a site declares of its size is a number that it may have
made up. `CoordinateWise` gives the median or the trimmed mean of each coordinate (Yin et al. 2018,
"Byzantine-robust distributed learning: towards optimal statistical rates"); it needs all updates at
once, keeps them on disk and reads one part of one array of all at a time.
"""

import logging
import math
import shutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Protocol

import numpy as np
from safetensors import safe_open
from safetensors.numpy import save_file

from irene_model.exchange import Array, Arrays
from irene_model.study import ROBUST, Study, trimmed
from irene_model.weights import Labels, is_head
from server.aggregation.bounds import least_weight

_log = logging.getLogger(__name__)
_NONE: Array = np.zeros(())
_VALUES_AT_ONCE = 2**22  # of all sites together, 16 MiB in float32


@dataclass(frozen=True, kw_only=True)
class Contribution:
    """One judged update: of the parameters that `site` trains, and the labels that it has (K,)."""

    site: str
    arrays: Mapping[str, Array]
    labels: Labels
    weight: float

    @cached_property
    def norm(self) -> float:
        """L2 norm of all arrays together."""
        return norm(self.arrays)


class Tally(Protocol):
    """What a round's updates are added to. `sites` gave an update of this round."""

    sites: set[str]

    def add(self, update: Contribution, *, late: bool = False) -> None:
        """Add an update; a late one does not count among `sites`."""

    def result(self) -> Arrays:
        """What all updates agree on, float32; without the parameters that nobody trained."""


class WeightedMean:
    """A running weighted mean of updates with the shapes of `like`.

    largest_share: the most of the weight that one site has, where it is not alone.
    least_weight: a mean over fewer patients is taken as one over so many.
    over_sites: what a site does not train it gives as an update of zeros, as plain FedAvg has it.
    """

    def __init__(
        self,
        like: Mapping[str, Array],
        *,
        largest_share: float = 1.0,
        least_weight: float = 0.0,
        over_sites: bool = False,
    ) -> None:
        self.sites: set[str] = set()
        self._like = like
        self._over_sites = over_sites
        self._share = largest_share
        self._least_weight = least_weight
        self._sums: dict[str, Array] = {}  # of all but the heaviest
        self._weights: dict[str, Array] = {}  # (), or (K, 1, …) for a head
        self._own: dict[tuple[str, str], Array] = {}  # what one site has of a parameter's weight
        self._heaviest: Contribution | None = None

    def add(self, update: Contribution, *, late: bool = False) -> None:
        """Add an update that was judged."""
        if self._over_sites:
            update = _completed(update, self._like)
        if late:  # its site may have sent a fresh one too: together they have one share
            self._fold(update, {name: self._share_of(update, name) for name in update.arrays})
            return
        self.sites.add(update.site)
        if self._heaviest is None:
            self._heaviest = update
            return
        lighter, self._heaviest = sorted((update, self._heaviest), key=lambda each: each.weight)
        self._fold(lighter, {name: _weight(lighter, name) for name in lighter.arrays})

    def result(self) -> Arrays:
        """The mean so far; zero in a head's row of a label that no site has."""
        last = {} if self._heaviest is None else self._heaviest.arrays
        return {name: self._mean(name) for name in {**self._sums, **last}}

    def _fold(self, update: Contribution, weights: Mapping[str, Array]) -> None:
        """Add an update to the sums, each of its arrays with its weight."""
        for name, array in update.arrays.items():
            if name not in self._sums:
                self._sums[name] = np.zeros(self._like[name].shape)
            self._sums[name] += weights[name] * array.astype(np.float64)
            self._weights[name] = self._weights.get(name, _NONE) + weights[name]
            own = (update.site, name)
            self._own[own] = self._own.get(own, _NONE) + weights[name]

    def _share_of(self, update: Contribution, name: str) -> Array:
        """What the update's array may weigh beside the others, with what its site has already."""
        wanted, own = _weight(update, name), self._own.get((update.site, name), _NONE)
        others, last = self._weights.get(name, _NONE) - own, self._heaviest
        if last is not None and last.site != update.site and name in last.arrays:
            others = others + _weight(last, name)
        if self._share == 1:
            return wanted
        most = np.maximum(others * self._share / (1 - self._share) - own, 0.0)
        return np.where(others > 0, np.minimum(wanted, most), wanted)

    def _mean(self, name: str) -> Array:
        total = self._sums.get(name, np.zeros(self._like[name].shape))
        weights, last = self._weights.get(name, _NONE), self._heaviest
        if last is not None and name in last.arrays:
            own = self._share_of(last, name)
            total = total + own * last.arrays[name].astype(np.float64)
            weights = weights + own
        divisor = np.maximum(weights, self._least_weight)
        return np.divide(
            total,
            divisor,
            out=np.zeros_like(total),
            where=np.broadcast_to(weights > 0, total.shape),
        ).astype(np.float32)


class CoordinateWise:
    """The median or trimmed mean of each coordinate; every site counts once, whatever its size.

    least_sites: a coordinate that fewer sites train stays as it is, for a middle of so few would
    leave nobody out. least_weight: a site of fewer patients is scaled down to as much of it.
    """

    def __init__(
        self,
        folder: Path,
        middle: Callable[[Array], Array],
        *,
        least_sites: int = 1,
        least_weight: float = 0.0,
    ) -> None:
        """`folder` keeps the updates until the next round; `middle` is (sites, …) to (…)."""
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        self.sites: set[str] = set()
        self._folder = folder
        self._middle = middle
        self._least_sites, self._least_weight = least_sites, least_weight
        self._files: dict[str, Path] = {}
        self._labels: dict[str, Labels] = {}
        self._trained: dict[str, list[str]] = {}  # parameter -> sites
        self._shapes: dict[str, tuple[int, ...]] = {}

    def add(self, update: Contribution, *, late: bool = False) -> None:
        """Keep an update that was judged; a late one is none that a median could weigh less."""
        assert not late
        arrays = dict(update.arrays)
        if update.weight < self._least_weight:
            part = np.float32(update.weight / self._least_weight)
            arrays = {name: array * part for name, array in arrays.items()}
        # A name from outside is no part of a path.
        self._files[update.site] = self._folder / f"{len(self._files)}.safetensors"
        save_file(arrays, self._files[update.site])
        self.sites.add(update.site)
        self._labels[update.site] = update.labels
        for name, array in update.arrays.items():
            self._trained.setdefault(name, []).append(update.site)
            self._shapes[name] = array.shape

    def result(self) -> Arrays:
        """The middle of what was added, in blocks of the arrays' first axis."""
        enough = {n: s for n, s in self._trained.items() if len(s) >= self._least_sites}
        if len(enough) < len(self._trained):
            _log.warning(
                "%d parameters stay as they are: fewer than %d sites train them",
                len(self._trained) - len(enough),
                self._least_sites,
            )
        try:
            return {name: self._of(name, sorted(sites)) for name, sites in enough.items()}
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
            if len(who) >= self._least_sites:
                result[part] = self._middle(np.stack([self._read(s, name, part) for s in who]))
        return result

    def _read(self, site: str, name: str, part: slice) -> Array:
        with safe_open(self._files[site], framework="numpy") as file:
            if part == slice(None):
                return np.asarray(file.get_tensor(name))
            return np.asarray(file.get_slice(name)[part])


def median(values: Array) -> Array:
    """The median over the first axis."""
    return np.asarray(np.median(values, axis=0), dtype=np.float32)


def trimmed_mean(values: Array, fraction: float) -> Array:
    """The mean over the first axis without the ⌊fraction · n⌋ smallest and largest values."""
    cut = trimmed(fraction, len(values))
    kept = np.sort(values, axis=0)[cut : len(values) - cut]
    return np.asarray(kept.mean(axis=0, dtype=np.float64), dtype=np.float32)


def tally_for(study: Study, like: Mapping[str, Array], folder: Path) -> Tally:
    """What the study's strategy adds updates to; `folder` is for those that must be kept."""
    federation, least = study.federation, least_weight(study)
    if federation.strategy not in ROBUST:
        return WeightedMean(
            like,
            largest_share=federation.largest_share,
            least_weight=least,
            over_sites=federation.average_over == "sites",
        )
    share = federation.trim_fraction
    return CoordinateWise(
        folder,
        median if federation.strategy == "median" else lambda values: trimmed_mean(values, share),
        least_sites=federation.robust_from,
        least_weight=least,
    )


def norm(update: Mapping[str, Array]) -> float:
    """L2 norm over all arrays together."""
    return math.sqrt(sum(_square(array) for array in update.values()))


def _square(array: Array) -> float:
    flat = array.ravel()
    parts = (flat[i : i + _VALUES_AT_ONCE] for i in range(0, flat.size, _VALUES_AT_ONCE))
    return sum(float(np.sum(part.astype(np.float64) ** 2)) for part in parts)


def _completed(update: Contribution, like: Mapping[str, Array]) -> Contribution:
    """`update` with zeros for what its site does not train, and with its weight for every label."""
    still = {name: np.broadcast_to(np.float32(0), array.shape) for name, array in like.items()}
    return replace(update, arrays={**still, **update.arrays}, labels=np.ones_like(update.labels))


def _weight(update: Contribution, name: str) -> Array:
    """What the update's array `name` weighs: (), or (K, 1, …) for a head."""
    weight: Array = np.full((), update.weight)
    return weight * _rows(update.labels, update.arrays[name]) if is_head(name) else weight


def _rows(labels: Labels, array: Array) -> Array:
    """1 for a row of a label that is there, else 0; (K, 1, …) as `array` has axes."""
    return labels.astype(np.float64).reshape(-1, *[1] * (array.ndim - 1))
