"""What a stethoscope hears of a synthetic patient: breath, and what the disease adds or takes.

Simplified as the radiographs are. Noise between 60 and 600 Hz rises and falls with each breath.
Crackles are short damped tones while breathing in, fine (Forgacs 1978: late, about 650 Hz) or
coarse (350 Hz, longer); a wheeze is a tone with overtones while breathing out; air or fluid
between lung and chest wall takes most of the sound of its side away.
"""

from collections.abc import Mapping
from typing import Literal

import numpy as np
import numpy.typing as npt

from simulations.patients.diseases import DISEASES
from simulations.patients.patients import Encounter

Sign = Literal["wheeze", "coarse_crackles", "fine_crackles", "silence"]
SIGNS: Mapping[str, Sign] = {
    "copd": "wheeze",
    "bronchiectasis": "coarse_crackles",
    "pneumonia": "coarse_crackles",
    "interstitial_lung_disease": "fine_crackles",
    "pneumothorax": "silence",
    "pleural_effusion": "silence",
}
_SENSITIVITY, _BACKGROUND = 0.95, 0.02  # chance of a sign with and without its disease
_INSPIRED = 0.4  # of a breath
_MICROPHONE = 0.002  # noise of the device itself
_CRACKLES: Mapping[str, tuple[float, float]] = {  # Hz, seconds of decay
    "coarse_crackles": (350.0, 0.008),
    "fine_crackles": (650.0, 0.003),
}


def signs_of(encounter: Encounter, rng: np.random.Generator) -> frozenset[Sign]:
    """What can be heard of it, at all positions alike."""
    ill = {
        SIGNS[name] for name, has in zip(DISEASES, encounter.labels, strict=True)
        if has and name in SIGNS
    }  # fmt: skip
    drawn = rng.random(len(set(SIGNS.values())))
    kinds = sorted(set(SIGNS.values()))
    return frozenset(
        kind
        for kind, chance in zip(kinds, drawn.tolist(), strict=True)
        if chance < (_SENSITIVITY if kind in ill else _BACKGROUND)
    )


def is_silent_side(encounter: Encounter, position: str) -> bool:
    """Whether `position` lies over air or fluid: the radiograph's side, or any for no side's."""
    sides = {item.side for item in encounter.findings.items if item.kind in ("air", "fluid")}
    side = {"right": 0, "left": 1}.get(position.partition("_")[0])
    return side is None or not sides or side in sides


def breathe(
    signs: frozenset[Sign],
    *,
    silent_side: bool,
    seconds: float,
    sample_rate: int,
    rng: np.random.Generator,
) -> npt.NDArray[np.float32]:
    """One recording (samples,), -1 to 1."""
    count = int(seconds * sample_rate)
    at = np.arange(count) / sample_rate
    phase = (at / rng.uniform(3.0, 4.5) + rng.random()) % 1
    inside = np.where(phase < _INSPIRED, phase / _INSPIRED, 0)
    outside = np.where(phase < _INSPIRED, 0, (phase - _INSPIRED) / (1 - _INSPIRED))
    flow = np.sin(np.pi * inside) + 0.6 * np.sin(np.pi * outside)
    sound = 0.05 * flow * _noise(count, sample_rate, rng)
    if "wheeze" in signs:
        pitch = rng.uniform(300, 500) * (1 + 0.05 * np.sin(2 * np.pi * at / 3))
        turned = 2 * np.pi * np.cumsum(pitch) / sample_rate
        sound += 0.06 * np.sin(np.pi * outside) * (np.sin(turned) + 0.4 * np.sin(2 * turned))
    for kind, (pitch_hz, decay) in _CRACKLES.items():
        if kind in signs:
            sound += _crackles(inside, pitch_hz, decay, sample_rate, rng)
    if "silence" in signs and silent_side:
        sound *= 0.1
    sound += _MICROPHONE * rng.standard_normal(count)
    return np.clip(rng.uniform(0.6, 1.6) * sound, -1, 1).astype(np.float32)


def _noise(count: int, sample_rate: int, rng: np.random.Generator) -> npt.NDArray[np.float64]:
    """Noise of unit power, falling by 12 dB an octave outside 60 to 600 Hz."""
    spectrum = np.fft.rfft(rng.standard_normal(count))
    hertz = np.fft.rfftfreq(count, 1 / sample_rate)
    spectrum *= np.minimum(1, hertz / 60) ** 2 / np.maximum(1, hertz / 600) ** 2
    noise = np.fft.irfft(spectrum, count)
    return np.asarray(noise / noise.std())


def _crackles(
    inside: npt.NDArray[np.float64],
    pitch_hz: float,
    decay: float,
    sample_rate: int,
    rng: np.random.Generator,
) -> npt.NDArray[np.float64]:
    """Some twelve in each breath, in the second half of breathing in."""
    clicks = np.zeros(len(inside))
    late = np.flatnonzero(inside > 0.5)
    chosen = rng.choice(late, size=min(len(late), int(12 * len(inside) / sample_rate / 3.5) + 1))
    clicks[chosen] = rng.uniform(0.15, 0.4, len(chosen))
    at = np.arange(int(6 * decay * sample_rate) + 1) / sample_rate
    click = np.exp(-at / decay) * np.sin(2 * np.pi * pitch_hz * at)
    return np.convolve(clicks, click)[: len(inside)]
