"""From a target epsilon to the noise that spends it. Pure.

The smaller of both bounds counts, as where a budget is judged. PRV's lies some tenth below RDP's,
so the same epsilon is had with about 6% less noise than by RDP alone.
"""

import math
from collections.abc import Callable
from functools import lru_cache

from irene_model.errors import ProtocolError
from irene_model.privacy.accountants import KEPT, Mechanism, epsilon, epsilons
from irene_model.study import HeldOut, Study

_SMALLEST_NOISE, _LARGEST_NOISE = 0.1, 1e4
_SHARE = 0.999  # of the target is spent: see noise_multiplier_for
_ERROR = 1e-3  # of the noise multiplier
_TINY = 1e-12


@lru_cache(maxsize=KEPT)  # a size of site each: all of them are asked for in every round
def noise_multiplier_for(
    target_epsilon: float,
    *,
    delta: float,
    sample_rate: float,
    steps: int,
    after: tuple[Mechanism, ...] = (),
) -> float:
    """A noise multiplier with which `steps` more steps `after` others spend the target.

    By the smaller of both bounds they spend at most 99.9% of it, which leaves room for PRV's
    rounding, so that a budget of the target admits every one of the steps; and at least 99%,
    where a noise multiplier of 0.1 does not spend less. Four significant digits, rounded up:
    repeated elsewhere it is the same number.

    Raises ValueError where even a noise multiplier of 10,000 spends more.
    """
    wanted = _SHARE * target_epsilon

    def spent(noise: float) -> tuple[Mechanism, ...]:
        more = Mechanism(noise_multiplier=noise, sample_rate=sample_rate, steps=steps)
        return (*after, more)

    already = epsilons(after, delta=delta)
    if already.smallest < wanted:
        # RDP says nearly where; PRV, which is slow, is asked a few times around there.
        near = _least_noise(
            lambda noise: epsilon(spent(noise), delta=delta),
            wanted + already.rdp - already.smallest,
            start=1.0,
            stride=2.0,
            error=0.01,
        )
        found = near and _least_noise(
            lambda noise: epsilons(spent(noise), delta=delta).smallest,
            wanted,
            start=near,
            stride=1.1,
            error=_ERROR,
        )
        if found:
            return found
    raise ValueError(f"epsilon {target_epsilon:g} at delta {delta:g} is out of reach")


def evaluation_noise(study: Study, split: HeldOut) -> float:
    """The noise multiplier of one evaluation; 0 where the study asks for exact histograms.

    Raises ProtocolError for an epsilon that no noise reaches.
    """
    asked = study.evaluation_noise
    if asked.noise_multiplier is not None:
        return asked.noise_multiplier
    assert asked.epsilon is not None  # Privacy demands one of the two
    try:
        return noise_multiplier_for(
            asked.epsilon,
            delta=study.privacy.delta,
            sample_rate=1.0,
            steps=study.evaluations(split),
        )
    except ValueError as error:
        raise ProtocolError(f"the study's evaluation: {error}") from None


def _least_noise(
    spent: Callable[[float], float], target: float, *, start: float, stride: float, error: float
) -> float | None:
    """The least noise multiplier, but for a relative `error`, that spends at most `target`.

    Looked for from `start` in steps of the factor `stride`; None if 10,000 spends more.
    """
    tried: dict[float, float] = {}

    def excess(log_noise: float) -> float:
        noise = _four_digits_up(math.exp(log_noise))
        if noise not in tried:
            tried[noise] = math.log(max(spent(noise), _TINY) / target)
        return tried[noise]

    at, step = math.log(start), math.log(stride)
    while excess(at) > 0:
        at += step
        if at > math.log(_LARGEST_NOISE):
            return None
    while at > math.log(_SMALLEST_NOISE) and excess(at - step) <= 0:
        at -= step
    if excess(at - step) > 0:  # nearly a straight line in logarithms: a few secants
        from scipy.optimize import brentq

        brentq(excess, at - step, at, xtol=error)
    return min(noise for noise, over in tried.items() if over <= 0)


def _four_digits_up(value: float) -> float:
    scale = 10.0 ** (3 - math.floor(math.log10(value)))
    return math.ceil(value * scale - 1e-6) / scale
