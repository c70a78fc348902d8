"""Which of several values of one record and laboratory test counts. Pure.

A value's time is in hours from the record's own time, or from any fixed one where a window is not
asked for.
"""

import math
from collections import Counter
from collections.abc import Mapping, Sequence

from client.site import Take


def the_one(rows: Sequence[int], hours: Mapping[int, float], take: Take) -> int:
    """The row that is first, last or nearest to the record's time.

    Of rows with one time the upper one, of two that are equally near the earlier one.
    """
    if take == "last":
        return max(rows, key=lambda row: (hours[row], -row))
    if take == "first":
        return min(rows, key=lambda row: (hours[row], row))
    return min(rows, key=lambda row: (abs(hours[row]), hours[row], row))


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
