"""Radiographs whose inside is broken though their outside is right: checksums, lengths, tags."""

import io
import struct
import zlib
from random import Random

import numpy as np
import pydicom
from PIL import Image
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import (
    DeflatedExplicitVRLittleEndian,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
    RLELossless,
)

SIDE = 24
_ODD: tuple[object, ...] = (
    *(0, 1, 2, 3, 8, 12, 16, 32, 64, 255, 65535, "", "1", "x", "1\\2", "-1", "1e999", None),
    *(b"\xff" * 7, [1, 2, 3], "MONOCHROME1", "RGB", "PALETTE COLOR", "YBR_FULL_422", "NaN"),
)
_SYNTAXES = (
    *(ExplicitVRLittleEndian, ImplicitVRLittleEndian, RLELossless, DeflatedExplicitVRLittleEndian),
    *("1.2.840.10008.1.2.2", "1.2.840.10008.1.2.4.50", "1.2.840.10008.1.2.4.90", "1.2", ""),
)
_TAGS = (
    *("Rows", "Columns", "BitsAllocated", "BitsStored", "HighBit", "PixelRepresentation"),
    *("SamplesPerPixel", "PhotometricInterpretation", "PlanarConfiguration", "NumberOfFrames"),
    *("RescaleSlope", "RescaleIntercept", "WindowCenter", "WindowWidth", "VOILUTFunction"),
    *("PixelPaddingValue", "PixelSpacing", "PatientOrientation", "FieldOfViewRotation"),
    *("ModalityLUTSequence", "VOILUTSequence", "PixelData", "ViewPosition", "Modality"),
)


def picture(kind: str, mode: str = "L") -> bytes:
    """A valid PNG or JPEG."""
    shape = (SIDE, SIDE) if mode in {"L", "I;16"} else (SIDE, SIDE, len(mode))
    values = np.random.default_rng(0).integers(0, 255, shape)
    file = io.BytesIO()
    Image.fromarray(values.astype(np.uint16 if mode == "I;16" else np.uint8)).save(file, kind)
    return file.getvalue()


def dicom() -> bytes:
    """A valid DICOM file."""
    return _saved(_dataset())


def with_right_checksums(content: bytes, rng: Random) -> bytes:
    """A PNG with a changed chunk, whose checksum says that it is whole."""
    at, parts = 8, [content[:8]]
    while at + 8 <= len(content):
        (length,) = struct.unpack(">I", content[at : at + 4])
        name, data = content[at + 4 : at + 8], content[at + 8 : at + 8 + length]
        if rng.random() < 0.4 and data:
            place = rng.randrange(len(data))
            noise = rng.choice((b"\xff\xff\xff\xff", b"\0\0\0\0", rng.randbytes(3), b"\x7f"))
            data = data[:place] + noise + data[place + len(noise) :]
        times = rng.choice((1, 1, 1, 1, 2, 300))
        checksum = struct.pack(">I", zlib.crc32(name + data))
        parts += [struct.pack(">I", len(data)) + name + data + checksum] * times
        at += 12 + length
    return b"".join(parts)


def with_huge_frame(content: bytes, rng: Random) -> bytes:
    """A JPEG that announces other sides than it has."""
    at = content.find(b"\xff\xc0") + 5
    side = rng.choice((0, 1, 9000, 10_000, 20_000, 65_535))
    return content[:at] + struct.pack(">HH", side, rng.choice((side, 1, 24))) + content[at + 4 :]


def with_odd_tags(content: bytes, rng: Random) -> bytes:
    """A DICOM file with fields that hold what they never should, in some transfer syntax."""
    del content
    dataset = _dataset()
    pydicom.config.settings.writing_validation_mode = pydicom.config.IGNORE
    dataset.file_meta.TransferSyntaxUID = rng.choice(_SYNTAXES)
    for tag in rng.sample(_TAGS, rng.randrange(1, 5)):
        value = rng.choice(_ODD)
        try:
            setattr(dataset, tag, value)
        except Exception:  # pydicom has as many objections as kinds of fields
            continue
    try:
        return _saved(dataset)
    except Exception:  # what pydicom itself does not write
        return _saved(_dataset())


def _dataset() -> Dataset:
    values = np.random.default_rng(0).integers(0, 4095, (SIDE, SIDE)).astype(np.uint16)
    dataset = Dataset()
    dataset.file_meta = FileMetaDataset()
    dataset.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    dataset.SOPClassUID = dataset.file_meta.MediaStorageSOPClassUID = "1.2.840.10008.5.1.4.1.1.1"
    dataset.SOPInstanceUID = dataset.file_meta.MediaStorageSOPInstanceUID = "1.2.3"
    dataset.Modality, dataset.ViewPosition, dataset.PatientID = "DX", "PA", "P"
    dataset.Rows = dataset.Columns = SIDE
    dataset.SamplesPerPixel, dataset.PixelRepresentation = 1, 0
    dataset.BitsAllocated, dataset.BitsStored, dataset.HighBit = 16, 12, 11
    dataset.PhotometricInterpretation = "MONOCHROME2"
    dataset.WindowCenter, dataset.WindowWidth = 2000, 4000
    dataset.RescaleSlope, dataset.RescaleIntercept = 1, 0
    dataset.PixelData = values.tobytes()
    return dataset


def _saved(dataset: Dataset) -> bytes:
    file = io.BytesIO()
    dataset.save_as(file, enforce_file_format=True)
    return file.getvalue()
