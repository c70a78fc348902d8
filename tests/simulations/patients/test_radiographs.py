"""Drawn radiographs: reproducible, and each finding changes the image where it should."""

from typing import Literal

import numpy as np
import pytest

from simulations.patients.radiographs import (
    FINDING_KINDS,
    Finding,
    FindingKind,
    Findings,
    Scanner,
    draw,
)

PLAIN = Scanner(noise=0.0)


def _image(*items: Finding, seed: int = 0, scanner: Scanner = PLAIN, size: int = 128) -> np.ndarray:
    return draw(Findings(items=items), rng=np.random.default_rng(seed), scanner=scanner, size=size)


def _change(item: Finding, rows: tuple[float, float], columns: tuple[float, float]) -> float:
    """The mean change of grey in a rectangle (fractions of the image), over several bodies."""
    top, bottom = (int(128 * edge) for edge in rows)
    left, right = (int(128 * edge) for edge in columns)
    return float(
        np.mean(
            [
                _image(item, seed=seed)[top:bottom, left:right].astype(float).mean()
                - _image(seed=seed)[top:bottom, left:right].astype(float).mean()
                for seed in range(12)
            ]
        )
    )


def test_a_seed_decides_the_image() -> None:
    item = Finding(kind="opacity")
    noisy = Scanner()
    assert np.array_equal(_image(item, scanner=noisy), _image(item, scanner=noisy))
    assert not np.array_equal(_image(item), _image(item, seed=1))


@pytest.mark.parametrize("size", [64, 128, 224])
def test_images_are_grey_levels_of_the_size_asked_for(size: int) -> None:
    image = _image(size=size)
    assert image.shape == (size, size) and image.dtype == np.uint8
    assert image.std() > 30


def test_lungs_are_darker_than_the_middle_of_the_chest() -> None:
    image = _image().astype(float)
    lung, spine = image[45:65, 30:48].mean(), image[45:65, 60:68].mean()
    assert spine > lung + 40


@pytest.mark.parametrize(
    ("kind", "rows", "columns", "least"),
    [
        ("opacity", (0.38, 0.50), (0.22, 0.36), 30),
        ("mass", (0.41, 0.47), (0.25, 0.33), 30),
        ("fluid", (0.55, 0.68), (0.18, 0.36), 30),
        ("air", (0.32, 0.50), (0.09, 0.15), -15),
        ("cavity", (0.42, 0.46), (0.26, 0.31), -10),
    ],
)
def test_a_finding_brightens_or_darkens_its_place(
    kind: FindingKind, rows: tuple[float, float], columns: tuple[float, float], least: float
) -> None:
    here = _change(Finding(kind=kind, side=0, zone=1), rows, columns)
    assert here * np.sign(least) > abs(least)
    # The other lung is as it was, up to the exposure of that image.
    mirrored = (1 - columns[1], 1 - columns[0])
    assert abs(_change(Finding(kind=kind, side=0, zone=1), rows, mirrored)) < abs(here) / 2


@pytest.mark.parametrize("zone", [0, 2])
def test_an_opacity_lies_in_its_zone(zone: Literal[0, 1, 2]) -> None:
    item = Finding(kind="opacity", side=0, zone=zone)
    upper, lower = (_change(item, rows, (0.22, 0.36)) for rows in ((0.2, 0.32), (0.55, 0.64)))
    assert (upper > lower + 15) if zone == 0 else (lower > upper + 15)


def test_hyperinflation_lowers_the_diaphragm() -> None:
    assert _change(Finding(kind="hyperinflation"), (0.70, 0.76), (0.25, 0.35)) < -20


@pytest.mark.parametrize("kind", ["reticulation", "bronchial_walls"])
def test_fine_structure_adds_contrast_between_neighbours(kind: FindingKind) -> None:
    def roughness(image: np.ndarray) -> float:
        lung = image[50:78, 26:44].astype(float)
        return float(np.abs(np.diff(lung, axis=1)).mean())

    with_it = np.mean([roughness(_image(Finding(kind=kind), seed=seed)) for seed in range(8)])
    without = np.mean([roughness(_image(seed=seed)) for seed in range(8)])
    assert with_it > 1.8 * without


def test_a_skin_fold_draws_a_line_but_does_not_darken_like_air() -> None:
    place = ((0.32, 0.50), (0.09, 0.15))
    fold, air = (_change(Finding(kind=kind), *place) for kind in ("skin_fold", "air"))
    assert not np.array_equal(_image(Finding(kind="skin_fold")), _image())
    assert abs(fold) < abs(air) / 3


def test_scanners_render_the_same_body_differently() -> None:
    plain = _image().astype(float)
    assert _image(scanner=Scanner(noise=0, contrast=1.3)).std() > plain.std()
    assert _image(scanner=Scanner(noise=0, brightness=0.1)).mean() > plain.mean() + 15
    inverted = _image(scanner=Scanner(noise=0, inverted=True)).astype(float)
    assert np.abs(inverted + plain - 255).max() <= 1
    blurred = _image(scanner=Scanner(noise=0, blur=12)).astype(float)
    assert np.abs(np.diff(blurred)).mean() < np.abs(np.diff(plain)).mean()


def test_every_kind_draws_at_every_place() -> None:
    sides: tuple[Literal[0, 1], ...] = (0, 1)
    zones: tuple[Literal[0, 1, 2], ...] = (0, 1, 2)
    for kind in FINDING_KINDS:
        images = [
            _image(Finding(kind=kind, side=side, zone=zone), size=64)
            for side in sides
            for zone in zones
        ]
        assert all(not np.array_equal(image, _image(size=64)) for image in images)


def test_impossible_values_are_refused() -> None:
    with pytest.raises(ValueError, match="size"):
        _image(size=8)
    with pytest.raises(ValueError, match="severity"):
        Finding(kind="mass", severity=0)
    with pytest.raises(ValueError, match="scanner"):
        Scanner(contrast=0)
