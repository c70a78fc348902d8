"""One asymmetric chest in every container that a hospital may have it in."""

import io
import struct
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pydicom
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import UID, DigitalXRayImageStorageForPresentation, ExplicitVRLittleEndian

Array = npt.NDArray[Any]


def phantom() -> npt.NDArray[np.float64]:
    """(120, 96) from 0 to 1, white dense, with lungs, a heart on one side and a collimated edge."""
    y, x = np.mgrid[0:120, 0:96] / np.array([120, 96]).reshape(2, 1, 1)
    grey = 0.8 - 0.2 * y
    for centre, width in ((0.3, 0.16), (0.7, 0.14)):
        grey = grey - 0.5 * np.exp(-(((x - centre) / width) ** 4) - ((y - 0.45) / 0.3) ** 4)
    grey = grey + 0.25 * np.exp(-(((x - 0.6) / 0.12) ** 2) - ((y - 0.65) / 0.12) ** 2)
    grey[:6] = 0.02
    return np.clip(grey + np.random.default_rng(5).normal(0, 0.01, grey.shape), 0, 1)


CHEST = phantom()
U8: npt.NDArray[np.uint8] = (CHEST * 255).round().astype(np.uint8)
U12: npt.NDArray[np.uint16] = (CHEST * 4095).round().astype(np.uint16)


def write_dicom(
    path: Path, values: Array = U12, *, syntax: UID = ExplicitVRLittleEndian, **fields: Any
) -> Path:
    """`values` as they are; `fields` are DICOM keywords, None leaves one out."""
    image = Dataset()
    image.file_meta = FileMetaDataset()
    image.file_meta.TransferSyntaxUID = syntax
    image.file_meta.MediaStorageSOPClassUID = DigitalXRayImageStorageForPresentation
    image.file_meta.MediaStorageSOPInstanceUID = "1.2.3"
    image.SOPClassUID, image.SOPInstanceUID = DigitalXRayImageStorageForPresentation, "1.2.3"
    image.Modality = "DX"
    image.Rows, image.Columns = values.shape[:2]
    image.SamplesPerPixel = 1 if values.ndim == 2 else values.shape[2]
    image.PhotometricInterpretation = "MONOCHROME2"
    bits = 8 * values.dtype.itemsize
    image.BitsAllocated, image.BitsStored = bits, 12 if values.dtype == np.uint16 else bits
    image.PixelRepresentation = int(values.dtype.kind == "i")
    big = not syntax.is_little_endian
    image.PixelData = values.astype(values.dtype.newbyteorder(">" if big else "<")).tobytes()
    image["PixelData"].VR = "OW" if bits > 8 else "OB"
    with pydicom.config.disable_value_validation():
        for keyword, value in fields.items():
            if value is None:
                delattr(image, keyword)
            else:
                setattr(image, keyword, value)
    if "BitsStored" in image:
        image.HighBit = image.BitsStored - 1
    with pydicom.config.disable_value_validation():
        image.save_as(
            path,
            enforce_file_format=True,
            implicit_vr=None if syntax.is_deflated else syntax.is_implicit_VR,
            little_endian=None if syntax.is_deflated else not big,
        )
    return path


def table(values: Array, first: int = 0) -> Any:
    """A sequence with one table of values, as ModalityLUTSequence and VOILUTSequence hold."""
    item = Dataset()
    item.LUTDescriptor = [len(values) % 65536, first, 16]
    item["LUTDescriptor"].VR = "US"
    item.LUTData = np.asarray(values, "<u2").tobytes()
    item["LUTData"].VR = "OW"
    return pydicom.Sequence([item])


def png_of_16_bits(channels: Array) -> bytes:
    """A PNG with 16 bits a channel of (H,W,C), C of 2 (grey, alpha), 3 or 4: Pillow writes none."""
    height, width, count = channels.shape
    rows = b"".join(b"\0" + row.astype(">u2").tobytes() for row in channels)
    kind = {2: 4, 3: 2, 4: 6}[count]

    def chunk(name: bytes, data: bytes) -> bytes:
        return (
            struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))
        )

    header = struct.pack(">IIBBBBB", width, height, 16, kind, 0, 0, 0)
    written = chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + written


def encoded(image: Any, kind: str, **options: Any) -> bytes:
    """A Pillow image's file."""
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()
