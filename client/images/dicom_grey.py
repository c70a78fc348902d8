"""A DICOM image's stored values to levels in which more is denser, as the header asks.

In the standard's order (PS3.3 C.11, C.7.6.3): padding, rescale or modality table, VOI table or
window, polarity, shape of a pixel. The window only cuts: what is left of the values is then
stretched as any picture's, so that a file and its export as PNG come out alike.
"""

from typing import Any

import numpy as np
import numpy.typing as npt

from client.images.dicom_file import is_filled, items, number, numbers, word
from client.images.dicom_pixels import GREY, PALETTE, Layout, layout_of, stored_values
from client.images.dicom_tables import read_table
from client.images.problems import ImageProblem
from irene_model.inputs import STRETCH_PERCENT, Levels, aspect_of, from_channels

Mask = npt.NDArray[np.bool_]
# A window that leaves fewer of the values between black and white, or of their range, was made for
# other values. Both, since a collimated border may be a good part of the values and has no range.
_WINDOW_SHARE, _WINDOW_RANGE = 0.2, 0.1
_ALIKE = 0.02  # of the largest value: what lossy compression may part equal channels by
_SPACINGS = ("PixelSpacing", "ImagerPixelSpacing", "NominalScannedPixelSpacing", "PixelAspectRatio")


def levels_of_dicom(dataset: Any, most_pixels: int) -> Levels:
    """The levels of a dataset's one frame, or an ImageProblem."""
    layout = layout_of(dataset, most_pixels)
    stored = stored_values(dataset, layout)
    aspect = _aspect(dataset)
    if layout.photometric not in GREY:
        if layout.photometric == PALETTE:
            stored = _painted(stored, dataset)
        return Levels(values=_grey(stored, layout.photometric), aspect=aspect)
    real = _real(dataset, stored, layout)
    if stored.dtype.kind != "f":
        stored = _within_stored_bits(stored, real, layout)
    values = _cut(dataset, _rescaled(dataset, stored), real)
    inverse = word(dataset, "PresentationLUTShape") == "INVERSE"
    if layout.photometric == "MONOCHROME1" or inverse:
        values = -values
    return Levels(values=np.asarray(values, np.float32), real=real, aspect=aspect)


def _painted(stored: npt.NDArray[Any], dataset: Any) -> npt.NDArray[Any]:
    from pydicom.pixels import apply_color_lut

    try:
        return np.asarray(apply_color_lut(stored, dataset))
    except Exception:  # a damaged table fails in its own way
        raise ImageProblem(
            "the DICOM image's palette is missing or damaged; export it as grey"
        ) from None


def _grey(channels: npt.NDArray[Any], photometric: str) -> npt.NDArray[np.float32]:
    """Red, green and blue (H,W,3) that are alike; a conversion to them rounds a little."""
    highest = channels.max(axis=-1).astype(np.float32)
    if (highest - channels.min(axis=-1)).max() > _ALIKE * max(float(highest.max()), 1):
        raise ImageProblem(
            f"the DICOM image is in colour ({photometric}), expected a radiograph's grey; export "
            "it as MONOCHROME2, or leave its record out by exclude"
        )
    return from_channels(channels)[0]


def _real(dataset: Any, stored: npt.NDArray[Any], layout: Layout) -> Mask | None:
    """Where a value is none of the padding that the header names (PS3.3 C.7.5.1.1.2)."""
    float_padding = number(dataset, f"{layout.keyword.removesuffix('PixelData')}PixelPaddingValue")
    value = float_padding if stored.dtype.kind == "f" else number(dataset, "PixelPaddingValue")
    if value is None:
        return None
    limit = number(dataset, "PixelPaddingRangeLimit")
    ends = (value, value if limit is None else limit)
    bounds = sorted(_as_stored(end, layout) for end in ends)
    real = (stored < bounds[0]) | (stored > bounds[1])
    # An image that would be nothing but padding has none: then the header is wrong.
    return None if real.all() or not real.any() else real


def _as_stored(value: float, layout: Layout) -> float:
    """A padding value that was written as if it had the other sign."""
    span = 2.0**layout.bits
    if layout.signed and value >= span / 2:
        return value - span
    return value + span if not layout.signed and value < 0 else value


def _within_stored_bits(
    stored: npt.NDArray[Any], real: Mask | None, layout: Layout
) -> npt.NDArray[Any]:
    """Without the bits beyond BitsStored, if these are an overlay; with them, if they are values.

    Some headers name too few bits, and cutting would wrap the values around: the smoother of the
    two is the image.
    """
    spare = layout.bits - layout.stored_bits
    if not spare:
        return stored
    cut = np.right_shift(np.left_shift(stored, spare), spare)
    if np.array_equal(cut, stored):  # as nearly always
        return stored
    return cut if _roughness(cut, real) < _roughness(stored, real) else stored


def _roughness(values: npt.NDArray[Any], real: Mask | None) -> float:
    """Mean step between neighbours."""
    steps = np.abs(np.diff(values.astype(np.float32), axis=1))
    if real is not None:
        steps = steps[real[:, 1:] & real[:, :-1]]
    return float(steps.mean()) if steps.size else 0.0


def _rescaled(dataset: Any, stored: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """Modality table, or slope and intercept; an empty slope is 1, and 0 is no slope at all."""
    tables = items(dataset, "ModalityLUTSequence")
    if tables:
        table = read_table(dataset, tables[0])
        if table is None:
            raise ImageProblem(
                "the DICOM image's modality table (ModalityLUTSequence) is damaged; export it again"
            )
        return table.apply(stored)
    for keyword in ("RescaleSlope", "RescaleIntercept"):
        if is_filled(dataset, keyword) and number(dataset, keyword) is None:
            raise ImageProblem(f"the DICOM field {keyword} is no number; export it again")
    slope, intercept = number(dataset, "RescaleSlope"), number(dataset, "RescaleIntercept")
    return stored.astype(np.float32) * np.float32(slope or 1) + np.float32(intercept or 0)


def _cut(dataset: Any, values: npt.NDArray[Any], real: Mask | None) -> npt.NDArray[Any]:
    """By the first VOI table or window that was made for these values, or not at all."""
    inside = values if real is None else values[real]
    for item in items(dataset, "VOILUTSequence"):
        table = read_table(dataset, item)
        if table is not None and _covers(inside, table.first - 1, table.last + 1):
            return table.apply(values)
    centers, widths = numbers(dataset, "WindowCenter"), numbers(dataset, "WindowWidth")
    function = word(dataset, "VOILUTFunction")
    for center, width in zip(centers, widths, strict=False):
        low, high = center - width / 2, center + width / 2
        if width > 0 and _covers(inside, low, high):
            if function == "SIGMOID":
                return np.asarray(
                    1 / (1 + np.exp((-4 / width) * (values.astype(np.float32) - center)))
                )
            return np.asarray(np.clip(values, low, high))
    return values


def _covers(values: npt.NDArray[Any], low: float, high: float) -> bool:
    if ((values > low) & (values < high)).mean() < _WINDOW_SHARE:
        return False
    least, most = np.percentile(values, STRETCH_PERCENT)
    return bool(min(high, most) - max(low, least) >= _WINDOW_RANGE * (most - least))


def _aspect(dataset: Any) -> float:
    """From the first field that gives a row's and a column's spacing."""
    for keyword in _SPACINGS:
        spacing = numbers(dataset, keyword)
        if len(spacing) == 2 and min(spacing) > 0:
            return aspect_of(*spacing)
    return 1.0
