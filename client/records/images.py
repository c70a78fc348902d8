"""A radiograph's file to grey pixels of the study's size.

PNG, JPEG and single-frame DICOM. White is dense, as radiologists read it. How grey levels are
windowed and fitted is in `irene_model.inputs.pixels`, since inference does the same.
"""

import io
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image
from PIL.JpegImagePlugin import JpegImageFile
from PIL.PngImagePlugin import PngImageFile

from irene_model.errors import DataError
from irene_model.inputs import Pixels, fitted, to_grey, windowed

MOST_PIXELS = 100_000_000  # ten times the finest detector: beyond it a file is an attack
_KINDS = {b"\x89PNG\r\n\x1a\n": PngImageFile, b"\xff\xd8\xff": JpegImageFile}


def load_image(path: Path, size: int, *, shown: str | None = None) -> Pixels:
    """Grey levels (size, size), 0 black.

    shown: what an error calls the file; a place in a table says more than a name, and a file's
        name may hold a patient's id. Without it, the file's name.

    Raises:
        DataError: the file is missing, truncated, of another kind, or no single grey image.
    """
    name = shown or path.name
    try:
        content = path.read_bytes()
    except OSError as error:
        raise DataError(f"{name}: the image can't be read ({type(error).__name__})") from None
    if content[128:132] == b"DICM":
        return fitted(Image.fromarray(_read_dicom(content, name)), size)
    return fitted(_read_picture(content, name), size)


def _read_picture(content: bytes, name: str) -> Image.Image:
    """PNG or JPEG to an 8-bit grey image."""
    kind = next((kind for start, kind in _KINDS.items() if content.startswith(start)), None)
    if kind is None:
        raise DataError(f"{name}: is no image that can be read; expected PNG, JPEG or DICOM")
    try:
        # Not Image.open: its guard against huge images warns where this one refuses.
        with kind(io.BytesIO(content)) as image:
            _refuse_huge(image.width * image.height, name)
            image.load()
            return to_grey(image)
    except DataError:
        raise
    except Exception:  # Pillow's decoders raise OSError, SyntaxError, ValueError, zlib.error ...
        raise DataError(f"{name}: the image is truncated or damaged; copy it again") from None


def _refuse_huge(pixels: int, name: str) -> None:
    if pixels > MOST_PIXELS:
        raise DataError(
            f"{name}: the image has more than {MOST_PIXELS // 1_000_000} million pixels"
        )


def _read_dicom(content: bytes, name: str) -> Pixels:
    """One grey frame as 8 bits, white dense."""
    import pydicom
    from pydicom import config
    from pydicom.pixels import apply_modality_lut, apply_voi_lut

    # Remarks on odd header fields would quote them, and no field but those of the pixels is read.
    config.settings.reading_validation_mode = config.IGNORE
    try:
        dataset: Any = pydicom.dcmread(io.BytesIO(content))
        _refuse_unfit(dataset, name)
        values = apply_voi_lut(apply_modality_lut(_stored(dataset, name), dataset), dataset)
        pixels = windowed(np.asarray(values))
    except DataError:
        raise
    except Exception:  # pydicom raises as many kinds of errors as a header has fields
        raise DataError(
            f"{name}: the DICOM image is truncated or damaged; export it again"
        ) from None
    inverted = dataset.PhotometricInterpretation == "MONOCHROME1"
    return np.asarray(255 - pixels if inverted else pixels, dtype=np.uint8)


def _refuse_unfit(dataset: Any, name: str) -> None:
    if "PixelData" not in dataset:
        raise DataError(f"{name}: the DICOM file holds no image; export the image itself")
    frames = int(dataset.get("NumberOfFrames") or 1)
    if frames != 1:
        raise DataError(f"{name}: the DICOM file holds {frames} frames, expected a radiograph's 1")
    if dataset.SamplesPerPixel != 1 or not dataset.PhotometricInterpretation.startswith("MONO"):
        raise DataError(f"{name}: the DICOM image is in colour, expected MONOCHROME1 or 2")
    _refuse_huge(int(dataset.Rows) * int(dataset.Columns), name)


def _stored(dataset: Any, name: str) -> npt.NDArray[Any]:
    """The stored values (H, W)."""
    syntax = dataset.file_meta.TransferSyntaxUID
    try:
        return np.asarray(dataset.pixel_array)
    except (RuntimeError, NotImplementedError):  # pydicom: no decoder for it, or it failed
        if not syntax.is_compressed:
            raise
        raise DataError(
            f"{name}: the DICOM image is compressed as {syntax.name}, which can't be decoded "
            "here; export it uncompressed (Explicit VR Little Endian)"
        ) from None
