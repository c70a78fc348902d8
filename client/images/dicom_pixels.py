"""A DICOM file's stored values: what the header says of them, and the numbers themselves."""

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from client.images.dicom_file import is_filled, number, word
from client.images.jpeg_codecs import decoded_grey, needs_codecs
from client.images.problems import ImageProblem, refuse_huge

GREY = ("MONOCHROME1", "MONOCHROME2")
PALETTE = "PALETTE COLOR"
_COLOURS = ("RGB", "YBR_FULL", "YBR_FULL_422", "YBR_ICT", "YBR_RCT")
_FLOATS = {"FloatPixelData": 32, "DoubleFloatPixelData": 64}
_DEPTHS = (8, 16, 32)
_LEAST_BITS = 1


@dataclass(frozen=True, kw_only=True)
class Layout:
    """How the values of one frame are stored.

    keyword: the field that holds them. stored_bits: of `bits` allocated, as the header says.
    """

    keyword: str
    rows: int
    columns: int
    samples: int
    photometric: str
    bits: int
    stored_bits: int
    signed: bool
    planar: int

    @property
    def size(self) -> int:
        """Bytes of an uncompressed frame."""
        samples: float = 2 if self.photometric == "YBR_FULL_422" else self.samples
        return math.ceil(self.rows * self.columns * samples * self.bits / 8)


def layout_of(dataset: Any, most_pixels: int) -> Layout:
    """What the header says, or an ImageProblem that names the field."""
    keyword = next((each for each in ("PixelData", *_FLOATS) if each in dataset), None)
    if keyword is None:
        raise ImageProblem("the DICOM file holds no image (PixelData); export the image itself")
    rows, columns = (_side(dataset, each) for each in ("Rows", "Columns"))
    refuse_huge(rows, columns, most_pixels)
    if (number(dataset, "NumberOfFrames") or 1) != 1:
        raise ImageProblem(
            "the DICOM file holds several frames (NumberOfFrames), expected a radiograph's one"
        )
    photometric, samples = _colours(dataset)
    bits = _FLOATS.get(keyword) or int(number(dataset, "BitsAllocated") or 0)
    if keyword == "PixelData" and bits not in _DEPTHS:
        raise ImageProblem(
            "the DICOM field BitsAllocated is missing or none of 8, 16 and 32; export it again"
        )
    stored = int(number(dataset, "BitsStored") or bits)
    return Layout(
        keyword=keyword,
        rows=rows,
        columns=columns,
        samples=samples,
        photometric=photometric,
        bits=bits,
        stored_bits=stored if _LEAST_BITS <= stored <= bits else bits,
        signed=number(dataset, "PixelRepresentation") == 1,
        planar=int(number(dataset, "PlanarConfiguration") or 0),
    )


def stored_values(dataset: Any, layout: Layout) -> npt.NDArray[Any]:
    """The values (H,W), or red, green and blue (H,W,3), before anything that the header asks for.

    Bits beyond BitsStored are kept: whether they are values or an overlay is judged by looking.
    """
    from pydicom.pixels import get_decoder

    data, syntax = _data(dataset, layout)
    if syntax.is_encapsulated and needs_codecs(syntax, layout.stored_bits):
        return _by_codecs(data, syntax, layout)
    depth = {} if layout.keyword != "PixelData" else _depth(layout, compressed=syntax.is_compressed)
    try:
        decoder = get_decoder(syntax)
        values, _ = decoder.as_array(
            data,
            index=0,
            correct_unused_bits=False,
            rows=layout.rows,
            columns=layout.columns,
            number_of_frames=1,
            samples_per_pixel=layout.samples,
            photometric_interpretation=layout.photometric,
            planar_configuration=layout.planar,
            bits_allocated=layout.bits,
            pixel_keyword=layout.keyword,
            pixel_vr=dataset[layout.keyword].VR,
            **depth,
        )
    except Exception:  # no decoder for it, or one that failed in its own way
        if syntax.is_encapsulated:
            raise ImageProblem(
                f"the DICOM image is compressed as {syntax.name}, which can't be decoded here; "
                "export it uncompressed (Explicit VR Little Endian)"
            ) from None
        raise ImageProblem(
            "the DICOM image's PixelData does not agree with its header; export it again"
        ) from None
    return np.asarray(values)


