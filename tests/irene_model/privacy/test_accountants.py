"""Both accountants against Google's dp-accounting (tests/golden/accountants.py), and by hand."""

import json
import math
from pathlib import Path
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from scipy.optimize import brentq
from scipy.stats import norm

from irene_model.privacy import accountants as privacy
from irene_model.privacy.accountants import (
    PRV_EPSILON_ERROR,
    Epsilons,
    Mechanism,
    epsilon,
    epsilons,
)

SOME = slice(2, None, 11)
CASES = json.loads((Path(__file__).parents[2] / "golden/accountants.json").read_text())


def mechanism(noise: float = 1.0, rate: float = 0.05, steps: int = 50) -> Mechanism:
    return Mechanism(noise_multiplier=noise, sample_rate=rate, steps=steps)


@pytest.mark.parametrize("case", CASES, ids=lambda case: f"{case['mechanisms']}-{case['delta']:g}")
def test_rdp_is_that_of_dp_accounting(case: dict[str, Any]) -> None:
    ours = epsilon([mechanism(*each) for each in case["mechanisms"]], delta=case["delta"])
    assert case["pld"] * (1 - 1e-3) - 1e-3 <= ours <= case["rdp"] * 1.02 + 1e-3
    if case["rdp"] < 30:
        # Above, the best orders lie below 3, and dp-accounting skips those fractional ones whose
        # series it can't sum: it is then looser than we are.
        assert ours == pytest.approx(case["rdp"], rel=0.02, abs=1e-3)


def check_prv(case: dict[str, Any]) -> bool:
    found = epsilons([mechanism(*each) for each in case["mechanisms"]], delta=case["delta"])
    if found.prv is not None:
        # Never below the truth, which dp-accounting brackets; above it by its stated error twice.
        assert found.prv >= case["pld"] * (1 - 1e-3) - 1e-4
        assert found.prv <= case["pld"] * (1 + 1e-3) + 2 * PRV_EPSILON_ERROR + 1e-3
    assert found.smallest <= found.rdp
    return found.prv is not None


@pytest.mark.parametrize(
    "case", CASES[::9] + CASES[-5:-4], ids=lambda case: f"{case['mechanisms']}"
)
def test_prv_is_dp_accountings_pld(case: dict[str, Any]) -> None:
    check_prv(case)


@pytest.mark.slow
def test_prv_is_dp_accountings_pld_over_the_whole_grid() -> None:
    answered = [check_prv(case) for case in CASES]
    assert sum(answered) > 0.9 * len(CASES)


@pytest.mark.parametrize(("sigma", "steps"), [(5.0, 1), (3.0, 20), (1.0, 50)])
def test_without_subsampling_prv_is_the_gaussian_mechanism(sigma: float, steps: int) -> None:
    # Balle and Wang 2018, Thm. 8, with the sensitivity of `steps` releases over the noise.
    mu, delta = math.sqrt(steps) / sigma, 1e-5

    def excess(e: float) -> float:
        return float(norm.cdf(mu / 2 - e / mu) - math.exp(e) * norm.cdf(-mu / 2 - e / mu) - delta)

    exact = float(brentq(excess, 1e-6, 100))
    prv = epsilons([mechanism(sigma, 1.0, steps)], delta=delta).prv
    assert prv is not None and exact <= prv <= exact + 2 * PRV_EPSILON_ERROR


def excess(claimed: float, noise: float, rate: float) -> float:
    """The delta that one step really has at `claimed`, a patient removed, in logarithms.

    From P = (1 - q) N(0, s²) + q N(1, s²) against N(0, s²), beyond the x where P / N is e^claimed.
    """
    ratio = claimed + math.log1p((rate - 1) * math.exp(-claimed)) - math.log(rate)
    x = noise**2 * ratio + 0.5
    far = math.exp(min(0.0, ratio + float(norm.logsf(x / noise))))
    return rate * (float(norm.sf((x - 1) / noise)) - far)


@settings(max_examples=40, deadline=None)
@given(
    noise=st.floats(-2.5, 1.5).map(lambda power: 10**power),
    rate=st.floats(1e-3, 1.0),
    delta=st.sampled_from([1e-2, 1e-5, 1e-7]),
)
@example(noise=0.01, rate=0.01, delta=1e-5)  # PRV said 705, and the truth is beyond 5,000
@example(noise=0.03, rate=0.5, delta=1e-5)
@example(noise=0.0287, rate=1.0, delta=1e-5)  # on both sides of the largest reach
@example(noise=0.0305, rate=1.0, delta=1e-5)
def test_no_claim_lies_below_what_one_step_truly_spends(
    noise: float, rate: float, delta: float
) -> None:
    both = epsilons([mechanism(noise, rate, 1)], delta=delta)
    for claimed in (both.rdp, both.smallest):
        assert claimed >= 0
        assert excess(claimed, noise, rate) <= delta * (1 + 1e-6)


