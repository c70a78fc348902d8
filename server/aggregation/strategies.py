"""How a round's mean update becomes new weights: plainly, or through Adam's moments.

Noised updates are small and their noise is the same in every coordinate. Adam at the server divides
each coordinate by its own history, which no single site could keep without remembering noise from
round to round; it is post-processing and costs no privacy.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Protocol

import numpy as np

from irene_model.errors import CheckpointError
from irene_model.exchange import Array, Arrays
from irene_model.study import Study
from irene_model.weights import is_head

_BETA_1, _BETA_2, _EPSILON = 0.9, 0.999, 1e-8


class Strategy(Protocol):
    """Weights and a mean update to new weights; `state` is what the next round needs besides."""

    state: Arrays

    def apply(self, weights: Mapping[str, Array], mean: Mapping[str, Array], rate: float) -> Arrays:
        """New weights, in the dtype of `weights`; `rate` is the server's learning rate now.

        An array that `mean` lacks is frozen and stays as it is.
        """


@dataclass
class FedAvg:
    """w ← w + η Δ. With η = 1: McMahan et al. 2017, Algorithm 1."""

    state: Arrays = field(default_factory=dict)

    def apply(self, weights: Mapping[str, Array], mean: Mapping[str, Array], rate: float) -> Arrays:
        """w + rate · mean."""
        moved = {
            name: (weights[name] + rate * move).astype(weights[name].dtype)
            for name, move in mean.items()
        }
        return {**weights, **moved}


@dataclass
class FedAdam:
    """Adam on the pseudo-gradient -Δ: Reddi et al. 2021, Algorithm 2.

    With the bias correction of Kingma & Ba 2015 (Algorithm 1), which theirs leaves out: a study
    has few rounds, and without it the first ones take steps of another size. What no site trained
    in a round, a parameter or a label's row of a head, stays as it is and keeps its moments; and
    each has a count of its own steps, so that one that is first trained late is corrected as one
    that began.
    """

    state: Arrays = field(default_factory=dict)

    def apply(self, weights: Mapping[str, Array], mean: Mapping[str, Array], rate: float) -> Arrays:
        """w + rate · m̂ / (√v̂ + ε); an array or a row that no site moved stays as it is."""
        state, new = dict(self.state), dict(weights)
        for name, change in mean.items():
            moved, zero = _moved(name, change), np.zeros_like(change)
            m, v = state.get(f"m.{name}", zero), state.get(f"v.{name}", zero)
            before = state.get(f"t.{name}", np.zeros(moved.shape, np.int64))
            steps = np.asarray(before + moved)
            first = np.where(moved, _BETA_1 * m + (1 - _BETA_1) * change, m)
            second = np.where(moved, self._second(v, change), v)
            state |= {f"m.{name}": first, f"v.{name}": second, f"t.{name}": steps}
            t = np.maximum(steps, 1).astype(np.float64)
            step = (first / (1 - _BETA_1**t)) / (np.sqrt(second / (1 - _BETA_2**t)) + _EPSILON)
            new[name] = (weights[name] + rate * moved * step).astype(weights[name].dtype)
        self.state = state
        return new

    def _second(self, before: Array, change: Array) -> Array:
        return np.asarray(_BETA_2 * before + (1 - _BETA_2) * change**2)


@dataclass
class FedYogi(FedAdam):
    """FedAdam whose second moment moves by (1-β₂) Δ² at most: Reddi et al. 2021, Algorithm 2.

    After large updates Adam's v falls by a factor, Yogi's by a difference (Zaheer et al. 2018), so
    that the steps don't grow again at once.
    """

    def _second(self, before: Array, change: Array) -> Array:
        square = change**2
        return np.asarray(before - (1 - _BETA_2) * np.sign(before - square) * square)


def _moved(name: str, change: Array) -> Array:
    """(K, 1, …) whether any site trained a head's row; () true of another array.

    A mean is zero in a row that nobody trained (`server.aggregation.tally`), and a sum of noised
    updates is not.
    """
    if not is_head(name):
        return np.ones((), np.bool_)
    return np.asarray(np.any(change != 0, axis=tuple(range(1, change.ndim)), keepdims=True))


def strategy_for(study: Study, state: Mapping[str, Array]) -> Strategy:
    """The study's strategy, with the `state` that a checkpoint kept; {} before the first round.

    FedProx differs from FedAvg at the sites alone, the trimmed mean and the median in how updates
    become one (`server.aggregation.tally.tally_for`).
    """
    match study.federation.strategy:
        case "fedadam":
            return FedAdam(state=dict(state))
        case "fedyogi":
            return FedYogi(state=dict(state))
    if state:
        raise CheckpointError(
            f"the checkpoint keeps the state of another strategy than {study.federation.strategy}"
        )
    return FedAvg()
