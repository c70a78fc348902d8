"""Long runs on pages of a bounded size. Pure."""

from collections.abc import Sequence
from typing import TypeVar

MOST_ROWS = 500
"""Rounds in a report's table: rounds.jsonl has them all."""
_MOST_POINTS = 500

_T = TypeVar("_T")


def thinned(items: Sequence[_T], most: int = _MOST_POINTS) -> Sequence[_T]:
    """At most `most` of `items`, spread evenly, the first and the last among them."""
    if len(items) <= most:
        return items
    return [items[index * (len(items) - 1) // (most - 1)] for index in range(most)]
