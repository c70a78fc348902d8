"""The picture that the model sees does not depend on the file it came in."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pydicom
import pytest
from PIL import Image
from pydicom.encaps import encapsulate
from pydicom.uid import (
    DeflatedExplicitVRLittleEndian,
    ExplicitVRBigEndian,
    ImplicitVRLittleEndian,
    JPEG2000Lossless,
    JPEGBaseline8Bit,
    RLELossless,
)

from client.images.files import load_image
from irene_model.inputs.pixels import Pixels
from tests.helpers.phantom import (
    CHEST,
    U8,
    U12,
    encoded,
    png_of_16_bits,
    table,
    write_dicom,
)

SIZE = 48
NEGATIVE = (4095 - U12).astype(np.uint16)
GREY = np.dstack([U8] * 3)
OPAQUE = np.full(U8.shape, 255, np.uint8)
YBR = {"SamplesPerPixel": 3, "PhotometricInterpretation": "YBR_FULL", "PlanarConfiguration": 0}
Write = Callable[[Path], object]


def dicom(values: Any = U12, **fields: Any) -> Write:
    return lambda path: write_dicom(path, values, **fields)


def picture(image: Image.Image, kind: str = "PNG", **options: Any) -> Write:
    return lambda path: path.write_bytes(encoded(image, kind, **options))


def deep(*channels: Any) -> Write:
    return lambda path: path.write_bytes(png_of_16_bits(np.dstack(channels)))


def turned(orientation: int, kind: str) -> Write:
    undo = {
        2: Image.Transpose.FLIP_LEFT_RIGHT,
        3: Image.Transpose.ROTATE_180,
        4: Image.Transpose.FLIP_TOP_BOTTOM,
        5: Image.Transpose.TRANSPOSE,
        6: Image.Transpose.ROTATE_90,
        7: Image.Transpose.TRANSVERSE,
        8: Image.Transpose.ROTATE_270,
    }[orientation]
    exif = Image.Exif()
    exif[0x0112] = orientation
    image = Image.fromarray(U8).transpose(undo)
    return picture(image, kind, exif=exif, **({"quality": 98} if kind == "JPEG" else {}))


def packed(path: Path, frame: bytes, syntax: Any, **fields: Any) -> None:
    write_dicom(path, U8, **fields)
    dataset = pydicom.dcmread(path)
    dataset.PixelData = encapsulate([frame])
    dataset["PixelData"].is_undefined_length = True
    dataset.file_meta.TransferSyntaxUID = syntax
    dataset.save_as(path)


def run_lengths(path: Path) -> None:
    dataset = pydicom.dcmread(write_dicom(path))
    dataset.compress(RLELossless)
    dataset.save_as(path)


def without_preamble(path: Path) -> None:
    content = write_dicom(path, syntax=ImplicitVRLittleEndian).read_bytes()
    path.write_bytes(content[144 + int.from_bytes(content[140:144], "little") :])


def says_jpeg_and_is_not(path: Path) -> None:
    content = write_dicom(path).read_bytes()
    at = content.index(b"\x02\x00\x10\x00UI")
    length = int.from_bytes(content[at + 6 : at + 8], "little")
    said = b"1.2.840.10008.1.2.4.70"
    group = int.from_bytes(content[140:144], "little") - length + len(said)
    content = (
        content[: at + 6] + len(said).to_bytes(2, "little") + said + content[at + 8 + length :]
    )
    path.write_bytes(content[:140] + group.to_bytes(4, "little") + content[144:])


def white_is_zero(values: Any) -> Write:
    """A TIFF whose photometric interpretation (tag 262) is 0, which Pillow does not write."""

    def write(path: Path) -> None:
        tag = b"\x06\x01\x03\x00\x01\x00\x00\x00"
        content = encoded(Image.fromarray(values), "TIFF")
        assert tag + b"\x01" in content
        path.write_bytes(content.replace(tag + b"\x01", tag + b"\x00"))

    return write


def palette(path: Path) -> None:
    levels = (np.arange(256) * 257).astype("<u2").tobytes()
    fields = {}
    for name in ("Red", "Green", "Blue"):
        fields[f"{name}PaletteColorLookupTableDescriptor"] = [256, 0, 16]
        fields[f"{name}PaletteColorLookupTableData"] = levels
    write_dicom(path, U8, PhotometricInterpretation="PALETTE COLOR", **fields)


def floats(path: Path) -> None:
    dataset = pydicom.dcmread(write_dicom(path))
    del dataset.PixelData
    dataset.BitsAllocated = 32
    dataset.FloatPixelData = CHEST.astype("<f4").tobytes()
    dataset.save_as(path)


CONTAINERS: dict[str, Write] = {
    "explicit": dicom(),
    "implicit": dicom(syntax=ImplicitVRLittleEndian),
    "big endian": dicom(syntax=ExplicitVRBigEndian),
    "deflated": dicom(syntax=DeflatedExplicitVRLittleEndian),
    "run lengths": run_lengths,
    "JPEG in DICOM": lambda p: packed(
        p, encoded(Image.fromarray(U8), "JPEG", quality=98), JPEGBaseline8Bit
    ),
    "JPEG 2000 in DICOM": lambda p: packed(
        p, encoded(Image.fromarray(U8), "JPEG2000", no_jp2=True), JPEG2000Lossless
    ),
    "no preamble": without_preamble,
    "raw, said to be JPEG": says_jpeg_and_is_not,
    "8 bits": dicom(U8),
    "10 bits": dicom((CHEST * 1023).round().astype(np.uint16), BitsStored=10),
    "16 bits": dicom((CHEST * 65535).astype(np.uint16), BitsStored=16),
    "32 bits": dicom(U12.astype(np.uint32) << 16),
    "floats": floats,
    "signed": dicom(U12.astype(np.int16) - 2000),
    "signed 12 of 16 bits": dicom(
        ((U12.astype(np.int16) - 2048) & 0x0FFF).astype(np.int16), BitsStored=12
    ),
    "MONOCHROME1": dicom(NEGATIVE, PhotometricInterpretation="MONOCHROME1"),
    "monochrome1, padded": dicom(NEGATIVE, PhotometricInterpretation="monochrome1 "),
    "inverse presentation": dicom(NEGATIVE, PresentationLUTShape="INVERSE"),
    "MONOCHROME1, inverse": dicom(
        NEGATIVE, PhotometricInterpretation="MONOCHROME1", PresentationLUTShape="INVERSE"
    ),
    "rescale": dicom(RescaleSlope=2.5, RescaleIntercept=-100),
    "negative rescale": dicom(NEGATIVE, RescaleSlope=-1, RescaleIntercept=4095),
    "empty rescale": dicom(RescaleSlope="", RescaleIntercept=""),
    "rescale by 0": dicom(RescaleSlope=0, RescaleIntercept=0),
    "modality table": dicom(ModalityLUTSequence=table(np.arange(4096) * 4)),
    "VOI table": dicom(VOILUTSequence=table(np.arange(4096) * 4)),
    "VOI table of signed": dicom(
        U12.astype(np.int16) - 2048, VOILUTSequence=table(np.arange(4096), first=65536 - 2048)
    ),
    "damaged VOI table": dicom(VOILUTSequence=table(np.arange(40))),
    "window": dicom(WindowCenter=2048, WindowWidth=4096),
    "windows, the first stale": dicom(WindowCenter=[40, 2048], WindowWidth=[80, 4096]),
    "stale window": dicom(WindowCenter=40, WindowWidth=80),
    "window of 8 bits": dicom(WindowCenter=127, WindowWidth=255),
    "window of no width": dicom(WindowCenter=0, WindowWidth=0),
    "empty window": dicom(WindowCenter="", WindowWidth=""),
    "odd function": dicom(WindowCenter=2048, WindowWidth=4096, VOILUTFunction="LOG"),
    "window after rescale": dicom(
        RescaleSlope=2, RescaleIntercept=-1000, WindowCenter=3096, WindowWidth=8192
    ),
    "too few bits stored": dicom(BitsStored=10),
    "too many bits stored": dicom(BitsStored=17),
    "overlay in a spare bit": dicom(U12 | (np.eye(120, 96, dtype=np.uint16) << 15)),
    "sparse header": dicom(SamplesPerPixel=None, BitsStored=None, PixelRepresentation=None),
    "too long": dicom(PixelData=U12.tobytes() + bytes(512)),
    "colours in DICOM": dicom(GREY, PhotometricInterpretation="RGB", PlanarConfiguration=0),
    "colours in JPEG in DICOM": lambda p: packed(
        p, encoded(Image.fromarray(GREY), "JPEG", quality=98), JPEGBaseline8Bit, **YBR
    ),
    "palette in DICOM": palette,
    "PNG": picture(Image.fromarray(U8)),
    "PNG, 16 bits": picture(Image.fromarray((CHEST * 65535).astype(np.uint16))),
    "PNG, 12 in 16 bits": picture(Image.fromarray(U12)),
    "TIFF, 32 bits": picture(Image.fromarray(U12.astype(np.int32)), "TIFF"),
    "PNG, colours": picture(Image.fromarray(GREY)),
    "PNG, palette": picture(Image.fromarray(U8).convert("P")),
    "PNG, opaque": picture(Image.fromarray(np.dstack([GREY, OPAQUE]))),
    "PNG, grey and opaque": picture(Image.fromarray(np.dstack([U8, OPAQUE]))),
    "PNG, 16-bit colours": deep(U12, U12, U12),
    "PNG, 16-bit colours, opaque": deep(U12, U12, U12, np.full_like(U12, 65535)),
    "PNG, 16-bit grey, opaque": deep(U12, np.full_like(U12, 65535)),
    "JPEG": picture(Image.fromarray(U8), "JPEG", quality=98),
    "JPEG, CMYK": picture(Image.fromarray(GREY).convert("CMYK"), "JPEG", quality=98),
    "JPEG 2000": picture(Image.fromarray(U8), "JPEG2000"),
    "JPEG 2000, 16 bits": picture(Image.fromarray(U12 << 4), "JPEG2000"),
    "TIFF": picture(Image.fromarray(U8), "TIFF"),
    "TIFF, 12 in 16 bits": picture(Image.fromarray(U12), "TIFF", compression="tiff_lzw"),
    "TIFF, floats": picture(Image.fromarray(CHEST.astype(np.float32)), "TIFF"),
    "TIFF, white is zero": white_is_zero(255 - U8),
    "TIFF, white is zero in 16 bits": white_is_zero((4095 - U12).astype(np.uint16)),
    "TIFF, white is zero in floats": white_is_zero((1 - CHEST).astype(np.float32)),
    "TIFF, turned": turned(6, "TIFF"),
    "BMP": picture(Image.fromarray(U8), "BMP"),
    **{f"EXIF {o} in PNG": turned(o, "PNG") for o in range(2, 9)},
    "EXIF 6 in JPEG": turned(6, "JPEG"),
}


@pytest.fixture(scope="module")
def expected(tmp_path_factory: pytest.TempPathFactory) -> Pixels:
    path = tmp_path_factory.mktemp("reference") / "a.png"
    Image.fromarray(U8).save(path)
    return load_image(path, SIZE)


@pytest.mark.parametrize("name", CONTAINERS)
def test_one_chest_is_one_square(name: str, tmp_path: Path, expected: Pixels) -> None:
    CONTAINERS[name](tmp_path / "a")
    apart = np.abs(load_image(tmp_path / "a", SIZE).astype(int) - expected)
    # JPEG's own losses come on top; shifts and wrong polarity are tens and hundreds.
    assert apart.max() <= (4 if "JPEG" in name else 2)


def test_the_square_is_that_of_the_formula(expected: Pixels) -> None:
    low, high = np.percentile(U8.astype(float), (1, 99))
    grey = ((U8 - low) / (high - low) * 255).clip(0, 255).round().astype(np.uint8)
    inner = np.asarray(Image.fromarray(grey).resize((38, 48), Image.Resampling.BILINEAR))
    np.testing.assert_array_equal(expected[:, 5:43], inner)
    assert not expected[:, :5].any() and not expected[:, 43:].any()


def padded(values: Any, with_value: int) -> Any:
    wide = np.full((120, 96 + 40), with_value, values.dtype)
    wide[:, 20:-20] = values
    return wide


@pytest.mark.parametrize(
    "write",
    [
        dicom(padded(U12, 65535), PixelPaddingValue=65535, BitsStored=16),
        dicom(padded(U12, 65535), PixelPaddingValue=65535),
        dicom(padded(U12 + np.uint16(9), 0), PixelPaddingValue=0),
        dicom(
            padded(NEGATIVE + np.uint16(9), 0),
            PixelPaddingValue=0,
            PhotometricInterpretation="MONOCHROME1",
        ),
        dicom(padded(U12.astype(np.int16), -2000), PixelPaddingValue=-2000),
        dicom(
            padded(U12, 5000), PixelPaddingValue=4990, PixelPaddingRangeLimit=5010, BitsStored=16
        ),
        picture(Image.fromarray(np.dstack([padded(U8, 255), padded(OPAQUE, 0)]))),
        picture(Image.fromarray(np.dstack([*[padded(U8, 255)] * 3, padded(OPAQUE, 0)]))),
        picture(Image.fromarray(padded(np.maximum(U8, 1), 0)), transparency=0),
        deep(padded(U12, 65535), padded(np.full_like(U12, 65535), 0)),
    ],
)
def test_padding_has_no_part_in_the_contrast_and_is_black(write: Write, tmp_path: Path) -> None:
    write(tmp_path / "a")
    picture(Image.fromarray(U8))(tmp_path / "b")
    loaded, alone = load_image(tmp_path / "a", 136), load_image(tmp_path / "b", 120)
    assert not loaded[:, :20].any() and not loaded[:, -20:].any()
    inner = loaded[8:128, 20:-20].astype(int)
    assert np.abs(inner - alone[:, 12:108]).max() <= 2


@pytest.mark.parametrize(
    "write",
    [
        *(dicom(U12[:, ::2], **{k: [0.1, 0.2]}) for k in ("PixelSpacing", "ImagerPixelSpacing")),
        dicom(U12[:, ::2], PixelAspectRatio=[1, 2]),
        dicom(U12[:, ::2], PixelSpacing=[0, 0], PixelAspectRatio=[1, 2]),
        picture(Image.fromarray(U8[:, ::2].copy()), dpi=(100, 200)),
        picture(Image.fromarray(U8[:, ::2].copy()), "TIFF", dpi=(100, 200)),
    ],
)
def test_oblong_pixels_keep_the_shape_of_the_chest(
    write: Write, tmp_path: Path, expected: Pixels
) -> None:
    write(tmp_path / "a")
    loaded = load_image(tmp_path / "a", SIZE)
    # Every second column was thrown away, so that edges differ a little.
    assert np.corrcoef(loaded.ravel(), expected.ravel())[0, 1] > 0.995


@pytest.mark.parametrize("spacing", [[0.1, 5], [-1, 1], [0.1], ""])
def test_impossible_spacings_are_passed_over(
    spacing: Any, tmp_path: Path, expected: Pixels
) -> None:
    write_dicom(tmp_path / "a", PixelSpacing=spacing)
    assert np.abs(load_image(tmp_path / "a", SIZE).astype(int) - expected).max() <= 2
