"""The healthy chest of a synthetic radiograph: a body, its lungs, heart, bones and vessels.

Coordinates: x and y in [-1, 1] over the frame, y downwards, the patient's right lung on the left
of the image. Planes are (H,W) float32; attenuation runs from 0 (black air) to 1 (white bone).
"""

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import numpy.typing as npt

Plane = npt.NDArray[np.float32]


@dataclass(frozen=True, kw_only=True)
class Chest:
    """One body: smooth masks (H,W) of its parts, and the frame's coordinates warped to it."""

    x: Plane
    y: Plane
    lungs: tuple[Plane, Plane]
    heart: Plane
    base_y: tuple[float, float]
    half_width: float


@lru_cache(maxsize=8)
def _frame(size: int) -> tuple[Plane, Plane]:
    axis = ((np.arange(size) + 0.5) * 2 / size - 1).astype(np.float32)
    return np.meshgrid(axis, axis)[0], np.meshgrid(axis, axis)[1]


def soft_step(distance: Plane, width: float) -> Plane:
    """A smooth step: 0 below -width, 1 above +width (cheaper than a logistic)."""
    ramp = distance * np.float32(0.5 / width)
    ramp += np.float32(0.5)
    np.clip(ramp, 0, 1, out=ramp)
    falling = ramp * np.float32(-2)
    falling += np.float32(3)
    ramp *= ramp
    ramp *= falling
    return ramp


def bell(squared: Plane) -> Plane:
    """exp(-squared), as a lesion's soft profile."""
    return np.exp(-squared)


def pose(rng: np.random.Generator, size: int, hyperinflated: float) -> Chest:
    """One person before the detector; `hyperinflated` (0 to 1) enlarges and flattens the lungs."""
    frame_x, frame_y = _frame(size)
    tilt, shift_x, shift_y = rng.normal(0, (0.025, 0.025, 0.03))
    zoom_x, zoom_y = 1 + rng.normal(0, 0.035, size=2)
    x = ((frame_x - shift_x) * zoom_x + tilt * frame_y).astype(np.float32)
    y = ((frame_y - shift_y) * zoom_y - tilt * frame_x).astype(np.float32)
    half_width = float(0.335 + rng.normal(0, 0.012) + 0.03 * hyperinflated)
    apex = -0.78 - 0.04 * hyperinflated + rng.normal(0, 0.02)
    base = 0.40 + 0.17 * hyperinflated + rng.normal(0, 0.035)
    bases = (float(base), float(base + 0.05))
    heart_width = (0.31 + rng.normal(0, 0.025)) * (1 - 0.25 * hyperinflated)
    heart_low = 0.27 + 0.12 * hyperinflated
    heart_x = (x - 0.12) / heart_width
    heart_y = (y - heart_low - 0.35 * (x - 0.1)) / 0.34
    heart = soft_step(1 - heart_x * heart_x - heart_y * heart_y, 0.16)
    knob = soft_step(0.105 - np.sqrt((x - 0.10) ** 2 + (y + 0.33) ** 2), 0.03)
    heart = np.maximum(heart, knob)
    lungs = []
    for sign, low in zip((-1.0, 1.0), bases, strict=True):
        across = x * sign
        # The chest narrows to the apex; the diaphragm is a dome, flat when air is trapped.
        width = half_width * np.sqrt(np.clip((y - apex) / 0.55, 0, 1)) - (y < apex)
        centre = 0.13 + half_width - 0.10 * np.clip(-(y + 0.25), 0, 1)
        dome = low + (0.55 - 0.38 * hyperinflated) * ((across - 0.40) / half_width) ** 2 * 0.5
        mask = soft_step(width - np.abs(across - centre), 0.035) * soft_step(dome - y, 0.025)
        lungs.append(mask * (1 - heart))
    return Chest(
        x=x, y=y, lungs=(lungs[0], lungs[1]), heart=heart, base_y=bases, half_width=half_width
    )


def draw_body(chest: Chest, rng: np.random.Generator, hyperinflated: float) -> Plane:
    """Attenuation (H,W) of soft tissue, bone and empty lung."""
    x, y = chest.x, chest.y
    side: Plane = np.abs(x)
    outline = 0.90 - 0.55 * np.clip(-y - 0.55, 0, 1) + 0.04 * y
    inside = soft_step(outline - side, 0.03)
    spine = bell((x / 0.075) ** 2) * (1 + 0.22 * np.cos(y * 26 + rng.uniform(0, 6)))
    image = inside * (0.58 + 0.06 * np.clip(y, 0, 1)) + 0.14 * spine * inside
    image += 0.05 * chest.heart * soft_step(0.55 - y, 0.3)
    image -= (0.36 + 0.07 * hyperinflated) * np.maximum(*chest.lungs)
    # Posterior ribs slope down and outwards, anterior ones back up; each set is one wave.
    gap, phase = 0.165 + rng.normal(0, 0.006), rng.uniform(0, 1)
    outer, inner = side - 0.38, 0.5 - side
    posterior: Plane = np.cos(2 * np.pi * ((y - 0.88 * outer * outer) / gap + phase))
    anterior: Plane = np.cos(2 * np.pi * ((y - 0.75 * inner * inner - 0.5 * side) / (gap * 1.25)))
    ribs = 0.085 * soft_step(posterior - 0.45, 0.35) + 0.04 * soft_step(anterior - 0.6, 0.3)
    cage = soft_step(0.80 - side, 0.06) * soft_step(side - 0.08, 0.04) * soft_step(0.62 - y, 0.15)
    image += ribs * cage * inside
    collar = (y + 0.66 + 0.24 * (side - 0.42) + 0.10 * np.sin(side * 7)).astype(np.float32)
    reach = soft_step(0.78 - side, 0.05) * soft_step(side - 0.07, 0.03)
    image += 0.13 * bell((collar / np.float32(0.035)) ** 2) * reach
    # The trachea is a dark stripe above the hila.
    image -= 0.10 * bell((x / 0.045) ** 2) * soft_step(-0.25 - y, 0.1)
    return np.asarray(image, dtype=np.float32)


def draw_markings(chest: Chest, rng: np.random.Generator) -> Plane:
    """Vessels (H,W): branches that leave each hilum and fade towards the edge."""
    dx, dy = np.abs(chest.x) - np.float32(0.15), chest.y + np.float32(0.02)
    radius = np.sqrt(dx * dx + dy * dy)
    # The phase jumps between the sides, so that one plane serves both without mirroring them.
    phase = np.where(chest.x < 0, np.float32(rng.uniform(0, 6)), np.float32(rng.uniform(0, 6)))
    # Grows with the angle around the hilum, at a quarter of an arc tangent's cost.
    bearing = dy / (np.abs(dx) + np.abs(dy) + np.float32(1e-3)) * np.float32(16)
    wave = np.clip(np.sin(bearing + phase + 1.5 * np.sin(radius * 14)), 0, 1)
    reach = np.clip(1 - radius / 0.6, 0, 1)
    hilum = reach * reach
    return np.asarray(reach * 0.13 * wave * wave + 0.16 * hilum * hilum, dtype=np.float32)
