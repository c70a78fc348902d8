"""Whether a value's numbers look like another unit than the one that they were read in.

Hospitals have ill patients, so being outside the reference interval says little: a CRP of 100 mg/L
is twenty times its bound, and an intensive care unit's haemoglobin is anaemic. What no illness does
is doubted: a median beyond the reach of disease, a regulated value of which nearly nobody is inside
the interval while in another usual unit most are, two heaps of numbers a unit's factor apart. What
a unit's factor hides within the spread of illness can't be told from the numbers: a CRP of 40 mg/L
written as 4 is also a mild one.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt

from client.check.doubts import listed
from client.units import Line

Numbers = npt.NDArray[np.float64]

_FEWEST = 8  # values, below which nothing is judged
_TELLING = 30  # values, below which two units in one column look like one wide spread
_WIDE = 20.0  # and this is one
FEW_MEND = (
    "Compare some of these values with the laboratory's own; the page of `check --html` shows all "
    "of them beside the reference interval."
)
# In widths of the interval, all as logarithms: an acute hepatitis has a median ALT of 30 times its
# bound (3.4 in an interval of 1.4), a ketoacidosis a glucose of 4 times (1.4 in 0.45).
_WIDTHS = 3.5
_LEAST_REACH, _MOST_REACH = math.log(1.5), math.log(60)
# Few illnesses make a value much too small: platelets are an eighth after chemotherapy.
_REACH_BELOW = math.log(9)
_MARKER = 10.0  # a marker without a lower bound is taken to start at a tenth of the upper one
_REGULATED = math.log(1.6)  # the width of an interval in which the body holds a value
_NEARLY_NOBODY, _MANY = 0.025, 0.3  # shares of the values that are inside
_LOW_TAIL, _HIGH_TAIL, _IMPOSSIBLE = 0.1, 0.05, 100.0  # shares; times the upper bound
_DEVIATIONS = 2.3  # by which a share has to exceed those
_LEAST_HEAP, _APART = 0.05, 4.0  # share of the values; in standard deviations of the heaps
_LIKE = 0.35  # of the distance between two heaps
_EASY, _RELIEF, _ALIKE = 0.75, 0.4, 0.25  # strains: of a unit that fits, less than as read, alike


@dataclass(frozen=True, kw_only=True)
class UnitDoubt:
    """kind: what looks wrong. side: of the reference interval. rivals: the units that would fit."""

    kind: Literal["far", "nobody", "tail", "mixed"]
    side: Literal["above", "below"]
    rivals: tuple[str, ...]

    def sentence(self, taken: str, interval: str) -> str:
        """For people; `taken` is the unit that the values were read in."""
        found = {
            "far": f"half of the values lie far {self.side} the reference interval{interval}",
            "nobody": f"nearly all values lie {self.side} the reference interval{interval}",
            "tail": f"too many values lie far {self.side} the reference interval{interval}",
            "mixed": f"the values fall into two heaps, one far {self.side} the other",
        }[self.kind]
        if not self.rivals:
            return f"{found}: is the unit right?"
        whom = {"mixed": "some", "tail": "some or all"}.get(self.kind, "they")
        return f"{found}: {whom} look like {' or '.join(self.rivals)} rather than {taken}"


def doubt_unit(
    values: npt.ArrayLike, *, low: float, high: float, rivals: Mapping[str, Line]
) -> UnitDoubt | None:
    """What is doubtful in `values`, or None.

    values: (N,) in the study's unit; those that are censored or not measured are passed over.
    low, high: the reference interval. rivals: another usual unit -> slope and offset that lead from
    a value as it was read to what it would be, had it been in that unit (`client.units.rivals`).
    """
    found = np.asarray(values, np.float64)
    found = found[np.isfinite(found)]
    positive = found[found > 0]
    if low < 0 or high <= 0 or len(positive) < max(_FEWEST, len(found) / 2):
        return None  # what may be negative, as a base excess, has no scale to judge by
    interval = _Interval(low=low, high=high)
    would_be = {
        unit: moved
        for unit, (slope, offset) in rivals.items()
        if (moved := slope * positive + offset).min() > 0
    }
    regulated = low > 0 and math.log(high / low) <= _REGULATED
    return (
        _mixed(positive, interval, rivals)
        or _far(positive, interval, would_be)
        or (_nobody(positive, interval, would_be) if regulated else None)
        or (_tail(positive, interval, rivals) if low == 0 else None)
    )


def doubt_too_few(measured: Mapping[str, Sequence[float]]) -> list[str]:
    """The tests whose values are few and far apart; measured: test -> its values (N,)."""
    few = [name for name, values in measured.items() if _few_and_far_apart(values)]
    if not few:
        return []
    return [
        f"{listed(few)}: few values, some over {_WIDE:g} times as large as others: too few to tell "
        "whether all are in one unit"
    ]


def _few_and_far_apart(values: Sequence[float]) -> bool:
    positive = [value for value in values if 0 < value < math.inf]
    return 1 < len(positive) < _TELLING and max(positive) > _WIDE * min(positive)


@dataclass(frozen=True, kw_only=True)
class _Interval:
    low: float
    high: float

    @property
    def start(self) -> float:
        return self.low or self.high / _MARKER

    @property
    def reach(self) -> float:
        """How far the median of a hospital's patients may lie outside, as a logarithm."""
        if not self.low:
            return _MOST_REACH
        widths = _WIDTHS * math.log(self.high / self.low)
        return min(max(widths, _LEAST_REACH), _MOST_REACH)

    def distance(self, value: float) -> float:
        """Logarithm of how many times `value` is outside: above 0 on the upper side."""
        return max(math.log(value / self.high), 0.0) + min(math.log(value / self.start), 0.0)

    def strain(self, value: float) -> float:
        """How far a median is outside, as a share of how far illness may bring it."""
        distance = self.distance(value)
        # Below a marker's tenth there is nothing but the assay's limit.
        reach = self.reach if self.low or distance > 0 else math.log(_MARKER)
        return abs(distance) / reach

    def inside(self, values: Numbers) -> float:
        return float(np.mean((values >= self.low) & (values <= self.high)))

    def fitting(self, would_be: Mapping[str, Numbers], most: float) -> tuple[str, ...]:
        """The units that leave the median a strain of at most that; two that are like the best."""
        medians = {unit: float(np.median(moved)) for unit, moved in would_be.items()}
        ranked = sorted(
            # Illness raises a marker: one near nothing explains less.
            (self.strain(m) * (1 if self.low or m >= self.start else 1.5), -self.inside(v), unit)
            for (unit, m), v in zip(medians.items(), would_be.values(), strict=True)
        )
        return tuple(
            unit for strain, _, unit in ranked[:2] if strain <= min(most, ranked[0][0] + _ALIKE)
        )


