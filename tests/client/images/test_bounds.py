"""A file that would fill all memory is refused by what it announces, before it is unpacked."""

import io
import struct
import subprocess
import sys
import zlib
from pathlib import Path

import pytest
from PIL import Image
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.encaps import encapsulate
from pydicom.uid import DeflatedExplicitVRLittleEndian, ExplicitVRLittleEndian, JPEGBaseline8Bit

from client.check.quality import inspect
from client.records.dataset import open_dataset
from irene_model.errors import ConfigError, DataError
from tests.helpers.hospital_folder import HospitalFolder

SIDE = 60_000


def dicom(*, syntax: str = ExplicitVRLittleEndian, data: bytes = b"", **fields: object) -> bytes:
    dataset = Dataset()
    dataset.file_meta = FileMetaDataset()
    dataset.file_meta.TransferSyntaxUID = syntax
    dataset.file_meta.MediaStorageSOPClassUID = "1.2.840.10008.5.1.4.1.1.1"
    dataset.file_meta.MediaStorageSOPInstanceUID = dataset.SOPInstanceUID = "1.2"
    dataset.SOPClassUID = "1.2.840.10008.5.1.4.1.1.1"
    dataset.SamplesPerPixel, dataset.PixelRepresentation = 1, 0
    dataset.BitsAllocated, dataset.BitsStored, dataset.HighBit = 8, 8, 7
    dataset.PhotometricInterpretation, dataset.PixelData = "MONOCHROME2", data
    for name, value in {"Rows": SIDE, "Columns": SIDE, **fields}.items():
        setattr(dataset, name, value)
    file = io.BytesIO()
    dataset.save_as(file, enforce_file_format=True)
    return file.getvalue()


def png(side: int = SIDE) -> bytes:
    """A valid one whose 3.6 GB are nothing but zeros."""
    unit = zlib.compress(bytes(1 << 20), 9)
    chunks = (
        (b"IHDR", struct.pack(">IIBBBBB", side, side, 8, 0, 0, 0, 0)),
        (b"IDAT", unit),
        (b"IEND", b""),
    )
    body = b"".join(
        struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))
        for name, data in chunks
    )
    return b"\x89PNG\r\n\x1a\n" + body


def jpeg(side: int = SIDE) -> bytes:
    file = io.BytesIO()
    Image.new("L", (16, 16)).save(file, "JPEG")
    content = bytearray(file.getvalue())
    at = content.index(b"\xff\xc0") + 5
    content[at : at + 4] = struct.pack(">HH", side, side)
    return bytes(content)


BOMBS = {
    "png": (png(), "more than 100 million pixels"),
    "jpeg": (jpeg(), "more than 100 million pixels"),
    "dicom": (dicom(data=bytes(64)), "more than 100 million pixels"),
    "frames": (dicom(data=bytes(64), Rows=8, Columns=8, NumberOfFrames=10**9), "several frames"),
    "deflated": (
        dicom(syntax=DeflatedExplicitVRLittleEndian, data=bytes(100 << 20), Rows=8, Columns=8),
        "far more than a radiograph's size",
    ),
    "a huge JPEG in a small DICOM image": (
        dicom(syntax=JPEGBaseline8Bit, data=encapsulate([jpeg()]), Rows=16, Columns=16),
        "can't be decoded here",
    ),
}


@pytest.mark.parametrize("name", BOMBS)
def test_a_bomb_is_refused_before_it_is_unpacked(tmp_path: Path, name: str) -> None:
    content, said = BOMBS[name]
    path = tmp_path / "bomb"
    path.write_bytes(content)
    program = (
        "import resource, sys; from pathlib import Path\n"
        "from client.images import load_image\n"
        "from irene_model.errors import DataError\n"
        "load_image(Path(sys.argv[2]), 16)\n"  # whatever is imported on first use
        "before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss\n"
        "try:\n    load_image(Path(sys.argv[1]), 16)\n"
        "except DataError as error:\n    print(error)\n"
        "print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before)\n"
    )
    usual = tmp_path / "usual.dcm"
    usual.write_bytes(dicom(data=bytes(range(64)), Rows=8, Columns=8))
    done = subprocess.run(
        [sys.executable, "-c", program, str(path), str(usual)],
        capture_output=True,
        text=True,
        check=True,
    )
    *refused, grown = done.stdout.splitlines()
    assert len(refused) == 1 and said in refused[0]
    assert int(grown) < 400 << 10  # KiB


def test_a_site_sets_the_bound_and_the_refusal_names_it(hospital: HospitalFolder) -> None:
    """24 x 32 pixels are 768."""
    hospital.configure("images", {"most_megapixels": 0.000767})
    said = r"0\.000767 million pixels; export it smaller, or.*raise images\.most_megapixels"
    with pytest.raises(DataError, match=said):
        open_dataset(hospital.site, hospital.study)
    assert sum(bad.count for bad in inspect(hospital.site, hospital.study).unreadable_images) == 17
    hospital.configure("images", {"most_megapixels": 0.000768})
    open_dataset(hospital.site, hospital.study)


@pytest.mark.parametrize("bound", [0, -1, 1e9, "many", float("nan")])
def test_a_bound_is_a_number_that_memory_can_hold(hospital: HospitalFolder, bound: object) -> None:
    hospital.configure("images", {"most_megapixels": bound})
    with pytest.raises(ConfigError, match=r"images\.most_megapixels"):
        _ = hospital.site
