"""Lower bounds on epsilon from guesses: by hand, monotone, and honest on randomised response."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import binomtest

from simulations.audit.lower_bound import correct_guesses, epsilon_lower_bound, p_value


def bound(correct: int, guesses: int = 100, delta: float = 0.0) -> float:
    return epsilon_lower_bound(
        canaries=2 * guesses, guesses=guesses, correct=correct, delta=delta, confidence=0.95
    )


def test_the_highest_are_guessed_in_and_the_lowest_out() -> None:
    scores = np.array([5.0, -3.0, 0.0, 4.0, -9.0, 1.0])
    included = np.array([True, False, True, False, True, False])
    assert correct_guesses(scores, included, 4) == 2  # of 5, 4 in and -9, -3 out
    assert correct_guesses(scores, included, 2) == 1


def test_without_delta_the_p_value_is_the_binomial_test() -> None:
    for correct, epsilon in ((60, 0.0), (80, 1.0), (99, 3.0)):
        chance = 1 / (1 + math.exp(-epsilon))
        expected = binomtest(correct, 100, chance, alternative="greater").pvalue
        value = p_value(canaries=200, guesses=100, correct=correct, epsilon=epsilon, delta=0.0)
        assert value == pytest.approx(expected, rel=1e-9)


def test_all_right_proves_what_the_formula_says() -> None:
    chance = 0.05 ** (1 / 100)  # all 100 right has this chance to the hundredth power
    assert bound(100) == pytest.approx(math.log(chance / (1 - chance)), abs=1e-3)
    assert bound(50) == bound(0) == 0.0


@given(st.integers(0, 99), st.sampled_from([0.0, 1e-6, 1e-4]))
def test_more_right_guesses_prove_more_and_a_larger_delta_less(correct: int, delta: float) -> None:
    assert bound(correct, delta=delta) <= bound(correct + 1, delta=delta)
    assert bound(correct, delta=1e-3) <= bound(correct, delta=delta) + 1e-3


def test_randomised_response_is_rarely_accused() -> None:
    """Each coin is told truly with chance e/(1+e): exactly epsilon 1, and the bound says so."""
    rng = np.random.default_rng(0)
    told = rng.random((400, 200)) < math.e / (1 + math.e)
    accused = np.mean([bound(int(row.sum()), guesses=200) > 1.0 for row in told])
    assert accused <= 0.05 + 3 * math.sqrt(0.05 * 0.95 / 400)
