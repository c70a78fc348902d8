"""JPEG Lossless, JPEG-LS and JPEG of 12 bits to stored values, by the optional extra `codecs`.

Pillow reads neither, and pydicom's other plug-ins are under the GPL, or end the process at a
damaged file. So a stream's own header is compared with DICOM's, and its end is looked for, before
the decoder gets it: what it writes is then bounded, and a file that was cut off does not keep it.
"""

from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from client.images.problems import ImageProblem

INSTALL = "pip install 'federated-irene[codecs]'"
_EXTENDED = "1.2.840.10008.1.2.4.51"
_DECODERS = {  # transfer syntax -> the function of imagecodecs
    _EXTENDED: "jpeg8_decode",
    "1.2.840.10008.1.2.4.57": "jpeg8_decode",
    "1.2.840.10008.1.2.4.70": "jpeg8_decode",
    "1.2.840.10008.1.2.4.80": "jpegls_decode",
    "1.2.840.10008.1.2.4.81": "jpegls_decode",
}
_START, _END = b"\xff\xd8", b"\xff\xd9"
_NO_FRAME = (0xC4, 0xC8, 0xCC)  # tables and an extension, amid the frames' markers C0 to CF
_OF_JPEG_LS = 0xF7
_SAMPLES = {8: np.uint8, 16: np.uint16, 32: np.uint32}


class Frame(NamedTuple):
    """What a JPEG stream says of itself: bits of a sample, rows, columns, samples of a pixel."""

    bits: int
    rows: int
    columns: int
    samples: int


def needs_codecs(syntax: Any, stored_bits: int) -> bool:
    """Whether a transfer syntax is one of those here; Extended JPEG of 8 bits is Pillow's."""
    return str(syntax) in _DECODERS and not (str(syntax) == _EXTENDED and stored_bits <= 8)


def decoded_grey(
    stream: bytes, syntax: Any, *, rows: int, columns: int, bits: int, signed: bool
) -> npt.NDArray[Any]:
    """The grey values (H,W) of one frame, in `bits` as the header allocates them.

    Raises:
        ImageProblem: the extra is not installed, the stream is cut off, damaged, in colour, or of
            another size or depth than the header says.
    """
    try:
        import imagecodecs
    except ImportError:
        raise ImageProblem(
            f"the DICOM image is compressed as {syntax.name}, which an extra decodes: {INSTALL}; "
            "or export it uncompressed (Explicit VR Little Endian)"
        ) from None
    stream = stream.rstrip(b"\0")
    frame = frame_of(stream) if stream.endswith(_END) else None
    if frame is None:
        raise ImageProblem(
            f"the DICOM image's stream ({syntax.name}) is cut off or damaged; export it again"
        )
    if frame.samples != 1:
        raise ImageProblem(
            f"the DICOM image's stream ({syntax.name}) is in colour, expected grey; export it as "
            "MONOCHROME2"
        )
    if (frame.rows, frame.columns) != (rows, columns) or frame.bits > bits:
        raise ImageProblem(
            f"the DICOM image's stream ({syntax.name}) is of another size or depth than Rows, "
            "Columns and BitsAllocated say; export it again"
        )
    values = np.empty((rows, columns), np.uint8 if frame.bits <= 8 else np.uint16)
    try:
        getattr(imagecodecs, _DECODERS[str(syntax)])(stream, out=values)
    except Exception:  # each codec has errors of its own
        raise ImageProblem(
            f"the DICOM image's stream ({syntax.name}) is damaged; export it again"
        ) from None
    whole = values.astype(_SAMPLES[bits])
    return whole.view(f"i{bits // 8}") if signed else whole


def frame_of(stream: bytes) -> Frame | None:
    """The first frame's header (ISO/IEC 10918-1 B.2.2), if the stream gets so far."""
    at = len(_START) if stream.startswith(_START) else len(stream)
    while at + 10 <= len(stream) and stream[at] == 0xFF:
        marker = stream[at + 1]
        if marker == 0xFF:  # filling
            at += 1
        elif marker == _OF_JPEG_LS or (0xC0 <= marker <= 0xCF and marker not in _NO_FRAME):
            body = stream[at + 4 :]
            return Frame(
                bits=body[0],
                rows=int.from_bytes(body[1:3]),
                columns=int.from_bytes(body[3:5]),
                samples=body[5],
            )
        else:
            at += 2 + int.from_bytes(stream[at + 2 : at + 4])
    return None
