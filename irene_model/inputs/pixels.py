"""A radiograph of any size and depth to the grey square that the model reads: the one way there is.

Whatever a file is, it becomes `Levels` first. Then the levels are stretched between their 1st and
99th percentile, whatever their depth: detectors and exports differ in range, 12 bits may lie in 16,
and a burnt-in marker must not set the contrast. Padding has no part in it and is black. The image
keeps its aspect: it is fitted into the square and the rest is black, so that no lung is cut off.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from PIL import Image

Pixels = npt.NDArray[np.uint8]
Values = npt.NDArray[np.float32]
Mask = npt.NDArray[np.bool_]
STRETCH_PERCENT = (1.0, 99.0)
_BLACK_WHITE = 255.0
_ODDEST_ASPECT = 4.0  # a pixel four times as high as wide is a slip in a header
_LUMA = np.array([0.299, 0.587, 0.114], dtype=np.float32)  # ITU-R BT.601, as Pillow's "L"
_COLOURED_SHARE, _COLOURED_BY = 0.01, 0.1
_SHADE, _NEARLY_ALL = 8, 0.99  # greys of 256 that are one; the share of the pixels that counts
_ENOUGH = 1 << 18  # pixels to count shades of


class NoPicture(ValueError):  # noqa: N818  # what was found, rather than an error of ours
    """What is wrong with a picture, in words that name no file."""


@dataclass(frozen=True, kw_only=True)
class Levels:
    """A radiograph before it is stretched.

    values: (H,W), any range, more is denser. real: (H,W), false where a pixel is padding or
        transparent; None if none is. aspect: height of a pixel in widths. coloured: channels
        differed by more than a tenth of their range in more than a hundredth of the pixels.
    """

    values: Values
    real: Mask | None = None
    aspect: float = 1.0
    coloured: bool = False


def square(levels: Levels, size: int) -> Pixels:
    """What the model reads (size, size), 0 black."""
    return square_and_shades(levels, size)[0]


def square_and_shades(levels: Levels, size: int) -> tuple[Pixels, int]:
    """`square`, and how many of 32 shades of grey hold nearly all of its pixels before resizing.

    A film has most of them. A mask, a scan in black and white or an export of a few greys has
    not, even where a lossy container has blurred them.
    """
    grey = stretched(levels.values, levels.real)
    inside = grey.ravel() if levels.real is None else grey[levels.real]
    some = inside[:: max(1, inside.size // _ENOUGH)]
    held = np.cumsum(np.sort(np.bincount(some // _SHADE, minlength=1))[::-1])
    shades = int(np.searchsorted(held, _NEARLY_ALL * some.size)) + 1
    return _fitted(Image.fromarray(grey), size, levels.aspect), shades


def stretched(values: Values, real: Mask | None = None) -> Pixels:
    """Any range (H,W) to 0..255 between the percentiles of what is real; one level is black."""
    finite = np.isfinite(values)
    if not finite.all():
        real = finite if real is None else real & finite
        values = np.where(finite, values, np.float32(0))
    inside = values if real is None else values[real]
    if not inside.size:
        return np.zeros(values.shape, dtype=np.uint8)
    low, high = np.percentile(inside, STRETCH_PERCENT)
    if high <= low:  # nearly all of it is one level: what differs is all there is to show
        low, high = float(inside.min()), float(inside.max())
    if high <= low:
        return np.zeros(values.shape, dtype=np.uint8)
    scaled = (values - low) * (_BLACK_WHITE / (high - low))
    np.rint(scaled.clip(0, _BLACK_WHITE, out=scaled), out=scaled)  # a film may have 100 megapixels
    grey = scaled.astype(np.uint8)
    return grey if real is None else np.asarray(np.where(real, grey, 0), dtype=np.uint8)


def from_channels(channels: npt.NDArray[np.generic]) -> tuple[Values, bool]:
    """Red, green and blue (H,W,3) to their brightness (H,W), and whether they are of a colour."""
    real = np.asarray(channels, dtype=np.float32)
    apart = real.max(axis=2) - real.min(axis=2)
    coloured = (apart > _COLOURED_BY * max(float(real.max(initial=0)), 1)).mean() > _COLOURED_SHARE
    return np.asarray(real @ _LUMA, dtype=np.float32), bool(coloured)


def aspect_of(height: float, width: float) -> float:
    """A pixel's height in widths; 1 where a header's numbers can't be true."""
    if not (height > 0 and width > 0):  # NaN too
        return 1.0
    aspect = height / width
    return aspect if 1 / _ODDEST_ASPECT <= aspect <= _ODDEST_ASPECT else 1.0


def _fitted(image: Image.Image, size: int, aspect: float) -> Pixels:
    """Resized with its aspect, antialiased, centred on black (size, size)."""
    true = (float(image.width), image.height * aspect)
    scale = size / max(true)
    width, height = (max(1, round(side * scale)) for side in true)
    if (width, height) != image.size:
        image = image.resize((width, height), Image.Resampling.BILINEAR)
    fitted = np.zeros((size, size), dtype=np.uint8)
    top, left = (size - height) // 2, (size - width) // 2
    fitted[top : top + height, left : left + width] = np.asarray(image)
    return fitted
