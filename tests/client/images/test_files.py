"""Images: depths, kinds and damages to grey squares or clear refusals."""

import io
import time
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pydicom
import pytest
from PIL import Image
from pydicom.dataset import FileDataset, FileMetaDataset
from pydicom.uid import (
    ComputedRadiographyImageStorage,
    ExplicitVRLittleEndian,
    HTJ2KLossless,
    RLELossless,
    generate_uid,
)

from client.images.files import load_image
from irene_model.errors import DataError

RAMP = np.tile(np.arange(256, dtype=np.uint8), (64, 1))  # 64 rows, black left to white right


def saved(path: Path, image: Image.Image, **options: Any) -> Path:
    image.save(path, **options)
    return path


def dicom(path: Path, pixels: npt.NDArray[np.uint16], **fields: Any) -> Path:
    """A small computed radiograph; `fields` are DICOM keywords."""
    meta = FileMetaDataset()
    meta.TransferSyntaxUID = fields.pop("TransferSyntaxUID", ExplicitVRLittleEndian)
    meta.MediaStorageSOPClassUID = ComputedRadiographyImageStorage
    meta.MediaStorageSOPInstanceUID = generate_uid()
    dataset = FileDataset(str(path), {}, file_meta=meta, preamble=b"\0" * 128)
    dataset.SOPClassUID = meta.MediaStorageSOPClassUID
    dataset.SOPInstanceUID = meta.MediaStorageSOPInstanceUID
    dataset.PatientID = "SECRET"
    dataset.Rows, dataset.Columns = pixels.shape[:2]
    dataset.SamplesPerPixel, dataset.PhotometricInterpretation = 1, "MONOCHROME2"
    dataset.BitsAllocated, dataset.BitsStored, dataset.HighBit = 16, 12, 11
    dataset.PixelRepresentation = 0
    dataset.PixelData = pixels.astype("<u2").tobytes()
    for keyword, value in fields.items():
        setattr(dataset, keyword, value)
    dataset.save_as(path, enforce_file_format=True)
    return path


def test_levels_are_stretched_between_their_percentiles(tmp_path: Path) -> None:
    pixels = np.random.default_rng(0).integers(20, 200, (16, 16), dtype=np.uint8)
    path = saved(tmp_path / "a.png", Image.fromarray(pixels))
    ordered = np.sort(pixels.ravel()).astype(float)
    # By hand: the values at places 2.55 and 252.45 of 0 to 255.
    low = ordered[2] + 0.55 * (ordered[3] - ordered[2])
    high = ordered[252] + 0.45 * (ordered[253] - ordered[252])
    expected = ((pixels - low) / (high - low) * 255).clip(0, 255)
    assert np.abs(load_image(path, 16) - expected).max() <= 0.51


@pytest.mark.parametrize("mode", ["RGB", "RGBA", "LA", "P", "1"])
def test_other_modes_become_grey(tmp_path: Path, mode: str) -> None:
    pixels = np.where(np.arange(16) < 8, 0, 255).astype(np.uint8) * np.ones((16, 1), np.uint8)
    path = saved(tmp_path / "a.png", Image.fromarray(pixels).convert(mode))
    np.testing.assert_array_equal(load_image(path, 16), pixels)


def test_a_palette_with_transparency_is_read_without_remarks(tmp_path: Path) -> None:
    image = Image.fromarray(RAMP).convert("P")
    path = saved(tmp_path / "a.png", image, transparency=bytes(range(256)))
    assert np.abs(load_image(path, 256)[96:160].astype(int) - RAMP).max() <= 3


def test_jpeg(tmp_path: Path) -> None:
    path = saved(tmp_path / "a.jpg", Image.fromarray(RAMP), quality=95)
    loaded = load_image(path, 256)
    assert np.abs(loaded[96:160].astype(int) - RAMP).max() <= 4


