"""The largest batch that fits: more and more until it does not, then narrowed by halves."""

import time
from collections.abc import Callable
from dataclasses import dataclass

_FINE = 16  # the answer is known to a sixteenth


@dataclass(frozen=True, kw_only=True)
class Found:
    """records: 0 where not even one fits. bounded: whether one more than a sixteenth was tried and
    did not fit; False where time or the bound on records ended the search.
    """

    records: int
    bounded: bool


def largest(
    fits: Callable[[int], bool],
    *,
    first: int,
    most: int,
    until: float,
    growth: float = 2.0,
    known: int = 0,
    clock: Callable[[], float] = time.monotonic,
) -> Found:
    """The largest number of records up to `most` for which `fits` is true, found until `until`.

    It begins at `first`, and goes up or down by the factor `growth` until one fits and one does
    not; after an informed first guess a small factor is enough. `known` records are known to fit,
    and `fits` is taken to be true below any number for which it is true.
    """
    good, bad, asked = known, most + 1, min(max(known + 1, first), most)
    while clock() < until:
        if fits(asked):
            good = asked
        else:
            bad = asked
        if bad - good <= max(1, good // _FINE):
            break
        if bad > most:
            asked = min(max(good + 1, int(growth * good)), most)
        elif good == known:
            asked = max(known + 1, int(bad / growth))
        else:
            asked = (good + bad) // 2
    return Found(records=good, bounded=bad <= most and bad - good <= max(1, good // _FINE))
