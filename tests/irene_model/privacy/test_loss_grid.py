"""Privacy losses on a grid against draws, against Opacus' own grid, and by hand."""

import math

import numpy as np
import pytest
from opacus.accountants.analysis.prv import (
    Domain,
    TruncatedPrivacyRandomVariable,
    discretize,
)
from scipy.stats import norm

from irene_model.privacy.loss_grid import AddedPatient, RemovedPatient, on_grid

KINDS = (RemovedPatient, AddedPatient)


def test_the_loss_of_an_added_patient_is_that_of_one_step() -> None:
    rate, noise = 0.3, 0.8
    loss = AddedPatient(rate, noise)
    draws = norm.ppf([(i + 0.5) / 20_000 for i in range(20_000)]) * noise
    drawn = [-math.log(1 - rate + rate * math.exp((2 * x - 1) / (2 * noise**2))) for x in draws]
    for t in (-2.0, -0.5, 0.0, 0.2, 0.35, 0.4):
        share = sum(each <= t for each in drawn) / len(drawn)
        assert float(loss.cdf(t)) == pytest.approx(share, abs=2e-4)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(("rate", "noise"), [(0.1, 0.6), (0.5, 1.0), (0.01, 2.0), (1.0, 5.0)])
def test_a_grid_has_the_masses_and_the_mean_of_opacus(
    kind: type[RemovedPatient | AddedPatient], rate: float, noise: float
) -> None:
    domain = Domain.create_aligned(-12.0, 12.0, 2e-3)
    loss = kind(rate, noise)
    with np.errstate(all="ignore"):
        ours = on_grid(loss, domain)
        theirs = discretize(
            TruncatedPrivacyRandomVariable(loss, domain.t_min, domain.t_max), domain
        )
    np.testing.assert_allclose(ours.pmf, theirs.pmf, atol=1e-12)
    assert ours.domain.shifts == pytest.approx(theirs.domain.shifts, abs=1e-7)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("noise", [0.035, 0.3, 4.0])
def test_without_sampling_both_losses_are_normal(
    kind: type[RemovedPatient | AddedPatient], noise: float
) -> None:
    """Of mean 1 / 2σ² and deviation 1 / σ, also where the loss is hundreds."""
    mean, deviation = 1 / (2 * noise**2), 1 / noise
    with np.errstate(all="ignore"):
        assert kind(1.0, noise).truncated_mean(-600, 600) == pytest.approx(mean, rel=1e-6)
        for at in (mean - deviation, mean, mean + 2 * deviation):
            share = norm.cdf(at, mean, deviation)
            assert float(kind(1.0, noise).cdf(at)) == pytest.approx(share, abs=1e-9)
