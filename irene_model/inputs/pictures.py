"""A picture as Pillow opens it (PNG, JPEG, TIFF, ...) to levels, with what its kind says of them.

Orientation (EXIF), transparency, palettes, colours and oblong pixels are obeyed. Of 16-bit colours
Pillow keeps the upper byte alone, which is nearly nothing of 12 bits in 16: a PNG is decoded twice,
once for each byte, and other kinds are refused.
"""

import io
import math
from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image, UnidentifiedImageError
from PIL.PngImagePlugin import PngImageFile

from irene_model.inputs.pixels import Levels, Mask, NoPicture, Values, aspect_of, from_channels

_DEEP_MODES = ("I", "F", "I;16", "I;16B", "I;16L", "I;16N")
_GREY_MODES = ("1", "L", *_DEEP_MODES)
_ORIENTATION, _BITS_PER_SAMPLE, _PHOTOMETRIC = 0x0112, 258, 262
# EXIF's orientations as what undoes them: turned by so many quarters (anti-clockwise), mirrored.
_UNDONE = {2: (0, True), 3: (2, False), 4: (2, True), 5: (3, True), 6: (3, False), 7: (1, True)}
_UNDONE |= {8: (1, False)}
# 16-bit kinds of a PNG -> how Pillow's unpackers give the upper and the lower byte of each number.
_BYTES_OF = {"RGB;16B": ("RGB;16B", "RGB;16L"), "RGBA;16B": ("RGBA;16B", "RGBA;16L")}
_GREY_ALPHA_16 = "LA;16B"


def levels_of_picture(image: Image.Image) -> Levels:
    """The levels of a picture, opened and maybe loaded.

    Raises:
        NoPicture: it is none that can be a radiograph. Pillow's decoders raise what they like.
    """
    if getattr(image, "n_frames", 1) != 1:
        raise NoPicture("holds several frames or pages, expected a radiograph's one")
    aspect = _aspect(image)  # before the orientation turns it
    channels = _deep_colours(image)
    if channels is None:
        _refuse_deep_colours(image)
        image.load()
        channels = _channels(image)
    white_is_zero = image.mode in _DEEP_MODES and _tags(image).get(_PHOTOMETRIC) == 0
    values, real, coloured = _grey(channels, image.info.get("transparency"))
    quarters, mirrored = _UNDONE.get(_orientation(image), (0, False))
    return Levels(
        # Pillow turns a TIFF's 8 bits over itself, and no others.
        values=_undone(-values if white_is_zero else values, quarters, mirrored),
        real=None if real is None else _undone(real, quarters, mirrored),
        aspect=1 / aspect if quarters % 2 else aspect,
        coloured=coloured,
    )


def _channels(image: Image.Image) -> npt.NDArray[Any]:
    """(H,W), or (H,W,C) with C of grey and alpha, three colours, or three colours and alpha."""
    if image.mode in _GREY_MODES:
        return np.asarray(image)
    if image.mode in ("P", "PA", "RGBA", "RGBa"):
        return np.asarray(image.convert("RGBA"))
    if image.mode in ("LA", "La"):
        return np.asarray(image.convert("LA"))
    try:
        return np.asarray(image.convert("RGB"))
    except ValueError:
        raise NoPicture("has colours of a kind that can't be read; export it as grey") from None


def _grey(channels: npt.NDArray[Any], key: object) -> tuple[Values, Mask | None, bool]:
    """Brightness (H,W), which pixels can be seen, and whether there is colour."""
    real: Mask | None = None
    if channels.ndim == 3 and channels.shape[2] in (2, 4):
        real, channels = channels[..., -1] > 0, channels[..., :-1]
        if channels.shape[2] == 1:
            channels = channels[..., 0]
    elif isinstance(key, int) and channels.ndim == 2:
        real = channels != key
    elif isinstance(key, tuple) and channels.ndim == 3:
        real = (channels != np.asarray(key)).any(axis=2)
    if real is not None and not real.any():
        raise NoPicture("is transparent all over; export it without transparency")
    coloured = False
    if channels.ndim == 3:
        values, coloured = from_channels(channels)
    else:
        values = np.asarray(channels, dtype=np.float32)
    return values, None if real is None or real.all() else real, coloured


def _deep_colours(image: Image.Image) -> npt.NDArray[np.uint16] | None:
    """All 16 bits of a PNG's colours (H,W,C); None for any other picture.

    The file of `image` is read again from its start and put back where it was.
    """
    if not isinstance(image, PngImageFile) or not image.tile or image.fp is None:
        return None
    kind = image.tile[0].args
    if kind != _GREY_ALPHA_16 and kind not in _BYTES_OF:
        return None
    here = image.fp.tell()
    image.fp.seek(0)
    content = image.fp.read()
    image.fp.seek(here)
    if kind == _GREY_ALPHA_16:  # four bytes a pixel, as RGBA has
        four = _decoded(content, "RGBA")
        return four[..., 0::2] * np.uint16(256) + four[..., 1::2]
    upper, lower = (_decoded(content, each) for each in _BYTES_OF[str(kind)])
    return upper * np.uint16(256) + lower


def _decoded(content: bytes, unpacker: str) -> npt.NDArray[np.uint16]:
    image = PngImageFile(io.BytesIO(content))
    image.tile = [image.tile[0]._replace(args=unpacker)]
    image.load()
    return np.asarray(image).astype(np.uint16)


def _refuse_deep_colours(image: Image.Image) -> None:
    bits = _tags(image).get(_BITS_PER_SAMPLE, ())
    if len(bits) > 1 and max(bits) > 8:
        raise NoPicture("has 16 bits a colour, which are read of PNG alone; export it as grey")


def _tags(image: Image.Image) -> Mapping[int, Any]:
    """A TIFF's; none of any other picture."""
    return getattr(image, "tag_v2", {})


def _orientation(image: Image.Image) -> int:
    try:
        return int(image.getexif().get(_ORIENTATION, 1))
    except (OSError, ValueError, TypeError, SyntaxError, KeyError, UnidentifiedImageError):
        return 1  # a camera's remarks may be damaged where the picture is not


def _aspect(image: Image.Image) -> float:
    """From dots an inch, or the bare ratio that PNG and JFIF may give instead."""
    density = next(
        (image.info[key] for key in ("dpi", "aspect", "jfif_density") if key in image.info), None
    )
    try:
        across, down = (float(each) for each in density or ())
    except (TypeError, ValueError, ZeroDivisionError):
        return 1.0
    aspect = aspect_of(across, down)
    # Dots an inch are rounded: 300 and 299.9994 are the same.
    return 1.0 if math.isclose(aspect, 1, rel_tol=0.01) else aspect


def _undone(plane: npt.NDArray[Any], quarters: int, mirrored: bool) -> npt.NDArray[Any]:
    turned = np.rot90(plane, quarters)
    return np.ascontiguousarray(turned[:, ::-1] if mirrored else turned)
