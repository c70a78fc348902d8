"""Recordings as files: what is read of them, and what broken, huge and hostile ones come to."""

import os
from pathlib import Path

import numpy as np
import pytest
import soundfile

from client.images.problems import BadImages
from client.sounds.many import RecordSounds, read_sounds
from client.sounds.recordings import SoundProblem, load_sounds, read_recording
from irene_model.errors import DataError
from irene_model.study.sounds import SoundShape
from tests.helpers.sites.sounds import SOUNDS, record, tone

SHAPE = SoundShape.model_validate(SOUNDS)


@pytest.mark.parametrize("suffix", ["wav", "flac"])
@pytest.mark.parametrize("rate", [2000, 4000, 44_100])
def test_formats_and_rates_hear_the_same(tmp_path: Path, suffix: str, rate: int) -> None:
    path = tmp_path / f"a.{suffix}"
    record(path, tone(2, rate=rate), rate)
    heard = read_recording(path, SHAPE)
    assert len(heard.wave) == SHAPE.samples
    spectrum = np.abs(np.fft.rfft(heard.wave))
    assert abs(int(spectrum.argmax()) / 2 - 300) < 1  # Hz
    flags = (heard.silent, heard.short, heard.long, heard.clipped, heard.mixed, heard.coarse)
    assert not any(flags)


def test_what_is_poor_is_told(tmp_path: Path) -> None:
    made = {
        "silent": (np.zeros(4000), 2000),
        "short": (tone(0.2), 2000),
        "long": (tone(5), 2000),
        "clipped": (np.clip(8 * tone(2), -1, 1), 2000),
        "mixed": (np.stack([tone(2), tone(2)], axis=1), 2000),
        "coarse": (tone(2, rate=1500), 1500),
    }
    for name, (samples, rate) in made.items():
        record(tmp_path / f"{name}.wav", samples, rate)
        heard = read_recording(tmp_path / f"{name}.wav", SHAPE)
        told = [kind for kind in made if getattr(heard, kind)]
        assert told == [name]
        assert len(heard.wave) <= SHAPE.samples


def _wav(path: Path, header: bytes, body: bytes = b"\0" * 64) -> None:
    size = (4 + 24 + 8 + len(body)).to_bytes(4, "little")
    path.write_bytes(
        b"RIFF" + size + b"WAVEfmt \x10\0\0\0" + header + b"data\xff\xff\xff\x7f" + body
    )


def _header(channels: int, rate: int, bits: int = 16) -> bytes:
    block = channels * bits // 8
    numbers = ((1, 2), (channels, 2), (rate, 4), (rate * block, 4), (block, 2), (bits, 2))
    return b"".join((value % 256**size).to_bytes(size, "little") for value, size in numbers)


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"", "damaged"),
        (b"RIFF", "damaged"),
        (b"fLaC" + b"\0" * 100, "damaged"),
        (b"<html>login</html>", "damaged"),
        (os.urandom(1000), "damaged"),
    ],
)
def test_what_is_no_recording_has_one_cause(tmp_path: Path, content: bytes, said: str) -> None:
    (tmp_path / "secret-name.wav").write_bytes(content)
    with pytest.raises(SoundProblem, match=said) as refused:
        read_recording(tmp_path / "secret-name.wav", SHAPE)
    assert "secret" not in str(refused.value)


@pytest.mark.parametrize(
    ("channels", "rate"), [(1, 3), (1, 2**31 - 1), (0, 4000), (1000, 4000), (1, 0)]
)
def test_a_header_is_bounded_before_anything_is_decoded(
    tmp_path: Path, channels: int, rate: int
) -> None:
    _wav(tmp_path / "a.wav", _header(channels, rate))
    with pytest.raises(SoundProblem):
        read_recording(tmp_path / "a.wav", SHAPE)


def test_a_flac_that_was_cut_off_or_turned_over_ends_in_a_cause_or_in_samples(
    tmp_path: Path,
) -> None:
    record(tmp_path / "a.flac", tone(2))
    whole = (tmp_path / "a.flac").read_bytes()
    rng = np.random.default_rng(0)
    refused = 0
    for trial in range(60):
        spoilt = bytearray(whole[: rng.integers(1, len(whole))] if trial % 2 else whole)
        for place in rng.integers(0, len(spoilt), 4):
            spoilt[place] = rng.integers(256)
        (tmp_path / "b.flac").write_bytes(spoilt)
        try:
            heard = read_recording(tmp_path / "b.flac", SHAPE)
        except SoundProblem:
            refused += 1
            continue
        assert np.isfinite(heard.wave).all()
        assert len(heard.wave) <= 2 * SHAPE.samples
    assert refused > 20


def test_numbers_that_are_none_and_other_formats_are_refused(tmp_path: Path) -> None:
    wave = tone(2)
    wave[7] = np.nan
    soundfile.write(str(tmp_path / "nan.wav"), wave, 2000, subtype="FLOAT")
    with pytest.raises(SoundProblem, match="no number"):
        read_recording(tmp_path / "nan.wav", SHAPE)
    soundfile.write(str(tmp_path / "a.aiff"), tone(2), 2000)
    with pytest.raises(SoundProblem, match="neither WAV nor FLAC"):
        read_recording(tmp_path / "a.aiff", SHAPE)
    soundfile.write(str(tmp_path / "three.wav"), np.zeros((99, 3)), 2000)
    with pytest.raises(SoundProblem, match="two channels"):
        read_recording(tmp_path / "three.wav", SHAPE)


def test_what_is_no_file_is_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    for name, said in (("pipe", "is no file"), ("", "is no file"), ("none.wav", "can't be found")):
        with pytest.raises(SoundProblem, match=said):
            read_recording(tmp_path / name, SHAPE)
    with pytest.raises(
        DataError, match=r"^the recording \(left\) of a\.csv line 2: can't be found"
    ):
        load_sounds({"left": tmp_path / "none.wav"}, SHAPE, shown="a.csv line 2")


def test_all_of_a_site_by_cause(tmp_path: Path) -> None:
    record(tmp_path / "good.wav", tone(2))
    (tmp_path / "bad.wav").write_bytes(b"RIFF")

    def of(row: int, **paths: str) -> RecordSounds:
        found = {position: tmp_path / name for position, name in paths.items()}
        return RecordSounds(row=row, place=f"a.csv line {row + 2}", paths=found)

    records = [
        of(0, left="good.wav"),
        of(1, left="good.wav", right="bad.wav"),
        of(2, left="bad.wav"),
    ]
    used, bad = read_sounds(records, SHAPE, lambda record, found: (record.row, list(found)))
    assert used == [(0, ["left"])]
    cause = "is no recording that can be read, or damaged; copy it again"
    assert bad == (BadImages(cause=cause, count=2, places=("a.csv line 3", "a.csv line 4")),)
    assert "good" not in repr(records)
