"""A radiograph of any size and depth to the grey square that the model reads.

What has more than 8 bits is windowed between its 1st and 99th percentile, since detectors differ in
range and a burnt-in marker must not set the contrast. The image keeps its aspect: it is fitted into
the square and the rest is black, so that no lung is cut off.
"""

from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image

Pixels = npt.NDArray[np.uint8]
WINDOW_PERCENT = (1.0, 99.0)
_DEEP_MODES = ("I", "F", "I;16", "I;16B", "I;16L", "I;16N")


def to_grey(image: Image.Image) -> Image.Image:
    """Any of Pillow's modes to 8 bits of grey."""
    if image.mode in _DEEP_MODES:
        return Image.fromarray(windowed(np.asarray(image)))
    if image.mode in ("P", "PA"):
        return image.convert("RGBA").convert("L")
    return image.convert("L")


def windowed(values: npt.NDArray[Any]) -> Pixels:
    """Any depth (H, W) to 0..255 between the percentiles; an image of one level is black."""
    real = values.astype(np.float32)
    low, high = np.percentile(real, WINDOW_PERCENT)
    if high <= low:  # nearly all of it is one level: what differs is all there is to show
        low, high = real.min(), real.max()
    if high <= low:
        return np.zeros(real.shape, dtype=np.uint8)
    scaled = (real - low) * (255.0 / (high - low))
    return np.asarray(scaled.clip(0, 255).round(), dtype=np.uint8)


def fitted(image: Image.Image, size: int) -> Pixels:
    """Resized with its aspect, antialiased, centred on black (size, size)."""
    scale = size / max(image.size)
    width, height = (max(1, round(side * scale)) for side in image.size)
    if (width, height) != image.size:
        image = image.resize((width, height), Image.Resampling.BILINEAR)
    square = np.zeros((size, size), dtype=np.uint8)
    top, left = (size - height) // 2, (size - width) // 2
    square[top : top + height, left : left + width] = np.asarray(image)
    return square
