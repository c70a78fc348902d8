"""Geometry of a laboratory value's strip: its histogram beside the reference interval. Pure.

The axis is the model's own: linear within the reference interval, logarithmic outside it, from cap
to cap. So all strips have the interval in one place, and a hundredfold value still fits. Lengths
are pixels of the SVG's own coordinates.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

from irene_model.inputs import LAB_CAP

WIDTH, HEIGHT = 240.0, 34.0
_CAP = LAB_CAP
_GAP = 1.0


@dataclass(frozen=True, kw_only=True)
class Strip:
    """bars: SVG path data. low, high: where the reference interval lies."""

    bars: str
    low: float
    high: float


def strip(histogram: Sequence[int]) -> Strip:
    """The strip of a histogram over the whole axis; without values it has no bars."""
    tallest, step = max(histogram, default=0), WIDTH / max(1, len(histogram))
    # A single patient's bar must be seen beside a thousand's: never lower than two pixels.
    bars = [
        f"M{index * step + _GAP / 2:.1f},{HEIGHT:g}"
        f"v-{max(2.0, HEIGHT * count / tallest):.1f}h{step - _GAP:.1f}V{HEIGHT:g}z"
        for index, count in enumerate(histogram)
        if count
    ]
    return Strip(bars="".join(bars), low=_place(-math.log(2)), high=_place(math.log(2)))


def _place(scaled: float) -> float:
    return WIDTH * (scaled + _CAP) / (2 * _CAP)
