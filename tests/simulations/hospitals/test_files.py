"""Files of made-up hospitals, against the libraries that read and write such files."""

import io
import subprocess
import sys
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pydicom
import pytest
from PIL import Image
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import ExplicitVRLittleEndian, generate_uid

from simulations.hospitals.files import write_image


def grey(size: tuple[int, int]) -> npt.NDArray[np.uint8]:
    return np.random.default_rng(3).integers(0, 256, size, dtype=np.uint8)


def by_pydicom(name: str, pixels: npt.NDArray[np.uint8], *, inverted: bool) -> bytes:
    """The file as pydicom writes it by itself."""
    image, meta = Dataset(), FileMetaDataset()
    image.SOPClassUID = meta.MediaStorageSOPClassUID = "1.2.840.10008.5.1.4.1.1.1.1"
    image.SOPInstanceUID = meta.MediaStorageSOPInstanceUID = generate_uid(entropy_srcs=[name])
    meta.TransferSyntaxUID = ExplicitVRLittleEndian
    image.file_meta = meta
    image.Modality, image.SamplesPerPixel = "DX", 1
    image.Rows, image.Columns = pixels.shape
    image.PhotometricInterpretation = "MONOCHROME1" if inverted else "MONOCHROME2"
    image.BitsAllocated, image.BitsStored, image.HighBit = 16, 12, 11
    image.PixelRepresentation = 0
    image.PixelData = (pixels.astype("<u2") << 4).tobytes()
    file = io.BytesIO()
    image.save_as(file, enforce_file_format=True)
    return file.getvalue()


@pytest.mark.parametrize("inverted", [False, True])
@pytest.mark.parametrize("size", [(96, 96), (33, 17)])
def test_a_dicom_file_is_pydicoms_to_the_last_byte(
    tmp_path: Path, size: tuple[int, int], inverted: bool
) -> None:
    pixels = grey(size)
    for name in ("a.dcm", "b.dcm", "0f3c.dcm"):
        write_image(tmp_path / name, pixels, inverted=inverted, format="dicom")
        assert (tmp_path / name).read_bytes() == by_pydicom(name, pixels, inverted=inverted)
    read = [pydicom.dcmread(tmp_path / name) for name in ("a.dcm", "b.dcm")]
    assert np.array_equal(read[0].pixel_array, pixels.astype(np.uint16) << 4)
    assert read[0].SOPInstanceUID != read[1].SOPInstanceUID


def test_a_png_keeps_its_pixels(tmp_path: Path) -> None:
    write_image(tmp_path / "a.png", grey((96, 96)), inverted=False, format="png")
    assert np.array_equal(np.asarray(Image.open(tmp_path / "a.png")), grey((96, 96)))


def test_what_draws_needs_no_torch() -> None:
    code = "import sys, simulations.hospitals.drawing; print('torch' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"
