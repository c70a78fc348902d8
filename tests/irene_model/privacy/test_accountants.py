"""Both accountants against Google's dp-accounting (tests/golden/accountants.py), and by hand."""

import json
import math
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
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


def test_the_loss_of_an_added_patient_is_that_of_one_step() -> None:
    rate, noise = 0.3, 0.8
    loss = privacy._AddedPatient(rate, noise)
    draws = norm.ppf([(i + 0.5) / 20_000 for i in range(20_000)]) * noise
    drawn = [-math.log(1 - rate + rate * math.exp((2 * x - 1) / (2 * noise**2))) for x in draws]
    for t in (-2.0, -0.5, 0.0, 0.2, 0.35, 0.4):
        share = sum(each <= t for each in drawn) / len(drawn)
        assert float(loss.cdf(t)) == pytest.approx(share, abs=2e-4)


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