def test_prv_is_used_up_to_its_reach_and_not_beyond() -> None:
    assert epsilons([mechanism(0.035, 1.0, 1)], delta=1e-5).prv is not None
    for noise in (0.029, 0.02, 0.01):
        assert epsilons([mechanism(noise, 0.01, 1)], delta=1e-5).prv is None


@pytest.mark.parametrize("noise", [5e-324, 1e-160, 1e-3, 1e5, 1e8, 1e100, 1e200, 1.7e308])
@pytest.mark.parametrize("rate", [5e-324, 1e-17, 0.3, 1 - 1e-16, 1.0])
@pytest.mark.parametrize("steps", [1, 10**18, 10**400])
def test_whatever_a_float_holds_has_an_epsilon(noise: float, rate: float, steps: int) -> None:
    both = epsilons([mechanism(noise, rate, steps)], delta=1e-5)
    assert both.rdp >= 0 and both.smallest >= 0  # so neither is NaN
    assert both.prv is None or both.prv <= both.rdp or both.prv < 1e-2 + both.rdp


def test_epsilons_that_rounding_makes_negative_are_nothing() -> None:
    # So little is spent that the conversion of RDP's bound, and PRV's own, fall below 0.
    both = epsilons([mechanism(1e5, 0.01, 1)], delta=1e-2)
    assert both.rdp == both.smallest == 0.0
    assert 0 <= epsilons([mechanism(50.0, 0.5, 1)], delta=1e-1).smallest < 0.1


@pytest.mark.parametrize(
    ("noise", "rate", "steps"), [(0.05, 0.5, 10), (1.0, 0.1, 10**6)], ids=["noise", "steps"]
)
def test_where_prv_has_no_answer_rdp_has_one(noise: float, rate: float, steps: int) -> None:
    found = epsilons([mechanism(noise, rate, steps)], delta=1e-5)
    assert found.prv is None
    assert found.smallest == found.rdp == epsilon([mechanism(noise, rate, steps)], delta=1e-5)


@pytest.mark.parametrize("answer", [math.nan, math.inf, RuntimeError("Cannot compute epsilon")])
def test_a_failing_prv_is_no_bound(monkeypatch: pytest.MonkeyPatch, answer: Any) -> None:
    def fail(*_: object) -> float:
        if isinstance(answer, Exception):
            raise answer
        return float(answer)

    monkeypatch.setattr(privacy, "_prv_one_way", fail)
    assert epsilons([mechanism(1.234567)], delta=1e-5).prv is None
    privacy._prv.cache_clear()


def test_nothing_and_no_noise_need_no_accountant() -> None:
    assert epsilons([], delta=1e-5) == Epsilons(rdp=0.0, prv=0.0)
    assert epsilons([mechanism(0.0)], delta=1e-5).smallest == math.inf


def test_golden_epsilons() -> None:
    found = epsilons([mechanism(1.0, 0.05, 50)], delta=1e-5)
    assert found.rdp == pytest.approx(3.17640, abs=1e-4)
    assert found.prv == pytest.approx(2.68066, abs=1e-4)  # dp-accounting's PLD: 2.67042


@settings(max_examples=15, deadline=None)
@given(
    noise=st.floats(0.6, 6.0),
    rate=st.floats(0.005, 0.9),
    steps=st.integers(1, 400),
    delta=st.floats(1e-8, 1e-3),
    factor=st.floats(1.05, 1.1),
)
def test_rdp_is_monotone(
    noise: float, rate: float, steps: int, delta: float, factor: float
) -> None:
    base = epsilon([mechanism(noise, rate, steps)], delta=delta)
    assert epsilon([mechanism(noise * factor, rate, steps)], delta=delta) <= base
    assert epsilon([mechanism(noise, rate * factor, steps)], delta=delta) >= base
    assert epsilon([mechanism(noise, rate, steps + 1)], delta=delta) >= base
    assert epsilon([mechanism(noise, rate, steps)], delta=delta * factor) <= base
