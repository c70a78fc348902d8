"""Tables and radiographs in the formats that hospitals have: CSV, Parquet, PNG, DICOM."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
import pyarrow as pa
from pyarrow import csv, parquet

TableFormat = Literal["csv", "parquet"]
ImageFormat = Literal["png", "dicom"]
SUFFIX: dict[ImageFormat, str] = {"png": ".png", "dicom": ".dcm"}
_DIGITAL_XRAY = "1.2.840.10008.5.1.4.1.1.1.1"  # Digital X-Ray Image Storage, for presentation


def write_table(path: Path, rows: Sequence[dict[str, Any]], columns: Sequence[str]) -> None:
    """Write `rows` with all `columns`, a missing cell as empty; the suffix is the format."""
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
    from pydicom.dataset import Dataset, FileMetaDataset
    from pydicom.uid import ExplicitVRLittleEndian, generate_uid

    uid = generate_uid(entropy_srcs=[path.name])
    meta = FileMetaDataset()
    meta.MediaStorageSOPClassUID = _DIGITAL_XRAY
    meta.MediaStorageSOPInstanceUID = uid
    meta.TransferSyntaxUID = ExplicitVRLittleEndian
    image = Dataset()
    image.file_meta = meta
    image.SOPClassUID = _DIGITAL_XRAY
    image.SOPInstanceUID = uid
    image.Modality = "DX"
    image.Rows, image.Columns = pixels.shape
    image.SamplesPerPixel = 1
    image.PhotometricInterpretation = "MONOCHROME1" if inverted else "MONOCHROME2"
    image.BitsAllocated, image.BitsStored, image.HighBit = 16, 12, 11
    image.PixelRepresentation = 0
    image.PixelData = (pixels.astype("<u2") << 4).tobytes()
    image.save_as(path, enforce_file_format=True)
