"""Synthetic chest radiographs, drawn with anatomy and with the findings that a patient has.

Why drawn: a demonstration needs thousands of images that nobody's privacy hangs on, whose true
content is known, and whose findings a small vision transformer can learn from little data.

Drawing adds and subtracts attenuation (0 black air, 1 white bone) on `anatomy`'s coordinates; the
scanner then turns attenuation into grey levels.
"""

from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Literal, get_args

import numpy as np
import numpy.typing as npt
from scipy import ndimage

from simulations.patients.anatomy import (
    Chest,
    Plane,
    bell,
    draw_body,
    draw_markings,
    pose,
    soft_step,
)
from simulations.patients.devices import draw_drain

FindingKind = Literal[
    "opacity",
    "cavity",
    "air",
    "fluid",
    "mass",
    "reticulation",
    "hyperinflation",
    "bronchial_walls",
    "skin_fold",
]
FINDING_KINDS: tuple[FindingKind, ...] = get_args(FindingKind)
# Vertical centre of the upper, middle and lower zone of a lung.
_ZONE_Y = (-0.48, -0.12, 0.22)
# No lesion is denser than this over air, so that lesions that overlap do not burn out.
_DENSEST = 0.42


@dataclass(frozen=True, kw_only=True)
class Finding:
    """One visible thing. `side`: 0 the patient's right, 1 the left; `zone`: 0 upper to 2 lower.

    `severity` scales the contrast (1 is typical). Kinds that have no place (hyperinflation,
    reticulation) ignore side and zone. A `skin_fold` is an artefact that resembles `air`.
    """

    kind: FindingKind
    side: Literal[0, 1] = 0
    zone: Literal[0, 1, 2] = 1
    severity: float = 1.0

    def __post_init__(self) -> None:
        if self.kind not in FINDING_KINDS:
            raise ValueError(f"kind: got {self.kind!r}, expected one of {FINDING_KINDS}")
        if not 0 < self.severity <= 2:
            raise ValueError(f"severity: got {self.severity}, expected within (0, 2]")


@dataclass(frozen=True, kw_only=True)
class Findings:
    """All that one radiograph shows; nothing for a healthy chest. `drain`: the side of one."""

    items: tuple[Finding, ...] = ()
    drain: Literal[0, 1] | None = None

    @property
    def kinds(self) -> frozenset[FindingKind]:
        """The kinds present, wherever they lie."""
        return frozenset(item.kind for item in self.items)


@dataclass(frozen=True, kw_only=True)
class Scanner:
    """How one site's machine renders attenuation.

    `contrast` multiplies around mid-grey, `brightness` adds (fraction of full scale), `noise` is
    the standard deviation of the grain (fraction of full scale), `blur` the standard deviation of
    the point spread in thousandths of the image's width, and `inverted` machines show air white
    (DICOM's MONOCHROME1).
    """

    contrast: float = 1.0
    brightness: float = 0.0
    noise: float = 0.02
    blur: float = 3.0
    inverted: bool = False

    def __post_init__(self) -> None:
        if self.contrast <= 0 or self.noise < 0 or self.blur < 0:
            raise ValueError("scanner: contrast must be positive, noise and blur not negative")


def draw(
    findings: Findings, *, rng: np.random.Generator, scanner: Scanner, size: int = 128
) -> npt.NDArray[np.uint8]:
    """Draw a frontal chest radiograph.

    Args:
        findings: what the image shows.
        rng: chooses body, pose, exposure, grain and each finding's exact place and shape.
        scanner: the site's rendering.
        size: height and width in pixels, at least 16.

    Returns:
        Grey levels (size, size), uint8; air is dark unless the scanner inverts.
    """
    if size < 16:
        raise ValueError(f"size: got {size} pixels, expected at least 16")
    trapped = [item.severity for item in findings.items if item.kind == "hyperinflation"]
    hyperinflated = min(max(trapped, default=0.0), 1.0)
    chest = pose(rng, size, hyperinflated)
    # Lesions first learn where lung is; air and fluid then change what the lung is made of.
    markings = draw_markings(chest, rng)
    lesions = np.zeros_like(chest.x)
    for item in findings.items:
        if item.kind in _LESIONS:
            _LESIONS[item.kind](lesions, chest, item, rng)
    np.minimum(lesions, _DENSEST, out=lesions)
    lung = np.maximum(*chest.lungs)
    attenuation = draw_body(chest, rng, hyperinflated)
    markings *= np.float32(1 - 0.6 * hyperinflated)
    texture = markings + lesions
    attenuation += texture * lung
    for item in findings.items:
        if item.kind == "fluid":
            chest = _fluid(attenuation, texture, chest, item, rng)
    for item in findings.items:
        if item.kind == "air":
            _air(attenuation, texture, chest, item, rng)
        elif item.kind == "skin_fold":
            _skin_fold(attenuation, chest, item, rng)
    if findings.drain is not None:
        draw_drain(attenuation, chest, findings.drain, rng)
    return _expose(attenuation, scanner, rng)


