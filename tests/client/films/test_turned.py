"""Films on their side or head are counted among upright ones, and upright ones are not."""

import numpy as np
import pytest

from client.films.turned import Grid, count_turned, grid_of
from irene_model.inputs.pixels import Levels, square
from simulations.patients import Findings, Scanner, draw


def films(count: int) -> list[np.ndarray]:  # type: ignore[type-arg]
    """Chests as (96, 80), higher than wide."""
    drawn = []
    for seed in range(count):
        rng = np.random.default_rng(seed)
        film = np.asarray(draw(Findings(), scanner=Scanner(), rng=rng, size=96))
        drawn.append(film[:, 8:88])
    return drawn


def grids(pictures: list[np.ndarray], size: int = 64) -> list[Grid]:  # type: ignore[type-arg]
    return [grid_of(square(Levels(values=each.astype(np.float32)), size)) for each in pictures]


@pytest.mark.parametrize("quarters", [1, 2, 3])
@pytest.mark.parametrize("size", [16, 64, 224])
def test_a_turn_is_seen(quarters: int, size: int) -> None:
    pictures = films(20)
    assert count_turned(grids(pictures, size)) == 0
    for turned in (2, 7, 11):
        pictures[turned] = np.rot90(pictures[turned], quarters)
    assert count_turned(grids(pictures, size)) == 3


def test_nobody_can_say_of_few_or_of_noise() -> None:
    pictures = films(7)
    pictures[0] = np.rot90(pictures[0])
    assert count_turned(grids(pictures)) == 0
    rng = np.random.default_rng(3)
    assert count_turned(grids([rng.integers(0, 256, (96, 80)) for _ in range(40)])) == 0
    assert count_turned(grids([np.zeros((96, 80))] * 9)) == 0


def test_blocks_are_means() -> None:
    pixels = np.arange(1, 101, dtype=np.uint8).reshape(10, 10)
    grid = grid_of(np.pad(pixels, ((0, 0), (3, 2))))  # black on its sides is none of it
    assert grid.shape == (8, 8)
    assert grid[0, 0] == pixels[:1, :1].mean() and grid[7, 7] == pixels[8:, 8:].mean()
    assert grid[3, 3] == pytest.approx(pixels[3:5, 3:5].mean())