def test_sixteen_bits_are_windowed_without_outliers(tmp_path: Path) -> None:
    pixels = np.linspace(1000, 3000, 64 * 64).reshape(64, 64).astype(np.uint16)
    pixels[0, 0] = 65535  # a burnt-in marker must not set the contrast
    loaded = load_image(saved(tmp_path / "a.png", Image.fromarray(pixels)), 64)
    assert int(loaded[32, 32]) == pytest.approx(128, abs=4)
    assert (loaded.min(), loaded.max()) == (0, 255)
    assert (np.diff(loaded[1:, 0].astype(int)) >= 0).all()


def test_one_level_is_black(tmp_path: Path) -> None:
    image = Image.fromarray(np.full((8, 8), 700, dtype=np.uint16))
    assert not load_image(saved(tmp_path / "a.png", image), 8).any()


def test_the_aspect_is_kept_on_black(tmp_path: Path) -> None:
    halves = np.repeat(np.array([100, 200], dtype=np.uint8), 25) * np.ones((100, 1), np.uint8)
    loaded = load_image(saved(tmp_path / "a.png", Image.fromarray(halves)), 32)
    assert loaded.shape == (32, 32)
    assert (loaded[:, 17:24] == 255).all()
    assert not loaded[:, :8].any() and not loaded[:, 24:].any()


def test_shrinking_is_antialiased(tmp_path: Path) -> None:
    stripes = np.tile(np.array([0, 255], dtype=np.uint8), (256, 128))
    loaded = load_image(saved(tmp_path / "a.png", Image.fromarray(stripes)), 32)
    assert np.abs(loaded.astype(int) - 127).max() <= 8


def test_dicom_inverts_monochrome1(tmp_path: Path) -> None:
    pixels = np.tile(np.arange(64, dtype=np.uint16) * 64, (64, 1))
    plain = load_image(dicom(tmp_path / "a.dcm", pixels), 64)
    negative = dicom(tmp_path / "b.dcm", pixels, PhotometricInterpretation="MONOCHROME1")
    np.testing.assert_array_equal(load_image(negative, 64), 255 - plain)
    assert plain[0, 0] == 0 and plain[0, 63] == 255


def test_dicom_window_and_rescale(tmp_path: Path) -> None:
    pixels = np.tile(np.arange(64, dtype=np.uint16) * 64, (64, 1))
    window = {
        "RescaleSlope": 2,
        "RescaleIntercept": -100,
        "WindowCenter": 4000,
        "WindowWidth": 2000,
    }
    loaded = load_image(dicom(tmp_path / "a.dcm", pixels, **window), 64)[0]
    rescaled = np.arange(64) * 128 - 100
    assert (loaded[rescaled < 3000] == 0).all() and (loaded[rescaled > 5000] == 255).all()
    assert int(loaded[np.abs(rescaled - 4000).argmin()]) == pytest.approx(128, abs=10)


def test_dicom_compressed_by_run_lengths_is_read(tmp_path: Path) -> None:
    pixels = np.tile(np.arange(64, dtype=np.uint16) * 64, (64, 1))
    plain = dicom(tmp_path / "a.dcm", pixels)
    dataset = pydicom.dcmread(plain)
    dataset.compress(RLELossless)
    dataset.save_as(tmp_path / "b.dcm")
    np.testing.assert_array_equal(load_image(tmp_path / "b.dcm", 64), load_image(plain, 64))


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"NumberOfFrames": 2}, "several frames"),
        ({"SamplesPerPixel": 3}, "SamplesPerPixel and PhotometricInterpretation contradict"),
        ({"Rows": 4000}, "PixelData is shorter than Rows, Columns and BitsAllocated"),
        ({"Rows": 65000, "Columns": 65000}, "more than 100 million pixels"),
        ({"BitsAllocated": 7}, "BitsAllocated is missing or none of 8, 16 and 32"),
    ],
)
def test_dicom_that_is_no_radiograph(tmp_path: Path, fields: dict[str, Any], said: str) -> None:
    path = dicom(tmp_path / "a.dcm", np.zeros((8, 8), dtype=np.uint16), **fields)
    with pytest.raises(DataError, match=said) as caught:
        load_image(path, 8)
    assert "SECRET" not in str(caught.value)


