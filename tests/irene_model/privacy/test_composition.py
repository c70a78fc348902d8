"""Composition on a grid against Opacus' own, and against convolutions by hand."""

import numpy as np
import pytest
from opacus.accountants.analysis.prv import DiscretePRV, compose_heterogeneous

from irene_model.privacy import Mechanism, epsilons
from irene_model.privacy.loss_grid import (
    AddedPatient,
    RemovedPatient,
    composed,
    grid_to,
    on_grid,
)

KINDS = (RemovedPatient, AddedPatient)
STEPS = [
    [(0.13, 1.219, 144)],
    [(0.13, 0.704, 7), (0.05, 1.0, 8)],
    [(1.0, 3.0, 2), (0.01, 0.8, 33), (0.3, 2.0, 1)],
]


@pytest.mark.parametrize(("reach", "mesh"), [(3.01, 0.25), (14.0, 2.6e-4), (33.3, 2.6e-4)])
def test_a_grid_reaches_far_enough_and_has_0_in_its_middle(reach: float, mesh: float) -> None:
    domain = grid_to(reach, mesh)
    assert -domain.t_min >= reach and domain.t_max >= reach
    assert domain.dt == pytest.approx(mesh, rel=1e-9)
    assert domain[domain.size // 2 - 1] == pytest.approx(0, abs=1e-9)
    assert -domain.t_min < 1.05 * reach + 2 * mesh


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("steps", STEPS)
def test_a_composition_is_opacus_own(
    kind: type[RemovedPatient | AddedPatient], steps: list[tuple[float, float, int]]
) -> None:
    counts = [count for *_, count in steps]
    with np.errstate(all="ignore"):
        cells = [on_grid(kind(rate, noise), grid_to(16.0, 1e-3)) for rate, noise, _ in steps]
        ours, theirs = composed(cells, counts), compose_heterogeneous(cells, counts)
    assert ours.domain.t_min == pytest.approx(theirs.domain.t_min, abs=1e-9)
    np.testing.assert_allclose(ours.pmf, theirs.pmf, atol=1e-13)
    for delta in (1e-3, 1e-5):
        assert ours.compute_epsilon(delta, delta / 1e3, 0.01) == pytest.approx(
            theirs.compute_epsilon(delta, delta / 1e3, 0.01), abs=1e-6
        )


@pytest.mark.parametrize("count", [1, 2, 3, 6])
def test_a_composition_is_a_convolution(count: int) -> None:
    domain = grid_to(1.0, 0.05)
    masses, zero = np.zeros(domain.size), domain.size // 2 - 1
    masses[zero - 1 : zero + 3] = (0.1, 0.5, 0.3, 0.1)
    by_hand = np.array([1.0])
    for _ in range(count):
        by_hand = np.convolve(by_hand, masses[zero - 1 : zero + 3])
    whole = composed([DiscretePRV(pmf=masses, domain=domain)], [count])
    np.testing.assert_allclose(
        whole.pmf[zero - count : zero - count + len(by_hand)], by_hand, atol=1e-15
    )


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(("rate", "noise"), [(0.13, 0.7), (1.0, 5.0), (0.01, 2.0), (0.5, 0.3)])
def test_masses_are_those_of_every_edge(
    kind: type[RemovedPatient | AddedPatient], rate: float, noise: float
) -> None:
    domain, loss = grid_to(20.0, 1e-3), kind(rate, noise)
    with np.errstate(all="ignore"):
        edges = domain.t_min + (np.arange(domain.size + 1) - 0.5) * domain.dt
        below = loss.cdf(np.clip(edges, domain.t_min, domain.t_max))
        masses = np.diff(below) / (below[-1] - below[0])
        np.testing.assert_allclose(on_grid(loss, domain).pmf, masses, rtol=1e-12, atol=1e-50)


@pytest.mark.parametrize(("noise", "told"), [(1.219, 7.988592516), (0.7037899876, 22.535042819)])
def test_the_demos_epsilons_are_those_of_opacus_grid(noise: float, told: float) -> None:
    whole = Mechanism(noise_multiplier=noise, sample_rate=1024 / 7800, steps=144)
    assert epsilons([whole], delta=1e-5).prv == pytest.approx(told, abs=2e-6)
