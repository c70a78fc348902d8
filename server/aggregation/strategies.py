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
    has few rounds, and without it the first ones take steps of another size. A parameter that no
    site trained in a round keeps its moments.
    """

    state: Arrays = field(default_factory=dict)

    def apply(self, weights: Mapping[str, Array], mean: Mapping[str, Array], rate: float) -> Arrays:
        """w + rate · m̂ / (√v̂ + ε); an array that no site moved stays as it is."""
        step = int(self.state.get("step", np.zeros(1, np.int64))[0]) + 1
        moments: Arrays = {**self.state, "step": np.array([step], np.int64)}
        new: Arrays = dict(weights)
        for name, change in mean.items():
            array, zero = weights[name], np.zeros_like(change)
            first = _BETA_1 * self.state.get(f"m.{name}", zero) + (1 - _BETA_1) * change
            second = self._second(self.state.get(f"v.{name}", zero), change)
            moments[f"m.{name}"], moments[f"v.{name}"] = first, second
            scale = np.sqrt(second / (1 - _BETA_2**step)) + _EPSILON
            move = first / (1 - _BETA_1**step) / scale
            new[name] = (array + rate * move).astype(array.dtype)
        self.state = moments
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
