"""Recordings to log-mel patches, beside a slow spectrogram and the numbers of a study."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from irene_model.errors import ConfigError
from irene_model.inputs.spectrogram import (
    RANGE_DB,
    is_silent,
    mel_filters,
    mel_power,
    resampled,
    sound_patches,
)
from irene_model.study.settings import parse
from irene_model.study.sounds import SoundShape
from tests.helpers.sites.sounds import SOUNDS, tone

SHAPE = SoundShape.model_validate(SOUNDS)


def test_power_is_that_of_a_slow_transform() -> None:
    wave = np.random.default_rng(0).standard_normal(3 * SHAPE.hop).astype(np.float32)
    size = 2 * SHAPE.hop
    by_hand = np.zeros((SHAPE.mels, 2))
    for frame in range(2):
        window = wave[frame * SHAPE.hop :][:size] * np.hanning(size)
        at = np.arange(size)
        for k in range(SHAPE.fft // 2 + 1):
            power = abs((window * np.exp(-2j * math.pi * k * at / SHAPE.fft)).sum()) ** 2
            by_hand[:, frame] += mel_filters(SHAPE)[:, k] * power
    np.testing.assert_allclose(mel_power(wave, SHAPE), by_hand, rtol=1e-4)


@settings(max_examples=30, deadline=None)
@given(
    rate=st.integers(1000, 48_000),
    mels=st.integers(1, 16).map(lambda n: 4 * n),
    seconds=st.floats(1, 30),
)
def test_every_band_of_every_study_hears_something(rate: int, mels: int, seconds: float) -> None:
    document = {"sample_rate": rate, "mels": mels, "seconds": seconds, "patch": [4, 8]}
    try:
        shape = parse(SoundShape, document, "study.yaml")
    except ConfigError:
        return  # too many bands for the window: refused
    assert (mel_filters(shape).sum(axis=1) > 0).all()
    wave = np.ones(shape.samples, np.float32)
    patches, there = sound_patches({"chest": wave}, shape)
    assert patches.shape == (shape.tokens, shape.width)
    assert there.all()


def test_a_tone_is_loudest_in_its_band_and_at_its_time() -> None:
    wave = np.concatenate([tone(0.7, level=0.0), tone(0.5, hertz=750.0), tone(0.8, level=0.0)])
    patches, there = sound_patches({"left": wave}, SHAPE)
    tiles = patches.reshape(2, 2, 3, 4, 16)
    assert patches.max() == 255
    assert tiles[0, 1, 1].max() == 255  # left, the upper band, the middle third
    assert not there.reshape(2, 2, 3)[1].any()  # nothing of the right
    assert not tiles[1].any()


def test_loudness_is_that_of_the_record_and_its_sides_are_compared() -> None:
    loud, quiet = tone(2), 0.1 * tone(2)
    both, _ = sound_patches({"left": loud, "right": quiet}, SHAPE)
    alone, _ = sound_patches({"left": quiet}, SHAPE)
    left, right = both[:6].astype(float), both[6:].astype(float)
    np.testing.assert_array_equal(alone[:6], both[:6])  # a stethoscope's level says nothing
    audible = right > 5
    step = 255 * 20 / RANGE_DB  # a tenth is 20 dB
    np.testing.assert_allclose((left - right)[audible], step, atol=1.01)


def test_a_short_recording_has_the_patches_that_it_fills() -> None:
    frames = SHAPE.patch[1]
    enough = tone((frames + 1) * SHAPE.hop / SHAPE.sample_rate)
    _, there = sound_patches({"left": enough}, SHAPE)
    assert there.reshape(2, 2, 3)[0].tolist() == [[True, False, False]] * 2
    _, there = sound_patches({"left": enough[:-1]}, SHAPE)
    assert not there.any()
    long, _ = sound_patches({"left": tone(9)}, SHAPE)
    cut, _ = sound_patches({"left": tone(9)[: SHAPE.samples]}, SHAPE)
    np.testing.assert_array_equal(long, cut)


@pytest.mark.parametrize("wave", [np.zeros(4000), np.full(4000, 1e-6), np.zeros(0)])
def test_a_silent_recording_is_absent(wave: np.ndarray) -> None:  # type: ignore[type-arg]
    assert is_silent(wave.astype(np.float32))
    assert not sound_patches({"left": wave.astype(np.float32)}, SHAPE)[1].any()


def test_what_the_new_rate_can_not_hold_is_filtered_out() -> None:
    high = tone(1, hertz=5000.0, rate=44_100)
    assert np.abs(resampled(high, 44_100, 2000)[100:-100]).max() < 0.02  # 5 kHz would fold to 1
    low = resampled(tone(1, rate=44_100), 44_100, 2000)
    assert len(low) == 2000
    assert np.abs(low[100:-100]).max() > 0.25


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"mels": 6}, "multiple of the patch"),
        ({"patch": [0, 4]}, "multiple of the patch"),
        ({"patch": [4, 0]}, "multiple of the patch"),
        ({"seconds": 0.2}, "patches"),
        ({"patch": [1, 1], "seconds": 120, "mels": 64}, "4096"),
        ({"mels": 256}, "tell apart"),
        ({"positions": ["a", "a"]}, "named twice"),
        ({"positions": ["../a"]}, "positions"),
        ({"seconds": math.inf}, "finite"),
        ({"sample_rate": 1e9}, "48000"),
    ],
)
def test_a_study_that_can_not_be_heard_is_refused(change: dict[str, object], said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        parse(SoundShape, {**SOUNDS, **change}, "study.yaml")
