"""The ratio of what steps can learn to what their noise moves: by simulated noise, and by size."""

import math

import numpy as np
import pytest

from irene_model.privacy.hope import CHANCE, LITTLE, Share, doubt, signal_to_noise

STEPS, PARAMETERS, CLIP = 40, 2000, 0.7


def share(weight: float = 1.0, noise: float = 1.5, batch: float = 30.0) -> Share:
    return Share(weight=weight, noise_multiplier=noise, expected_batch=batch)


def test_it_is_the_walk_of_equal_gradients_over_that_of_the_noise() -> None:
    sites = [share(3.0, 1.5, 30.0), share(1.0, 2.0, 10.0)]
    rng = np.random.default_rng(0)
    walked = np.zeros(PARAMETERS)
    for _ in range(STEPS):
        for each in sites:
            noise = each.noise_multiplier * CLIP * rng.standard_normal(PARAMETERS)
            walked += each.weight / 4 * noise / each.expected_batch
    learned = STEPS * CLIP  # every patient's gradient of norm C, and all alike
    ratio = signal_to_noise(sites, steps=STEPS, parameters=PARAMETERS)
    assert ratio == pytest.approx(learned / np.linalg.norm(walked), rel=0.05)


def test_four_equal_sites_halve_the_noise_and_weights_are_relative() -> None:
    one, four = (
        signal_to_noise([share(7.0)] * n, steps=STEPS, parameters=PARAMETERS) for n in (1, 4)
    )
    assert four == pytest.approx(2 * one)
    assert one == pytest.approx(signal_to_noise([share()], steps=STEPS, parameters=PARAMETERS))


def test_without_noise_there_is_no_doubt_and_without_sites_no_ratio() -> None:
    ratio = signal_to_noise([share(noise=0.0)], steps=1, parameters=10)
    assert ratio == math.inf and doubt(ratio) is None
    with pytest.raises(ValueError, match="no site has a share"):
        signal_to_noise([], steps=1, parameters=10)


def test_the_doubt_grows_as_the_ratio_falls() -> None:
    assert doubt(LITTLE) is None
    little, chance = doubt(0.99 * LITTLE), doubt(0.99 * CHANCE)
    assert little is not None and "learns far less than without noise" in little
    assert chance is not None and "ends near chance" in chance and "at most 5 times" in chance
