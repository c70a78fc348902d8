"""When to look whether a reply is there: as often as the sites' own times suggest. Pure.

Each look costs the SuperLink processor time, and the whole federation waits for the SuperLink. So
before a site can have answered nobody looks, and from then on a wait grows by a twentieth at most.
"""

from collections import deque

_REMEMBERED = 5  # replies
_EARLY = 0.75  # of the quickest of them: what was found at once may have been there before
_SHARE = 0.05  # by which looking too seldom may lengthen a wait
_LONGEST_S = 5.0
_ALIVE_S = 30.0  # whether the node is online is looked at as well, however long it takes


class Looks:
    """Seconds from sending to reply, by node and kind of message, and what follows from them."""

    def __init__(self, *, least_s: float, most_s: float = _ALIVE_S) -> None:
        """`least_s` and `most_s`: the shortest and the longest pause between two looks."""
        self._least_s, self._most_s = least_s, most_s
        self._took: dict[tuple[int, str], deque[float]] = {}

    def found(self, node: int, kind: str, seconds: float) -> None:
        """The reply of `node` to a message of that kind was there after `seconds`."""
        self._took.setdefault((node, kind), deque(maxlen=_REMEMBERED)).append(seconds)

    def pause_s(self, node: int, kind: str, waited_s: float) -> float:
        """Seconds until the next look, where there was nothing after `waited_s`."""
        early = _EARLY * min(self._took.get((node, kind), (0.0,)))
        if waited_s < early:
            return max(self._least_s, min(early - waited_s, self._most_s))
        return max(self._least_s, min(_SHARE * waited_s, _LONGEST_S, self._most_s))
