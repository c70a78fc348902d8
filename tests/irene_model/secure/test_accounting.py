"""What the noise of a sum is charged as bounds what it spends, computed by itself here.

One patient moves a rounded sum by at most Δ units. Along that line noise is a sum of discrete
Gaussians; its privacy loss is composed here by convolution of exact probabilities, and compared
with the accountants' answer for the Gaussian of the joint noise multiplier.
"""

import math

import numpy as np
import pytest
from scipy.optimize import brentq
from scipy.signal import fftconvolve
from scipy.stats import norm

from irene_model.privacy.accountants import Mechanism, epsilons
from irene_model.privacy.shared_noise import joint_noise, share_of
from irene_model.secure.grid import CONVOLVED, LEAST_DEVIATION, Grid
from irene_model.secure.shares import sample_rate, share_of_training
from irene_model.study import Study
from tests.irene_model.secure.test_grid import study

DELTA = 1e-5


def summed(deviation: float, sites: int) -> np.ndarray:
    """P(sum = k) of so many discrete Gaussians, k from -reach to reach."""
    reach = math.ceil(14 * deviation)
    one = np.exp(-(np.arange(-reach, reach + 1) ** 2) / (2 * deviation**2))
    one /= one.sum()
    whole = one
    for _ in range(sites - 1):
        whole = np.convolve(whole, one)
    return whole


def exact_delta(noise: np.ndarray, moved: int, rate: float, epsilon: float) -> float:
    """The larger of both directions' deltas of one step, for an integer shift."""
    out = np.concatenate([noise, np.zeros(moved)])
    shifted = np.concatenate([np.zeros(moved), noise])
    mixed = (1 - rate) * out + rate * shifted
    return max(
        float(np.maximum(a - math.exp(epsilon) * b, 0).sum())
        for a, b in ((mixed, out), (out, mixed))
    )


def gaussian_delta(multiplier: float, rate: float, epsilon: float) -> float:
    """The same for the Gaussian, in closed form: P(x > z) under both sides (Balle & Wang 2018)."""

    def tail(at: float, middle: float) -> float:
        return float(norm.sf(at, middle, multiplier))

    z = multiplier**2 * math.log((math.exp(epsilon) - 1 + rate) / rate) + 0.5
    removed = (1 - rate) * tail(z, 0) + rate * tail(z, 1) - math.exp(epsilon) * tail(z, 0)
    if math.exp(-epsilon) - 1 + rate <= 0:
        return removed
    z = multiplier**2 * math.log((math.exp(-epsilon) - 1 + rate) / rate) + 0.5
    below = (1 - rate) * norm.cdf(z, 0, multiplier) + rate * norm.cdf(z, 1, multiplier)
    return max(removed, float(norm.cdf(z, 0, multiplier) - math.exp(epsilon) * below))


@pytest.mark.parametrize("rate", [1.0, 0.13])
@pytest.mark.parametrize("honest", [1, 2, 7])
@pytest.mark.parametrize("share", [0.4, 1.1])
def test_one_step_spends_no_more_than_the_gaussian_that_it_is_charged_as(
    rate: float, honest: int, share: float
) -> None:
    moved = 60  # units: coarser than any real grid
    deviation = math.sqrt((share * moved) ** 2 + CONVOLVED)
    assert deviation >= LEAST_DEVIATION
    noise = summed(deviation, honest)
    for epsilon in (0.0, 0.3, 1.0, 2.5):
        spent = exact_delta(noise, moved, rate, epsilon)
        charged = gaussian_delta(share * math.sqrt(honest), rate, epsilon)
        assert spent <= charged * (1 + 1e-9) + 1e-13
        assert spent > 0.5 * charged - 1e-9  # and it is no other mechanism


@pytest.mark.parametrize(
    ("sites", "colluding", "joint", "steps"), [(4, 1, 1.0, 72), (3, 1, 1.57, 30), (8, 3, 0.8, 20)]
)
def test_a_run_spends_what_the_accountants_say_against_coordinator_and_colluders_and_alone(
    sites: int, colluding: int, joint: float, steps: int
) -> None:
    """Golden values: exact losses of the sum's own probabilities, composed by FFT."""
    rate, moved = 0.13, 200
    share = share_of(joint, sites=sites, colluding=colluding)
    assert joint_noise(share, sites=sites, colluding=colluding) == pytest.approx(joint)
    deviation = math.sqrt((share * moved) ** 2 + CONVOLVED)
    for honest in (sites - colluding, 1):
        noise = summed(deviation, honest)
        alone = share * math.sqrt(honest)
        mechanism = Mechanism(noise_multiplier=alone, sample_rate=rate, steps=steps)
        told = epsilons([mechanism], delta=DELTA)
        spent = composed_epsilon(noise, moved, rate, steps)
        assert 0.95 * told.smallest - 0.02 < spent <= told.smallest
        assert spent <= told.rdp