def _side(interval: _Interval, value: float) -> Literal["above", "below"]:
    return "above" if interval.distance(value) > 0 else "below"


def _far(values: Numbers, interval: _Interval, would_be: Mapping[str, Numbers]) -> UnitDoubt | None:
    median = float(np.median(values))
    if interval.distance(median) == 0:
        return None
    side = _side(interval, median)
    error = 1.3 / math.sqrt(len(values))  # 2.6 standard errors of the median, as a share
    surely = float(np.quantile(values, 0.5 - error if side == "above" else 0.5 + error))
    strain, distance = interval.strain(surely), abs(interval.distance(surely))
    names = interval.fitting(would_be, min(strain - _RELIEF, _EASY))
    if strain > 1 or (names and side == "below" and distance > _REACH_BELOW):
        return UnitDoubt(kind="far", side=side, rivals=names)
    return None


def _nobody(
    values: Numbers, interval: _Interval, would_be: Mapping[str, Numbers]
) -> UnitDoubt | None:
    """A regulated value: some patients are always inside, even where most are ill."""
    median, n = float(np.median(values)), len(values)
    inside = (interval.inside(values) * n + 1) / (n + 2)  # of few values none may be, by chance
    if inside > _NEARLY_NOBODY or interval.distance(median) == 0:
        return None
    filling = {unit: v for unit, v in would_be.items() if interval.inside(v) >= _MANY}
    names = interval.fitting(filling, _EASY)
    return UnitDoubt(kind="nobody", side=_side(interval, median), rivals=names) if names else None


def _tail(values: Numbers, interval: _Interval, rivals: Mapping[str, Line]) -> UnitDoubt | None:
    """A marker that has a unit ten times as large or as small: the median may be anywhere."""
    low = _exceeds(values <= interval.high / _MARKER, _LOW_TAIL)
    high = _exceeds(values > interval.high * _IMPOSSIBLE, _HIGH_TAIL)
    for unit, (slope, _) in rivals.items():
        if low and math.isclose(slope, 10):
            return UnitDoubt(kind="tail", side="below", rivals=(unit,))
        if high and math.isclose(slope, 0.1):
            return UnitDoubt(kind="tail", side="above", rivals=(unit,))
    return None


def _exceeds(these: npt.NDArray[np.bool_], share: float) -> bool:
    """Whether more than `share` are, beyond what chance makes of it."""
    chance = math.sqrt(share * (1 - share) / len(these))
    return float(np.mean(these)) >= share + _DEVIATIONS * chance


def _mixed(values: Numbers, interval: _Interval, rivals: Mapping[str, Line]) -> UnitDoubt | None:
    """Two heaps, of which one fits as it is, and the other, moved to a rival, lies upon it."""
    logs = np.sort(np.log(values))
    split = _two_heaps(logs)
    if split is None:
        return None
    heaps = np.exp(np.median(logs[:split])), np.exp(np.median(logs[split:]))
    apart = math.log(heaps[1] / heaps[0])
    for mine, other in (heaps, heaps[::-1]):
        if interval.strain(float(mine)) > 1 or interval.strain(float(other)) <= 1:
            continue
        for unit, (slope, offset) in rivals.items():
            moved = float(slope * other + offset)
            if moved > 0 and abs(math.log(moved / mine)) <= _LIKE * apart:
                side: Literal["above", "below"] = "above" if other > mine else "below"
                return UnitDoubt(kind="mixed", side=side, rivals=(unit,))
    return None


def _two_heaps(logs: Numbers) -> int | None:
    """Where the sorted `logs` part into two heaps far apart; None where they are one.

    The split with the least variance within the heaps (Otsu 1979, eq. 12), accepted where the heaps
    are `_APART` of their standard deviations apart (Ashman 1994, eq. 1).
    """
    n = len(logs)
    least = max(3, math.ceil(_LEAST_HEAP * n))
    if n < 2 * least:
        return None
    at = np.arange(least, n - least + 1)
    sums, squares = np.cumsum(logs), np.cumsum(logs**2)
    means = sums[at - 1] / at, (sums[-1] - sums[at - 1]) / (n - at)
    within = squares[-1] - at * means[0] ** 2 - (n - at) * means[1] ** 2
    best = int(np.argmin(within))
    split = int(at[best])
    spread = math.sqrt((np.var(logs[:split]) + np.var(logs[split:])) / 2)
    apart = float(means[1][best] - means[0][best])
    return split if apart > math.log(1.3) and apart >= _APART * spread else None
