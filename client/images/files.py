"""A radiograph's file to the grey square that the model reads, with what its header says.

DICOM, and the pictures below. What they hold becomes levels, and these go one way whatever file
they came in: see `irene_model.inputs.pixels`.
"""

import errno
import io
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from PIL import Image
from PIL.BmpImagePlugin import BmpImageFile
from PIL.Jpeg2KImagePlugin import Jpeg2KImageFile
from PIL.JpegImagePlugin import JpegImageFile
from PIL.PngImagePlugin import PngImageFile
from PIL.TiffImagePlugin import TiffImageFile

from client.images.dicom_file import is_dicom, read_dataset
from client.images.dicom_grey import levels_of_dicom
from client.images.headers import HeaderFacts, facts_of
from client.images.names import why_missing
from client.images.problems import MOST_BYTES, MOST_PIXELS, ImageProblem, refuse_huge
from irene_model.errors import DataError
from irene_model.inputs import Levels, NoPicture, Pixels, levels_of_picture, square_and_shades

_KINDS: dict[bytes, type[Image.Image]] = {
    b"\x89PNG\r\n\x1a\n": PngImageFile,
    b"\xff\xd8\xff": JpegImageFile,
    b"II\x2a\x00": TiffImageFile,
    b"MM\x00\x2a": TiffImageFile,
    b"BM": BmpImageFile,
    b"\x00\x00\x00\x0cjP  \r\n\x87\n": Jpeg2KImageFile,
    b"\xff\x4f\xff\x51": Jpeg2KImageFile,
}
_OTHERS = {
    b"GIF8": "a GIF",
    b"RIFF": "a WebP or another RIFF file",
    b"%PDF": "a PDF",
    b"PK\x03\x04": "a zip archive",
    b"\x1f\x8b": "compressed by gzip",
    b"<": "a web page or XML, perhaps of a login",
    b"version https://git-lfs": "a pointer of Git LFS; fetch the file itself",
    b"\x00\x05\x16\x07": "a companion file of macOS; name the file without ._",
}
_EXPECTED = "expected PNG, JPEG, JPEG 2000, TIFF, BMP or DICOM"


@dataclass(frozen=True, kw_only=True)
class Radiograph:
    """pixels: the square (size, size), 0 black. header: None for a picture. coloured: it was.

    shades: how many of 32 shades of grey hold nearly all of its pixels as they are stored.
    enlarged: both of its sides are shorter than the square's.
    """

    pixels: Pixels
    shades: int
    enlarged: bool
    header: HeaderFacts | None
    coloured: bool


def load_image(
    path: Path, size: int, *, shown: str | None = None, most_pixels: int = MOST_PIXELS
) -> Pixels:
    """The square (size, size) of one file, 0 black.

    shown: what an error calls the file; a place in a table says more than a name, and a file's
        name may hold a patient's id. Without it, the file's name.

    Raises:
        DataError: the file is missing, truncated, of another kind, or no single radiograph.
    """
    try:
        with quiet():
            return read_radiograph(path, size, most_pixels).pixels
    except ImageProblem as problem:
        raise DataError(f"{shown or path.name}: {problem}") from None


def read_radiograph(path: Path, size: int, most_pixels: int = MOST_PIXELS) -> Radiograph:
    """One file, read in the quiet of the caller; an ImageProblem says why it can't be."""
    content = _read(path)
    header: HeaderFacts | None = None
    if is_dicom(content):
        levels, header = _levels_of_dicom(content, most_pixels)
    else:
        levels = _levels_of_picture(content, most_pixels)
    pixels, shades = square_and_shades(levels, size)
    return Radiograph(
        pixels=pixels,
        shades=shades,
        enlarged=max(levels.values.shape) < size,
        header=header,
        coloured=levels.coloured,
    )


@contextmanager
def quiet() -> Iterator[None]:
    """Without the warnings of Pillow and pydicom, which quote a file's fields. Not by thread."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


def _read(path: Path) -> bytes:
    try:
        if path.is_dir():
            raise ImageProblem("is a folder, expected an image's file")
        if path.exists() and not path.is_file():  # reading a pipe would wait for ever
            raise ImageProblem("is a pipe, a socket or a device, expected an image's file")
        if path.stat().st_size > MOST_BYTES:
            raise ImageProblem(f"the file is larger than {MOST_BYTES >> 30} GiB")
        content = path.read_bytes()
    except (FileNotFoundError, NotADirectoryError, ValueError):  # ValueError: a NUL in its name
        raise ImageProblem(why_missing(path)) from None
    except OSError as error:
        if error.errno == errno.ENAMETOOLONG:
            raise ImageProblem("has a longer name than a file can have; see the cell") from None
        raise ImageProblem(f"the image can't be read ({type(error).__name__})") from None
    if not content:
        raise ImageProblem("the file is empty; copy it again")
    return content


def _levels_of_dicom(content: bytes, most_pixels: int) -> tuple[Levels, HeaderFacts]:
    dataset = read_dataset(io.BytesIO(content), most_pixels=most_pixels)
    try:
        return levels_of_dicom(dataset, most_pixels), facts_of(dataset)
    except ImageProblem:
        raise
    except Exception:  # a damaged header may contradict itself in more ways than are foreseen
        raise ImageProblem("the DICOM header contradicts itself; export the image again") from None


def _levels_of_picture(content: bytes, most_pixels: int) -> Levels:
    kind = next((kind for start, kind in _KINDS.items() if content.startswith(start)), None)
    if kind is None:
        start = content[:64].lstrip(b"\xef\xbb\xbf \r\n\t")
        other = next((name for sign, name in _OTHERS.items() if start.startswith(sign)), None)
        raise ImageProblem(f"is {other or 'no image that can be read'}; {_EXPECTED}")
    try:
        # Not Image.open: its guard against huge images warns where this one refuses.
        with kind(io.BytesIO(content)) as image:  # type: ignore[call-arg]
            refuse_huge(image.height, image.width, most_pixels)
            return levels_of_picture(image)
    except ImageProblem:
        raise
    except NoPicture as problem:
        raise ImageProblem(f"the image {problem}") from None
    except Exception:  # Pillow's decoders raise OSError, SyntaxError, ValueError, zlib.error ...
        raise ImageProblem("the image is truncated or damaged; copy it again") from None
