"""One recording's file to samples at the study's rate, and what its hospital should know of it.

Nothing that a header says is believed before it is bounded, and no more is decoded than the study
reads. What is wrong with a file as a whole is refused; what is merely poor is told.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from irene_model.errors import DataError
from irene_model.inputs import FASTEST_HZ, SLOWEST_HZ, Wave, is_silent, resampled
from irene_model.study import SoundShape

MOST_BYTES = 1 << 30
_MOST_SAMPLES = 200_000_000  # of all channels: half an hour in stereo at 48 kHz is 173 million
_FORMATS = {"WAV", "WAVEX", "RF64", "FLAC"}
_FULL_SCALE = 0.9999  # from here on a sample is cut off
_CLIPPED = 0.001  # of samples: beyond it, it is heard


class SoundProblem(Exception):  # noqa: N818  # becomes a DataError once it is known whose it is
    """Why one recording can't be read; its text is the cause, without any name."""


@dataclass(frozen=True, kw_only=True)
class Recording:
    """wave: mono, at the study's rate, at most as long as the study reads.

    silent, short (it fills no patch), long (its end is not read), clipped, mixed (it was stereo),
    coarse (recorded at a lower rate than the study's).
    """

    wave: Wave = field(repr=False)
    silent: bool
    short: bool
    long: bool
    clipped: bool
    mixed: bool
    coarse: bool


def read_recording(path: Path, shape: SoundShape) -> Recording:
    """One file; a SoundProblem says why it can't be read."""
    import soundfile

    _refuse_what_is_no_file(path)
    try:
        with soundfile.SoundFile(str(path)) as file:
            rate, frames, channels = file.samplerate, file.frames, file.channels
            if file.format not in _FORMATS:
                raise SoundProblem("is neither WAV nor FLAC; export it without losses")
            if channels > 2:
                raise SoundProblem("has more than two channels; export one file a position")
            if not SLOWEST_HZ <= rate <= FASTEST_HZ:
                raise SoundProblem(f"has a sample rate outside {SLOWEST_HZ} to {FASTEST_HZ} Hz")
            if not 0 < frames * channels <= _MOST_SAMPLES:
                raise SoundProblem(f"has no sample, or more than {_MOST_SAMPLES // 10**6} million")
            wanted = min(frames, int(shape.seconds * rate))
            samples = file.read(wanted, dtype="float32", always_2d=True)
    except (soundfile.SoundFileError, RuntimeError, OSError, ValueError, TypeError):
        # What libsndfile says may quote the file's name.
        raise SoundProblem("is no recording that can be read, or damaged; copy it again") from None
    if len(samples) < wanted or not np.isfinite(samples).all():
        raise SoundProblem("is cut off, or holds what is no number; copy it again")
    wave = resampled(samples.mean(axis=1), rate, shape.sample_rate)
    return Recording(
        wave=wave,
        silent=is_silent(wave),
        short=len(wave) < shape.hop * (shape.patch[1] + 1),
        long=frames / rate > 1.01 * shape.seconds,
        clipped=float((np.abs(samples) >= _FULL_SCALE).mean()) > _CLIPPED,
        mixed=channels == 2,
        coarse=rate < shape.sample_rate,
    )


def load_sounds(paths: Mapping[str, Path], shape: SoundShape, *, shown: str) -> dict[str, Wave]:
    """Position -> samples of one record; `shown` is what an error calls the record."""
    waves = {}
    for position, path in paths.items():
        try:
            waves[position] = read_recording(path, shape).wave
        except SoundProblem as problem:
            raise DataError(f"the recording ({position}) of {shown}: {problem}") from None
    return waves


def _refuse_what_is_no_file(path: Path) -> None:
    try:
        size = path.stat().st_size
        if not path.is_file():  # reading a pipe would wait for ever
            raise SoundProblem("is no file")
    except (OSError, ValueError):
        raise SoundProblem(
            "can't be found by the pattern in `sounds`; leave the cell empty if there is none"
        ) from None
    if size > MOST_BYTES:
        raise SoundProblem(f"the file is larger than {MOST_BYTES >> 30} GiB")
