"""The course of the learning rate over the rounds of a study.

It acts where the size of a step is decided: at the sites under FedAvg, whose optimizers turn
gradients into steps, and at the server under FedAdam and FedYogi, which rescale what sites send.
"""

import math

from irene_model.study.federation import ADAPTIVE
from irene_model.study.study import Study


def site_rate(study: Study, round: int) -> float:
    """The sites' learning rate in `round` (from 1)."""
    factor = 1.0 if study.federation.strategy in ADAPTIVE else rate_factor(study, round)
    return study.training.learning_rate * factor


def server_rate(study: Study, round: int) -> float:
    """The server's learning rate in `round` (from 1)."""
    factor = rate_factor(study, round) if study.federation.strategy in ADAPTIVE else 1.0
    return study.federation.server_learning_rate * factor


def rate_factor(study: Study, round: int) -> float:
    """Linear warm-up, then a cosine from 1 to `final_rate_fraction` at the last round."""
    training, rounds = study.training, study.federation.rounds
    warm = min(1.0, round / (training.warmup_rounds + 1))
    done = (round - 1) / max(1, rounds - 1)
    cosine = 0.5 * (1 + math.cos(math.pi * done))
    floor = training.final_rate_fraction
    return warm * (floor + (1 - floor) * cosine)
