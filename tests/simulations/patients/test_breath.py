"""Breath as it is made up: each sign is where it should be heard."""

from typing import Any

import numpy as np
import pytest

from simulations.patients.breath import SIGNS, breathe, is_silent_side, signs_of
from simulations.patients.diseases import DISEASES
from simulations.patients.patients import draw_patients


def _power(signs: frozenset[Any], low: float, high: float, *, silent_side: bool = True) -> float:
    """Median power between two frequencies in Hz over some recordings."""
    found = []
    for seed in range(8):
        rng = np.random.default_rng(seed)
        wave = breathe(signs, silent_side=silent_side, seconds=8, sample_rate=4000, rng=rng)
        assert wave.dtype == np.float32
        assert np.abs(wave).max() <= 1
        spectrum = np.abs(np.fft.rfft(wave)) ** 2
        hertz = np.fft.rfftfreq(len(wave), 1 / 4000)
        found.append(float(spectrum[(hertz > low) & (hertz < high)].max()))
    return float(np.median(found))


@pytest.mark.parametrize(
    ("sign", "low", "high"),
    [("wheeze", 280, 540), ("coarse_crackles", 250, 450), ("fine_crackles", 700, 1000)],
)
def test_a_sign_is_heard_at_its_pitch(sign: str, low: float, high: float) -> None:
    assert _power(frozenset({sign}), low, high) > 2 * _power(frozenset(), low, high)


def test_a_silent_side_is_twenty_decibels_quieter() -> None:
    silent = frozenset({"silence"})
    assert _power(silent, 100, 600) < 0.02 * _power(frozenset(), 100, 600)
    other_side = _power(silent, 100, 600, silent_side=False)
    assert other_side == _power(frozenset(), 100, 600)


def test_signs_follow_the_diseases_and_the_side_the_radiograph() -> None:
    rng = np.random.default_rng(0)
    patients = draw_patients(rng, num_patients=800)
    encounters = [e for patient in patients for e in patient.encounters]
    heard = [signs_of(encounter, rng) for encounter in encounters]
    for disease, sign in SIGNS.items():
        place = DISEASES.index(disease)
        ill = [sign in signs for e, signs in zip(encounters, heard, strict=True) if e.labels[place]]
        assert np.mean(ill) > 0.88
    sound = [signs for e, signs in zip(encounters, heard, strict=True) if not any(e.labels)]
    assert np.mean([bool(signs) for signs in sound]) < 0.15
    for encounter in encounters:
        left, right = (is_silent_side(encounter, side) for side in ("left_base", "right"))
        kinds = {item.kind for item in encounter.findings.items}
        assert left or right
        assert (left and right) == (not kinds & {"air", "fluid"})
        assert is_silent_side(encounter, "chest")
