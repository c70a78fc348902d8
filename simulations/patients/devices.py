"""What a radiograph shows that the body did not grow: a chest drain."""

from typing import Literal

import numpy as np

from simulations.patients.anatomy import Chest, Plane, bell

_SEGMENTS = 3  # the drain bends twice


def draw_drain(image: Plane, chest: Chest, side: Literal[0, 1], rng: np.random.Generator) -> None:
    """Add a drain to the attenuation (H,W): from the wall of `side` inwards and up to the apex.

    Two radio-opaque walls with a dark lumen, wider than a tube is, so that 64 pixels show it.
    """
    sign = -1.0 if side == 0 else 1.0
    down = np.array([0.12, 0.02, -0.25, -0.60]) + rng.normal(0, 0.02, _SEGMENTS + 1)
    across = np.array([0.95, 0.62, 0.50, 0.44]) + rng.normal(0, 0.015, _SEGMENTS + 1)
    distance = np.full_like(chest.x, np.inf)
    for first in range(_SEGMENTS):
        start = np.array([sign * across[first], down[first]])
        step = np.array([sign * across[first + 1], down[first + 1]]) - start
        along = (chest.x - start[0]) * step[0] + (chest.y - start[1]) * step[1]
        along = np.clip(along / (step @ step), 0, 1)
        away = np.hypot(chest.x - start[0] - along * step[0], chest.y - start[1] - along * step[1])
        distance = np.minimum(distance, away.astype(np.float32))
    image += np.float32(0.34) * bell(((distance - 0.025) / 0.016) ** 2)