def test_dicom_without_a_decoder_names_the_compression(tmp_path: Path) -> None:
    path = dicom(tmp_path / "a.dcm", np.zeros((8, 8), dtype=np.uint16))
    dataset = pydicom.dcmread(path)
    dataset.PixelData = pydicom.encaps.encapsulate([b"\xff\xd8\xff\xf7 no JPEG here"])
    dataset["PixelData"].is_undefined_length = True
    dataset.file_meta.TransferSyntaxUID = HTJ2KLossless
    dataset.save_as(path)
    with pytest.raises(DataError, match=r"compressed as High-Throughput.*export it uncompressed"):
        load_image(path, 8)


def png_bytes() -> bytes:
    buffer = io.BytesIO()
    noise = np.random.default_rng(1).integers(0, 256, (64, 64), dtype=np.uint8)
    Image.fromarray(noise).save(buffer, "PNG")
    return buffer.getvalue()


@pytest.mark.parametrize("kept", [0, 4, 20, 40, 100, 1000, 3000])
def test_a_truncated_png_is_refused_wherever_it_ends(tmp_path: Path, kept: int) -> None:
    path = tmp_path / "a.png"
    path.write_bytes(png_bytes()[:kept])
    with pytest.raises(DataError, match=r"^line 7: "):
        load_image(path, 16, shown="line 7")


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "TIFF", "BMP", "JPEG2000", "DICOM"])
def test_noise_in_a_file_is_refused_or_read_and_never_another_error(
    tmp_path: Path, kind: str
) -> None:
    rng = np.random.default_rng(2)
    buffer = io.BytesIO()
    if kind == "DICOM":
        window = {"WindowCenter": 128, "WindowWidth": 200, "PixelPaddingValue": 0}
        buffer.write(dicom(tmp_path / "a", RAMP.astype(np.uint16), **window).read_bytes())
    else:
        Image.fromarray(RAMP).save(buffer, kind)
    for _ in range(100):
        content = bytearray(buffer.getvalue())
        header = min(len(content), 1200)  # where most bytes mean something
        for position in rng.integers(8, header, 3):
            content[position] = int(rng.integers(256))
        (tmp_path / "a").write_bytes(bytes(content))
        try:
            assert load_image(tmp_path / "a", 16).shape == (16, 16)
        except DataError as error:
            assert str(error).startswith("a: ")


def test_other_kinds_and_missing_files_are_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="expected PNG, JPEG, JPEG 2000, TIFF, BMP or DICOM"):
        load_image(saved(tmp_path / "a.gif", Image.fromarray(RAMP)), 16)
    with pytest.raises(DataError, match=r"nothing\.png: can't be found"):
        load_image(tmp_path / "nothing.png", 16)


@pytest.mark.parametrize("side", [12_000, 30_000])
def test_a_bomb_is_refused_before_it_is_unpacked(tmp_path: Path, side: int) -> None:
    header = side.to_bytes(4, "big") * 2 + bytes([8, 0, 0, 0, 0])
    chunk = b"IHDR" + header
    path = tmp_path / "a.png"
    path.write_bytes(
        b"\x89PNG\r\n\x1a\n"
        + (13).to_bytes(4, "big")
        + chunk
        + zlib.crc32(chunk).to_bytes(4, "big")
        + (0).to_bytes(4, "big")
        + b"IDAT"
        + zlib.crc32(b"IDAT").to_bytes(4, "big")
    )
    with pytest.raises(DataError, match="more than 100 million pixels"):
        load_image(path, 16)


def test_a_small_png_takes_milliseconds(tmp_path: Path) -> None:
    noise = np.random.default_rng(3).integers(0, 256, (128, 128), dtype=np.uint8)
    path = saved(tmp_path / "a.png", Image.fromarray(noise))
    start = time.process_time()
    for _ in range(50):
        load_image(path, 64)
    assert (time.process_time() - start) / 50 < 0.05
