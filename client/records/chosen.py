"""Which of several values of one record and laboratory test counts. Pure.

A value's time is in hours from the record's own time, or from any fixed one where a window is not
asked for.
"""

import math
from collections import Counter
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from client.site import Take

Positions = npt.NDArray[np.int64]


def the_ones(
    records: npt.NDArray[np.int32], hours: npt.NDArray[np.float64], take: Take
) -> Positions:
    """Of each record the value that is first, last or nearest to its time: their positions.

    records: whose each value is. Of values with one time the first in order counts, of two that
    are equally near the earlier one.
    """
    if take == "last":
        order = np.lexsort((-hours, records))
    elif take == "first":
        order = np.lexsort((hours, records))
    else:
        order = np.lexsort((hours, np.abs(hours), records))
    return np.sort(order[_starts(records[order])])


def again(records: npt.NDArray[np.int32]) -> Positions:
    """The positions of values whose record has an earlier one."""
    order = np.argsort(records, kind="stable")
    later = np.ones(len(order), np.bool_)
    later[_starts(records[order])] = False
    return np.sort(order[later])


def by_record(records: npt.NDArray[np.int32]) -> list[tuple[int, Positions]]:
    """Each record and the positions of its values, in order."""
    order = np.argsort(records, kind="stable")
    starts = _starts(records[order])
    groups = np.split(order, starts[1:]) if len(order) else []
    return list(zip(records[order[starts]].tolist(), groups, strict=True))


def mean_of(values: Sequence[float]) -> float | None:
    """The mean of the values that are not censored.

    Where all are, the side of detection on which more of them lie; None where neither has more.
    """
    measured = [value for value in values if math.isfinite(value)]
    if measured:
        return math.fsum(measured) / len(measured)
    sides = Counter(values).most_common(2)
    if not sides or (len(sides) == 2 and sides[0][1] == sides[1][1]):
        return None
    return sides[0][0]


def _starts(ordered: npt.NDArray[np.int32]) -> Positions:
    """Where each record begins in `ordered`."""
    return np.flatnonzero(np.r_[True, np.diff(ordered) != 0][: len(ordered)])
