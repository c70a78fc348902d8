"""Rényi divergences against Opacus' series, and against the closed forms of two orders."""

import math
import warnings

import numpy as np
import pytest
from opacus.accountants.analysis.rdp import compute_rdp

from irene_model.privacy.accountants import _ORDERS
from irene_model.privacy.renyi import NOISES, divergences


@pytest.mark.parametrize("noise", [NOISES[0], 0.3, 0.5485, 1.0, 3.0, 10.0])
@pytest.mark.parametrize("rate", [0.01, 0.0853, 0.5, 0.99, 1.0])
def test_every_order_is_that_of_opacus(noise: float, rate: float) -> None:
    with warnings.catch_warnings(), np.errstate(all="ignore"):
        warnings.simplefilter("ignore")
        series = compute_rdp(q=rate, noise_multiplier=noise, steps=1, orders=_ORDERS)
    found = divergences(_ORDERS, rate=rate, noise=noise)
    np.testing.assert_allclose(found, series, rtol=1e-7, atol=1e-12)


@pytest.mark.parametrize("noise", [NOISES[0], 0.7, 5.0, 100.0, NOISES[1]])
@pytest.mark.parametrize("rate", [1e-6, 0.01, 0.6, 1.0])
def test_two_orders_in_closed_form(noise: float, rate: float) -> None:
    """Of the square 1 + q² (e - 1), e = exp(1 / σ²); of the cube with its third moment too."""
    e = math.expm1(1 / noise**2)
    square = rate**2 * e
    third = math.expm1(3 / noise**2) - 3 * e
    cube = 3 * square + rate**3 * third
    expected = [math.log1p(square), math.log1p(cube) / 2]
    found = divergences((2, 3), rate=rate, noise=noise)
    np.testing.assert_allclose(found, expected, rtol=1e-6, atol=1e-16)
