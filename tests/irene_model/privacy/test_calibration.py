"""Noise for a target epsilon: the inverse of the accountants, and never too little."""

import math

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from irene_model.privacy import calibration
from irene_model.privacy.accountants import Mechanism, epsilon, epsilons
from irene_model.privacy.calibration import noise_multiplier_for


def mechanism(noise: float, rate: float, steps: int) -> Mechanism:
    return Mechanism(noise_multiplier=noise, sample_rate=rate, steps=steps)


@settings(max_examples=6, deadline=None)
@given(
    target=st.floats(0.05, 10), rate=st.floats(0.005, 1.0), steps=st.integers(1, 400),
    delta=st.sampled_from([1e-3, 1e-5, 1e-7]),
)  # fmt: skip
@example(target=8.0, rate=1.0, steps=1, delta=1e-5)
def test_noise_and_epsilon_are_inverse(
    target: float, rate: float, steps: int, delta: float
) -> None:
    noise = noise_multiplier_for(target, delta=delta, sample_rate=rate, steps=steps)
    spent = epsilons([mechanism(noise, rate, steps)], delta=delta).smallest
    assert spent <= target
    if noise > 0.11:
        assert spent >= 0.99 * target


@pytest.mark.parametrize("noise", [0.8, 1.5, 4.0])
def test_noise_to_epsilon_and_back(noise: float) -> None:
    spent = epsilons([mechanism(noise, 0.1, 100)], delta=1e-5).smallest
    back = noise_multiplier_for(spent, delta=1e-5, sample_rate=0.1, steps=100)
    assert noise <= back <= noise * 1.003


def test_golden_noise_of_the_demo() -> None:
    noise = noise_multiplier_for(8, delta=1e-5, sample_rate=256 / 3000, steps=72)
    assert noise == pytest.approx(0.8085, rel=2e-3)
    by_rdp = 0.8597  # the noise that spends 8 by RDP
    assert epsilon([mechanism(by_rdp, 256 / 3000, 72)], delta=1e-5) == pytest.approx(8, rel=2e-3)
    assert noise < 0.95 * by_rdp


def test_more_of_anything_needs_more_noise() -> None:
    base = noise_multiplier_for(4, delta=1e-5, sample_rate=0.1, steps=50)
    assert noise_multiplier_for(4, delta=1e-5, sample_rate=0.1, steps=100) > base
    assert noise_multiplier_for(4, delta=1e-5, sample_rate=0.2, steps=50) > base
    assert noise_multiplier_for(4, delta=1e-6, sample_rate=0.1, steps=50) > base
    assert noise_multiplier_for(2, delta=1e-5, sample_rate=0.1, steps=50) > base
    spent = (mechanism(2.0, 0.1, 50),)
    more = noise_multiplier_for(4, delta=1e-5, sample_rate=0.1, steps=50, after=spent)
    assert more > base
    total = epsilons([*spent, mechanism(more, 0.1, 50)], delta=1e-5).smallest
    assert 3.96 <= total <= 4


def test_what_rdp_holds_for_spent_may_have_room_by_prv() -> None:
    spent = (mechanism(1.0, 0.05, 50),)  # RDP 3.18, PRV 2.68
    noise = noise_multiplier_for(3, delta=1e-5, sample_rate=0.05, steps=10, after=spent)
    assert epsilon(spent, delta=1e-5) > 3
    total = epsilons([*spent, mechanism(noise, 0.05, 10)], delta=1e-5).smallest
    assert 2.97 <= total <= 3


def test_where_prv_has_no_answer_rdp_decides() -> None:
    noise = noise_multiplier_for(1, delta=1e-5, sample_rate=0.02, steps=10**7)
    both = epsilons([mechanism(noise, 0.02, 10**7)], delta=1e-5)
    assert both.prv is None and 0.99 <= both.rdp <= 1


def test_it_has_four_digits_so_that_it_is_the_same_everywhere() -> None:
    for target in (0.3, 1.0, 7.0):
        noise = noise_multiplier_for(target, delta=1e-5, sample_rate=0.1, steps=30)
        assert noise == float(f"{noise:.4g}")


@pytest.mark.parametrize(
    ("target", "after"),
    [(1e-6, ()), (2.0, (mechanism(1.0, 0.05, 50),)), (math.nextafter(0, 1), ())],
)
def test_an_unreachable_target_is_refused(target: float, after: tuple[Mechanism, ...]) -> None:
    with pytest.raises(ValueError, match="out of reach"):
        noise_multiplier_for(target, delta=1e-9, sample_rate=1.0, steps=1000, after=after)


def test_a_thousand_sizes_of_site_are_calibrated_in_the_first_round_alone(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    searches = []

    def search(*_: object, **__: object) -> float:
        searches.append(1)
        return 1.0

    monkeypatch.setattr(calibration, "_least_noise", search)  # half a second each, else
    noise_multiplier_for.cache_clear()
    for _ in range(3):
        for size in range(1000):
            noise_multiplier_for(2.0, delta=1e-5, sample_rate=1 / (10 + size), steps=4)
        assert len(searches) == 2 * 1000  # by RDP and by PRV
    noise_multiplier_for.cache_clear()
