"""Tables and radiographs in the formats that hospitals have: CSV, Parquet, PNG, DICOM."""

import functools
import io
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

TableFormat = Literal["csv", "parquet"]
ImageFormat = Literal["png", "dicom"]
SUFFIX: dict[ImageFormat, str] = {"png": ".png", "dicom": ".dcm"}
_DIGITAL_XRAY = "1.2.840.10008.5.1.4.1.1.1.1"  # Digital X-Ray Image Storage, for presentation
_NO_UID = b"1.2." + b"3" * 60  # as long as those that pydicom makes, the most that DICOM allows


def write_table(path: Path, rows: Sequence[dict[str, Any]], columns: Sequence[str]) -> None:
    """Write `rows` with all `columns`, a missing cell as empty; the suffix is the format."""
    import pyarrow as pa
    from pyarrow import csv, parquet

    table = pa.Table.from_pylist([{name: row.get(name) for name in columns} for row in rows])
    if path.suffix == ".parquet":
        parquet.write_table(table, path)
    else:
        csv.write_csv(table, path)


def write_image(
    path: Path, pixels: npt.NDArray[np.uint8], *, inverted: bool, format: ImageFormat
) -> None:
    """Write grey pixels (H, W); `inverted` says that air is white.

    A PNG can't say so and keeps the pixels as they are shown, air dark. A DICOM file holds 12 bits
    and names its photometric interpretation.
    """
    if format == "png":
        from PIL import Image

        Image.fromarray(255 - pixels if inverted else pixels).save(path, compress_level=1)
        return
    from pydicom.uid import generate_uid

    uid = generate_uid(entropy_srcs=[path.name])
    head = _dicom_head(pixels.shape, inverted).replace(_NO_UID, uid.encode())
    path.write_bytes(head + (pixels.astype("<u2") << 4).tobytes())


@functools.lru_cache(maxsize=8)
def _dicom_head(shape: tuple[int, int], inverted: bool) -> bytes:
    """All of a file of `shape` (H, W) but its pixels, which are last; its UID is _NO_UID.

    One is like the other there, and pydicom takes longer to write it than it takes to draw.
    """
    from pydicom.dataset import Dataset, FileMetaDataset
    from pydicom.uid import UID, ExplicitVRLittleEndian

    meta = FileMetaDataset()
    meta.MediaStorageSOPClassUID = _DIGITAL_XRAY
    meta.MediaStorageSOPInstanceUID = UID(_NO_UID.decode())
    meta.TransferSyntaxUID = ExplicitVRLittleEndian
    image = Dataset()
    image.file_meta = meta
    image.SOPClassUID = _DIGITAL_XRAY
    image.SOPInstanceUID = UID(_NO_UID.decode())
    image.Modality = "DX"
    image.Rows, image.Columns = shape
    image.SamplesPerPixel = 1
    image.PhotometricInterpretation = "MONOCHROME1" if inverted else "MONOCHROME2"
    image.BitsAllocated, image.BitsStored, image.HighBit = 16, 12, 11
    image.PixelRepresentation = 0
    image.PixelData = bytes(2 * shape[0] * shape[1])
    file = io.BytesIO()
    image.save_as(file, enforce_file_format=True)
    return file.getvalue()[: -len(image.PixelData)]
