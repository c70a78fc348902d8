"""A chest in DICOM, compressed as detectors and archives do it."""

from pathlib import Path
from typing import Any

import imagecodecs
import numpy as np
import pydicom
from pydicom.encaps import encapsulate
from pydicom.uid import (
    JPEG2000,
    UID,
    JPEG2000Lossless,
    JPEGExtended12Bit,
    JPEGLossless,
    JPEGLosslessSV1,
    JPEGLSLossless,
    JPEGLSNearLossless,
)

from tests.helpers.phantom import U12, Array, write_dicom


def stream_of(values: Array, syntax: UID, bits: int = 12) -> bytes:
    """`values` (H,W) or (H,W,3) as one frame of the transfer syntax, of `bits` a sample."""
    if syntax == JPEGExtended12Bit:
        return imagecodecs.jpeg8_encode(values, level=98, bitspersample=bits)
    if syntax in (JPEGLossless, JPEGLosslessSV1):
        predictor = 1 if syntax == JPEGLosslessSV1 else 6
        return imagecodecs.jpeg8_encode(
            values, lossless=True, bitspersample=bits, predictor=predictor
        )
    if syntax == JPEGLSLossless:
        return imagecodecs.jpegls_encode(values)
    if syntax == JPEGLSNearLossless:
        return imagecodecs.jpegls_encode(values, level=3)
    assert syntax in (JPEG2000, JPEG2000Lossless)
    return imagecodecs.jpeg2k_encode(
        values, reversible=syntax == JPEG2000Lossless, codecformat="j2k", bitspersample=bits
    )


def write_jpeg_dicom(
    path: Path,
    syntax: UID,
    values: Array = U12,
    *,
    bits: int = 12,
    stream: bytes | None = None,
    **fields: Any,
) -> Path:
    """`values` compressed; `stream` stands in for what they would come to."""
    write_dicom(path, values, **{"BitsStored": bits, **fields})
    dataset = pydicom.dcmread(path)
    unsigned = values.astype(values.dtype.str.replace("i", "u"))
    if values.dtype.kind == "i":
        unsigned &= np.array((1 << bits) - 1, unsigned.dtype)
    frame = stream_of(unsigned, syntax, bits) if stream is None else stream
    dataset.PixelData = encapsulate([frame])
    dataset["PixelData"].is_undefined_length = True
    dataset.file_meta.TransferSyntaxUID = syntax
    dataset.save_as(path)
    return path
