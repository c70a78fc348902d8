"""What a cohort can hope for under its noise, told from public numbers before training (pure).

A step moves along the mean of clipped gradients, each of norm at most C, so the signal of T steps
is at most T C, reached where all patients pull one way in all steps. The noise of a site's mean is
normal with deviation s C / B in each of d parameters (s its noise multiplier, B its expected batch;
Abadi et al. 2016, Alg. 1), so its norm over T steps is about sqrt(T d) s C / B, and that of a mean
of sites sqrt(T d sum of (w s / B)^2) C with their weights w. The ratio of both is free of C:

    r = sqrt(T / d) / sqrt(sum of (w s / B)^2)

Real gradients disagree, so much less than r is reached: it is an upper bound, not a forecast.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class Share:
    """One site's part in each step of a federation. `weight` is relative to the other sites'."""

    weight: float
    noise_multiplier: float
    expected_batch: float


def signal_to_noise(shares: Sequence[Share], *, steps: int, parameters: int) -> float:
    """At most so many times the noise is what `steps` steps learn; infinite without noise.

    parameters: those that are trained. ValueError without a share.
    """
    whole = sum(share.weight for share in shares)
    if whole <= 0:
        raise ValueError("no site has a share")
    noise = math.hypot(*(s.weight / whole * s.noise_multiplier / s.expected_batch for s in shares))
    return math.inf if noise == 0 else math.sqrt(steps / parameters) / noise


CHANCE, LITTLE = 5.0, 12.0  # measured: docs/privacy.md, "What a cohort can hope for"


def doubt(ratio: float) -> str | None:
    """What to expect of a model that starts from nothing; None where nothing is wrong.

    The bounds are experience with this model, and no theorem.
    """
    if ratio >= LITTLE:
        return None
    outcome = (
        "a model that starts from nothing ends near chance"
        if ratio < CHANCE
        else "a model that starts from nothing learns far less than without noise"
    )
    return (
        f"{outcome}: all steps together move it by at most {ratio:.2g} times what their noise does "
        f"(it takes {LITTLE:g}); more patients or hospitals, a start learned elsewhere or a "
        "smaller trained part (training.parameters) would help"
    )
