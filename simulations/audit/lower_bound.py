"""From an attacker's guesses to a lower bound on epsilon. Pure.

Steinke, Nasr & Jagielski 2023, "Privacy auditing with one (1) training run": m canaries take part,
each or not by a fair coin; the attacker guesses some of the coins. If training is (ε, δ)-private,
the number of right guesses is hardly ever above that of a biased coin (Theorem 5.2), so many right
guesses refute the ε.
"""

import math

import numpy as np
import numpy.typing as npt
from scipy.stats import binom

Scores = npt.NDArray[np.float64]
_LARGEST_EPSILON = 64.0


def correct_guesses(scores: Scores, included: npt.NDArray[np.bool_], guesses: int) -> int:
    """How many of `guesses` are right: the highest half is guessed in, the lowest half out.

    `guesses` is fixed before the scores are seen, or the bound below would not hold.
    """
    order = np.argsort(scores, kind="stable")
    half = guesses // 2
    return int(included[order[len(order) - half :]].sum() + (~included[order[:half]]).sum())


def p_value(*, canaries: int, guesses: int, correct: int, epsilon: float, delta: float) -> float:
    """A bound on the chance of so many right guesses if training is (epsilon, delta)-private."""
    right = 1 / (1 + math.exp(-epsilon))
    beyond = float(binom.sf(correct - 1, guesses, right))
    if correct == 0:
        return 1.0
    below = np.cumsum(binom.pmf(np.arange(correct - 1, -1, -1), guesses, right))
    steepest = float(np.max(below / np.arange(1, correct + 1)))
    return min(1.0, beyond + 2 * canaries * delta * steepest)


def epsilon_lower_bound(
    *, canaries: int, guesses: int, correct: int, delta: float, confidence: float
) -> float:
    """The largest epsilon that the guesses refute with `confidence`; 0 if they refute none."""

    def refuted(epsilon: float) -> bool:
        value = p_value(
            canaries=canaries, guesses=guesses, correct=correct, epsilon=epsilon, delta=delta
        )
        return value <= 1 - confidence

    if not refuted(0.0):
        return 0.0
    low, high = 0.0, _LARGEST_EPSILON
    while high - low > 1e-4:
        middle = (low + high) / 2
        low, high = (middle, high) if refuted(middle) else (low, middle)
    return low