def _place(chest: Chest, item: Finding, rng: np.random.Generator) -> tuple[Plane, Plane]:
    """Offsets (H,W) from a lesion's centre in its zone."""
    sign = -1.0 if item.side == 0 else 1.0
    # The heart hides the left lung's lower inner part.
    across = (0.50 if item.side == 1 and item.zone == 2 else 0.43) + rng.normal(0, 0.025)
    down = _ZONE_Y[item.zone] + rng.normal(0, 0.03)
    return chest.x - np.float32(sign * across), chest.y - np.float32(down)


def _opacity(out: Plane, chest: Chest, item: Finding, rng: np.random.Generator) -> None:
    dx, dy = _place(chest, item, rng)
    wide, tall = rng.uniform(0.20, 0.26), rng.uniform(0.18, 0.24)
    ragged = np.sin(dx * 21 + rng.uniform(0, 6)) * np.sin(dy * 17 + 4 * dx + rng.uniform(0, 6))
    squared = (dx / wide) ** 2 + (dy / tall) ** 2
    cloud = bell(squared * squared * (1 + 0.5 * ragged))
    out += np.float32(0.32 * item.severity) * cloud * (1 + 0.15 * ragged)


def _mass(out: Plane, chest: Chest, item: Finding, rng: np.random.Generator) -> None:
    dx, dy = _place(chest, item, rng)
    radius = rng.uniform(0.13, 0.17)
    bumps = 0.006 * (np.sin(dx * 40 + rng.uniform(0, 6)) + np.sin(dy * 40 + rng.uniform(0, 6)))
    inwards = radius + bumps - np.sqrt(dx * dx + dy * dy)
    out += np.float32(0.38 * item.severity) * soft_step(inwards, 0.03)


def _cavity(out: Plane, chest: Chest, item: Finding, rng: np.random.Generator) -> None:
    dx, dy = _place(chest, item, rng)
    distance = np.sqrt(dx * dx + dy * dy) - np.float32(rng.uniform(0.14, 0.18))
    strength = np.float32(item.severity)
    out += strength * (0.36 * bell((distance / 0.042) ** 2) - 0.16 * soft_step(-distance, 0.04))


def _reticulation(out: Plane, chest: Chest, item: Finding, rng: np.random.Generator) -> None:
    size = out.shape[0]
    down, right = (int(step) for step in rng.integers(0, size, size=2))
    # Fibrosis favours the bases and the edge of the lung.
    weight = np.clip(0.8 + 0.7 * chest.y, 0.3, 1) * np.clip(0.4 + np.abs(chest.x), 0, 1)
    net = np.roll(_net(size), (down, right), axis=(0, 1))
    out += np.float32(0.30 * item.severity) * weight * (net - np.float32(0.15))


@lru_cache(maxsize=8)
def _net(size: int) -> Plane:
    """A fixed irregular mesh (size, size) that wraps around: the zero lines of smooth noise."""
    grain = np.random.default_rng(0).standard_normal((size, size))
    smooth = ndimage.gaussian_filter(grain, 0.018 * size, mode="wrap")
    return np.asarray(bell((smooth / (0.42 * smooth.std())) ** 2), dtype=np.float32)