def _by_codecs(data: bytes, syntax: Any, layout: Layout) -> npt.NDArray[Any]:
    from pydicom.encaps import get_frame

    if layout.samples != 1:
        raise ImageProblem(
            f"the DICOM image is in colour ({layout.photometric}) and compressed as {syntax.name}; "
            "radiographs are grey: export it as MONOCHROME2, or uncompressed"
        )
    try:
        stream = get_frame(data, 0, number_of_frames=1)
    except Exception:  # the fragments' lengths contradict one another
        raise ImageProblem(
            "the DICOM field PixelData is cut off or damaged; export it again"
        ) from None
    return decoded_grey(
        stream,
        syntax,
        rows=layout.rows,
        columns=layout.columns,
        bits=layout.bits,
        signed=layout.signed,
    )


def _depth(layout: Layout, *, compressed: bool) -> dict[str, int]:
    # A compressed stream has a depth of its own, which is compared with what is said here.
    bits = layout.stored_bits if compressed else layout.bits
    return {"bits_stored": bits, "pixel_representation": int(layout.signed)}


def _data(dataset: Any, layout: Layout) -> tuple[bytes, Any]:
    """The bytes of the frame and how they are encoded."""
    element = dataset[layout.keyword]
    data, packed = bytes(element.value or b""), bool(element.is_undefined_length)
    if not data:
        raise ImageProblem("the DICOM field PixelData is empty; export the image itself")
    syntax = _syntax(dataset, packed=packed)
    if packed:
        return data, syntax
    if len(data) < layout.size:
        raise ImageProblem(
            "the DICOM field PixelData is shorter than Rows, Columns and BitsAllocated ask for: "
            "the file is cut off or its header wrong; export it again"
        )
    return data[: layout.size], syntax


def _syntax(dataset: Any, *, packed: bool) -> Any:
    """The transfer syntax; for bare values that of the file's other fields, whatever is said."""
    from pydicom.uid import (
        UID,
        ExplicitVRBigEndian,
        ExplicitVRLittleEndian,
        ImplicitVRLittleEndian,
    )

    said = str(getattr(dataset, "file_meta", {}).get("TransferSyntaxUID", None) or "")
    syntax = UID(said.strip(" \0"))
    if packed:
        if not syntax.is_transfer_syntax or not syntax.is_encapsulated:
            raise ImageProblem(
                "the DICOM image is compressed and its TransferSyntaxUID does not say how; "
                "export it again"
            )
        return syntax
    implicit, little = dataset.original_encoding
    if little is False:
        return ExplicitVRBigEndian
    return ImplicitVRLittleEndian if implicit else ExplicitVRLittleEndian


def _side(dataset: Any, keyword: str) -> int:
    found = number(dataset, keyword)
    if found is None or found < 1:
        raise ImageProblem(f"the DICOM field {keyword} is missing or 0; export it again")
    return int(found)


def _colours(dataset: Any) -> tuple[str, int]:
    """The photometric interpretation and the samples of a pixel that it comes with."""
    said = word(dataset, "PhotometricInterpretation")
    if not said:
        raise ImageProblem(
            "the DICOM field PhotometricInterpretation is missing or empty, so that nobody can "
            "say whether white is dense; export it again"
        )
    if said not in (*GREY, PALETTE, *_COLOURS):
        raise ImageProblem(
            "the DICOM field PhotometricInterpretation is none of MONOCHROME1, MONOCHROME2, "
            f"PALETTE COLOR, {', '.join(_COLOURS)}; export it as grey"
        )
    samples = 3 if said in _COLOURS else 1
    if is_filled(dataset, "SamplesPerPixel") and number(dataset, "SamplesPerPixel") != samples:
        raise ImageProblem(
            "the DICOM fields SamplesPerPixel and PhotometricInterpretation contradict each other; "
            "export it again"
        )
    return said, samples