def composed_epsilon(noise: np.ndarray, moved: int, rate: float, steps: int) -> float:
    """Epsilon at DELTA of `steps` steps, the larger of both directions; losses on a fine grid."""
    out = np.concatenate([noise, np.zeros(moved)])
    shifted = np.concatenate([np.zeros(moved), noise])
    mixed = (1 - rate) * out + rate * shifted
    return max(_one_way(mixed, out, steps), _one_way(out, mixed, steps))


def _one_way(first: np.ndarray, second: np.ndarray, steps: int) -> float:
    width, reach = 5e-4, 80.0  # of the grid of losses; what lies beyond is below 1e-12 here
    both = (first > 1e-30) & (second > 1e-30)
    losses = np.log(first[both] / second[both])
    cells = np.rint((np.clip(losses, -reach, reach) + reach) / width).astype(int)
    one = np.bincount(cells, weights=first[both], minlength=round(2 * reach / width) + 1)
    whole = np.array([1.0])
    middle = 0  # cell of a loss of 0 in `whole`
    left, power, at = steps, one, round(reach / width)
    while left:
        if left & 1:
            whole, middle = _cut(fftconvolve(whole, power), middle + at, reach / width)
        left >>= 1
        if left:
            power, at = _cut(fftconvolve(power, power), 2 * at, reach / width)
    whole = np.maximum(whole, 0)
    loss = (np.arange(len(whole)) - middle) * width

    def beyond(epsilon: float) -> float:
        above = loss > epsilon
        return float((whole[above] * -np.expm1(epsilon - loss[above])).sum()) - DELTA

    return float(brentq(beyond, 0.0, reach, xtol=1e-4))


def _cut(whole: np.ndarray, middle: int, reach: float) -> tuple[np.ndarray, int]:
    low, high = max(0, middle - round(reach)), middle + round(reach) + 1
    return whole[low:high], middle - low


def test_more_sites_hide_more_and_more_colluding_ones_less() -> None:
    share = 0.6
    by_sites = [joint_noise(share, sites=n, colluding=2) for n in range(3, 51)]
    by_colluding = [joint_noise(share, sites=50, colluding=t) for t in range(49)]
    assert by_sites == sorted(set(by_sites))
    assert by_colluding == sorted(set(by_colluding), reverse=True)
    assert by_sites[0] == share
    rising = [joint_noise(s, sites=8, colluding=1) for s in (0.1, 0.2, 0.4)]
    assert rising == sorted(set(rising))
    told = [
        epsilons(
            [Mechanism(noise_multiplier=noise, sample_rate=0.1, steps=10)], delta=DELTA
        ).smallest
        for noise in (by_sites[0], by_sites[2], by_sites[-1])
    ]
    assert told == sorted(told, reverse=True)


def test_noise_for_so_many_is_never_less_with_more() -> None:
    """A study plans for `minimum_sites`; whoever else comes only adds."""
    for colluding in (1, 2, 5):
        least = colluding + 2
        share = share_of(1.3, sites=least, colluding=colluding)
        for sites in range(least, 51):
            assert joint_noise(share, sites=sites, colluding=colluding) >= 1.3 * (1 - 1e-12)
    with pytest.raises(ValueError, match="collude"):
        share_of(1.0, sites=2, colluding=2)


@pytest.mark.parametrize("size", [1, 10**3, 3 * 10**5, 10**8])
def test_a_grids_noise_covers_share_rounding_and_what_the_proof_uses_up(size: int) -> None:
    for share in (0.05, 0.7, 20.0):
        grid = Grid.of(bound=1300.0, sensitivity=1.0, share=share, sites=50, dimensions=size)
        moved = 1 / grid.unit + math.sqrt(size)
        assert grid.deviation**2 - CONVOLVED == pytest.approx((share * moved) ** 2)
        assert grid.deviation < 1.02 * share / grid.unit + 3


def test_a_studys_share_is_calibrated_at_the_common_rate_over_all_rounds() -> None:
    told = study()
    assert sample_rate(told) == pytest.approx(1024 / 7800)
    assert share_of_training(told) == pytest.approx(1.2 / math.sqrt(3))
    document = told.model_dump(mode="json") | {"privacy": {"epsilon": 8.0, "delta": DELTA}}
    asked = Study.model_validate(document)
    share = share_of_training(asked)
    joint = Mechanism(
        noise_multiplier=joint_noise(share, sites=4, colluding=1),
        sample_rate=1024 / 7800,
        steps=72,
    )
    assert 7.9 < epsilons([joint], delta=DELTA).smallest <= 8.0
    more = asked.model_copy(
        update={"federation": asked.federation.model_copy(update={"minimum_sites": 8})}
    )
    assert share_of_training(more) == pytest.approx(share * math.sqrt(3 / 7))
