"""A DICOM file to pydicom's Dataset, however it was written, and its fields, however filled.

Exporters leave out preambles and transfer syntaxes, pad words and leave numbers empty. What other
readers pass over is passed over here.
"""

import io
import math
import zlib
from collections.abc import Sequence
from typing import Any, BinaryIO

from client.images.problems import MOST_PIXELS, ImageProblem

_MAGIC, _MAGIC_AT = b"DICM", 128
_META_LENGTH_ENDS = 144  # magic, then (0002,0000) with the length of what follows
_DEFLATED = b"1.2.840.10008.1.2.1.99"
_MOST_DEFLATED = 64  # a radiograph is never 64 times its deflated size
_SMALL_DEFLATED = 32 << 20
_PIXEL_BYTES = 4


def is_dicom(start: bytes) -> bool:
    """Whether a file that starts so (132 bytes or more) is DICOM, with a preamble or without."""
    if start[_MAGIC_AT : _MAGIC_AT + 4] == _MAGIC:
        return True
    # Without a preamble the first element is of group 2 or 8, and its number is below 0x100.
    return start[:2] in (b"\x02\x00", b"\x08\x00") and start[3:4] == b"\x00"


def read_dataset(file: BinaryIO, *, pixels: bool = True, most_pixels: int = MOST_PIXELS) -> Any:
    """The dataset of an open file, lazily parsed; without its pixels where only facts are asked.

    Raises:
        ImageProblem: it is deflated beyond all measure, cut off or no DICOM.
    """
    import pydicom
    from pydicom import config

    # Remarks on odd header fields would quote them, and all that is read is judged here.
    config.settings.reading_validation_mode = config.IGNORE
    start = file.read(_META_LENGTH_ENDS)
    body = _META_LENGTH_ENDS + int.from_bytes(start[_META_LENGTH_ENDS - 4 :], "little")
    meta = start
    if start[_MAGIC_AT : _MAGIC_AT + 4] == _MAGIC and body < 1 << 16:
        meta += file.read(body - _META_LENGTH_ENDS)
    if _DEFLATED in meta:
        file = io.BytesIO(_inflated(file.read(), most_pixels))
    file.seek(0)
    try:
        dataset = pydicom.dcmread(file, stop_before_pixels=not pixels, force=True)
    except Exception:  # pydicom raises as many kinds of errors as a file has bytes
        raise ImageProblem(
            "the DICOM file is cut off or damaged; copy or export it again"
        ) from None
    if not len(dataset):
        raise ImageProblem("the DICOM file is cut off after its first lines; copy it again")
    return dataset


def word(dataset: Any, keyword: str) -> str:
    """A field's first word in capitals, without padding; empty if absent or unreadable."""
    words = words_of(dataset, keyword)
    return words[0] if words else ""


def words_of(dataset: Any, keyword: str) -> tuple[str, ...]:
    """All words of a field, as `word`."""
    return tuple(str(each).strip(" \0").upper() for each in _values(dataset, keyword))


def numbers(dataset: Any, keyword: str) -> tuple[float, ...]:
    """A field's numbers; empty if it is absent, empty, unreadable or holds any that is none."""
    found = []
    for value in _values(dataset, keyword):
        try:
            number = float(value)
        except (TypeError, ValueError, OverflowError):
            return ()
        if not math.isfinite(number):
            return ()
        found.append(number)
    return tuple(found)


def number(dataset: Any, keyword: str) -> float | None:
    """The first of a field's numbers, if there is one."""
    found = numbers(dataset, keyword)
    return found[0] if found else None


def is_filled(dataset: Any, keyword: str) -> bool:
    """Whether a field is there and holds anything."""
    return any(str(each).strip(" \0") for each in _values(dataset, keyword))


def items(dataset: Any, keyword: str) -> Sequence[Any]:
    """A sequence's items; none if it is absent or damaged."""
    try:
        return tuple(dataset.get(keyword) or ())
    except Exception:
        return ()


def _values(dataset: Any, keyword: str) -> tuple[Any, ...]:
    from pydicom.multival import MultiValue

    try:
        value = dataset.get(keyword)
    except Exception:  # a field is parsed when it is first asked for
        return ()
    if value is None:
        return ()
    return tuple(value) if isinstance(value, MultiValue | list | tuple) else (value,)


def _inflated(deflated: bytes, most_pixels: int) -> bytes:
    """Unpacked up to what a radiograph can come to: a few bytes may unpack to all memory."""
    likely = max(_SMALL_DEFLATED, _MOST_DEFLATED * len(deflated))
    most = min(likely, _SMALL_DEFLATED + _PIXEL_BYTES * most_pixels)
    unpacker = zlib.decompressobj(-zlib.MAX_WBITS)
    try:
        found = unpacker.decompress(deflated, most)
    except zlib.error:
        raise ImageProblem("the DICOM file is deflated and damaged; copy it again") from None
    if unpacker.unconsumed_tail:
        raise ImageProblem(
            "the DICOM file unpacks to far more than a radiograph's size; export it uncompressed"
        )
    return found