def _bronchial_walls(out: Plane, chest: Chest, item: Finding, rng: np.random.Generator) -> None:
    sign = -1.0 if item.side == 0 else 1.0
    strength = np.float32(0.32 * item.severity)
    for centre in ((0.33, -0.06), (0.52, 0.06), (0.40, 0.20), (0.58, 0.26)):
        cx, cy = centre + rng.normal(0, 0.02, size=2)
        dx, dy = chest.x - np.float32(sign * cx), chest.y - np.float32(cy)
        distance = np.sqrt(dx * dx + dy * dy) - np.float32(rng.uniform(0.055, 0.07))
        out += strength * (bell((distance / 0.022) ** 2) - 0.4 * soft_step(-distance, 0.02))
    # Tram lines: two parallel walls that run from the hilum to the base.
    along: Plane = np.abs(chest.x * sign - 0.22 - 0.45 * (chest.y + 0.05)) - np.float32(0.04)
    tube = soft_step(chest.y + 0.10, 0.04) * soft_step(0.42 - chest.y, 0.04)
    out += strength * 0.8 * bell((along / np.float32(0.018)) ** 2) * tube


def _edge(chest: Chest, item: Finding, depth: float) -> Plane:
    """Signed distance (H,W) outwards from a line that follows the chest wall `depth` inside it."""
    across = chest.x * (-1.0 if item.side == 0 else 1.0)
    wall = 0.13 + chest.half_width * (1 + np.sqrt(np.clip((chest.y + 0.78) / 0.55, 0, 1)))
    return np.asarray(across - wall + depth - 0.25 * np.clip(chest.y + 0.35, -0.3, 0), np.float32)


def _air(
    image: Plane, texture: Plane, chest: Chest, item: Finding, rng: np.random.Generator
) -> None:
    """Air between lung and wall: black, without markings, bounded by a thin bright line."""
    lung = chest.lungs[item.side]
    outward = _edge(chest, item, rng.uniform(0.24, 0.32))
    outside = soft_step(outward, 0.015) * lung
    image -= outside * texture + np.float32(0.17 * item.severity) * outside
    image += lung * 0.16 * bell((outward / 0.02) ** 2)
    image += np.float32(0.10 * item.severity) * lung * (1 - soft_step(outward, 0.015))


def _skin_fold(image: Plane, chest: Chest, item: Finding, rng: np.random.Generator) -> None:
    """A line like a pneumothorax's, but the lung beyond it keeps its grey and its markings."""
    outward = _edge(chest, item, rng.uniform(0.20, 0.30))
    image += 0.10 * chest.lungs[item.side] * bell((outward / 0.025) ** 2)


def _fluid(
    image: Plane, texture: Plane, chest: Chest, item: Finding, rng: np.random.Generator
) -> Chest:
    """Fluid whitens a lung from below and climbs its outer wall; returns the chest left dry."""
    across = chest.x * (-1.0 if item.side == 0 else 1.0)
    level = chest.base_y[item.side] - 0.22 * item.severity - rng.uniform(0.02, 0.16)
    rise, fall = np.clip(across - 0.38, 0, 1), np.clip(0.3 - across, 0, 1)
    meniscus = level - 0.5 * rise + 0.05 * fall
    lung = chest.lungs[item.side]
    wet = soft_step(chest.y - meniscus, 0.03) * lung
    # Fluid weighs as much as soft tissue, and hides whatever lies in it.
    image += wet * (np.float32(0.41) - texture)
    right, left = chest.lungs
    lungs = (right - wet, left) if item.side == 0 else (right, left - wet)
    return replace(chest, lungs=lungs)


def _expose(
    attenuation: Plane, scanner: Scanner, rng: np.random.Generator
) -> npt.NDArray[np.uint8]:
    """Attenuation (H,W) -> grey levels (H,W), as the site's machine and this exposure give them."""
    size = attenuation.shape[0]
    if scanner.blur:
        attenuation = ndimage.gaussian_filter(
            attenuation, scanner.blur * size / 1000, mode="nearest", truncate=2.0
        )
    gain = scanner.contrast * (1 + rng.normal(0, 0.05))
    grey = 0.5 + gain * 1.15 * (attenuation - 0.45) + scanner.brightness + rng.normal(0, 0.02)
    grey += np.float32(scanner.noise) * rng.standard_normal((size, size), dtype=np.float32)
    if scanner.inverted:
        grey = 1 - grey
    return np.asarray(np.clip(grey, 0, 1) * 255 + 0.5, dtype=np.uint8)


_LESIONS = {
    "opacity": _opacity,
    "mass": _mass,
    "cavity": _cavity,
    "reticulation": _reticulation,
    "bronchial_walls": _bronchial_walls,
}
