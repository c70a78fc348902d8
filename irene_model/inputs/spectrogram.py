"""A record's recordings to log-mel patches: the same at every site, and of no other record.

Power is told in decibels below the loudest band of the record, over all its positions: how loud a
stethoscope records says nothing, a side that is quieter than the other does. What lies more than
`RANGE_DB` below is told as that.

Mel scale: HTK's, 2595 log10(1 + f/700). Triangular filters of height 1.
"""

import math
from collections.abc import Mapping
from functools import lru_cache

import numpy as np
import numpy.typing as npt

from irene_model.study import SoundShape

RANGE_DB = 60.0
SLOWEST_HZ, FASTEST_HZ = 1000, 192_000  # sample rates of recordings that are read
SILENT = 1e-4  # of full scale: a root mean square below it (-80 dB) is that of no microphone
Wave = npt.NDArray[np.float32]  # (samples,), -1 to 1
Patches = npt.NDArray[np.uint8]  # (N, F), 0 is RANGE_DB below the loudest, 255 the loudest


def resampled(wave: Wave, rate: int, target: int) -> Wave:
    """`wave` at `target` Hz; what the new rate can't hold is filtered out (polyphase, Kaiser)."""
    from scipy.signal import resample_poly

    shared = math.gcd(rate, target)
    up, down = target // shared, rate // shared
    made: Wave = wave if up == down else resample_poly(wave, up, down).astype(np.float32)
    return made


def sound_patches(
    waves: Mapping[str, Wave], shape: SoundShape
) -> tuple[Patches, npt.NDArray[np.bool_]]:
    """Patches (N, F) of one record and which are there (N,), N = positions * bands * times.

    waves: position -> its recording at the study's rate; what is beyond `seconds` is not read. A
    silent recording is absent, of a short one the patches that it does not fill.
    """
    positions, bands, times = shape.grid
    mels, frames = shape.patch
    power = np.zeros((positions, bands * mels, times * frames), np.float32)
    there = np.zeros((positions, bands, times), np.bool_)
    for place, name in enumerate(shape.positions):
        wave = waves.get(name)
        if wave is None or is_silent(wave):
            continue
        found = mel_power(wave[: shape.samples], shape)[:, : times * frames]
        power[place, :, : found.shape[1]] = found
        there[place, :, : found.shape[1] // frames] = True
    decibels = 10 * np.log10(np.maximum(power, np.finfo(np.float32).tiny) / (power.max() or 1))
    levels = np.clip(np.rint(255 * (1 + decibels / RANGE_DB)), 0, 255).astype(np.uint8)
    tiles = levels.reshape(positions, bands, mels, times, frames).swapaxes(2, 3)
    return np.where(there[..., None, None], tiles, 0).reshape(shape.tokens, -1), there.ravel()


def is_silent(wave: Wave) -> bool:
    """Whether nothing was recorded."""
    return not wave.size or float(np.sqrt(np.mean(np.square(wave, dtype=np.float64)))) < SILENT


def mel_power(wave: Wave, shape: SoundShape) -> npt.NDArray[np.float32]:
    """Power (mels, frames) of `wave` (samples,), by windows of two hops (Hann)."""
    size = 2 * shape.hop
    if len(wave) < size:
        return np.zeros((shape.mels, 0), np.float32)
    windows = np.lib.stride_tricks.sliding_window_view(wave, size)[:: shape.hop]
    spectrum = np.fft.rfft(windows * np.hanning(size).astype(np.float32), shape.fft)
    power: npt.NDArray[np.float32] = (mel_filters(shape) @ np.square(np.abs(spectrum)).T).astype(
        np.float32
    )
    return power


@lru_cache(maxsize=8)
def mel_filters(shape: SoundShape) -> npt.NDArray[np.float64]:
    """Weights (mels, frequencies)."""
    top = 2595 * math.log10(1 + shape.sample_rate / 2 / 700)
    edges = 700 * (10 ** (np.linspace(0, top, shape.mels + 2) / 2595) - 1)
    at = np.fft.rfftfreq(shape.fft, 1 / shape.sample_rate)
    low, middle, high = (edges[start : start + shape.mels, None] for start in range(3))
    rising, falling = (at - low) / (middle - low), (high - at) / (high - middle)
    filters: npt.NDArray[np.float64] = np.maximum(np.minimum(rising, falling), 0)
    return filters
