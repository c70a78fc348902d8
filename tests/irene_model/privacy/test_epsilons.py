import math

import pytest
from opacus.accountants import RDPAccountant

from irene_model.privacy.accountants import Mechanism, epsilon


def mechanism(noise: float = 1.0, rate: float = 0.05, steps: int = 50) -> Mechanism:
    return Mechanism(noise_multiplier=noise, sample_rate=rate, steps=steps)


def test_composition_is_the_accountant_called_by_hand() -> None:
    accountant = RDPAccountant()
    for noise, rate, steps in ((1.1, 0.05, 40), (0.9, 0.02, 30), (1.1, 0.05, 40)):
        for _ in range(steps):
            accountant.step(noise_multiplier=noise, sample_rate=rate)
    ours = epsilon(
        [mechanism(1.1, 0.05, 40), mechanism(0.9, 0.02, 30), mechanism(1.1, 0.05, 40)], delta=1e-5
    )
    assert ours == pytest.approx(accountant.get_epsilon(delta=1e-5), rel=1e-9)


def test_golden_epsilon_of_abadi_2016() -> None:
    # q = 0.01, sigma = 4, 10,000 steps: the moments accountant's own example gives about 1.26.
    assert 1.0 < epsilon([mechanism(4.0, 0.01, 10_000)], delta=1e-5) < 1.27


def test_without_subsampling_it_is_the_gaussian_mechanism() -> None:
    # RDP of one Gaussian is alpha / (2 sigma^2); converted by Balle et al. 2020, Thm. 21.
    sigma, delta = 5.0, 1e-5
    best = min(
        a / (2 * sigma**2) + math.log1p(-1 / a) - (math.log(delta) + math.log(a)) / (a - 1)
        for a in [1 + x / 100 for x in range(1, 20_000)]
    )
    assert epsilon([mechanism(sigma, 1.0, 1)], delta=delta) == pytest.approx(best, rel=5e-3)


def test_epsilon_grows_with_steps_and_rate_and_falls_with_noise_and_delta() -> None:
    base = epsilon([mechanism()], delta=1e-5)
    assert epsilon([mechanism(steps=100)], delta=1e-5) > base
    assert epsilon([mechanism(rate=0.1)], delta=1e-5) > base
    assert epsilon([mechanism(noise=1.5)], delta=1e-5) < base
    assert epsilon([mechanism()], delta=1e-4) < base
    assert epsilon([mechanism()] * 2, delta=1e-5) == epsilon([mechanism(steps=100)], delta=1e-5)


def test_nothing_costs_nothing_and_no_noise_costs_everything() -> None:
    assert epsilon([], delta=1e-5) == 0
    assert epsilon([mechanism(), mechanism(noise=0.0)], delta=1e-5) == math.inf


@pytest.mark.parametrize("wrong", [{"rate": 0.0}, {"rate": 1.1}, {"steps": 0}, {"noise": -1.0},
                                   {"noise": math.nan}])  # fmt: skip
def test_an_impossible_mechanism_is_refused(wrong: dict[str, float]) -> None:
    with pytest.raises(ValueError, match="must"):
        mechanism(**wrong)  # type: ignore[arg-type]
