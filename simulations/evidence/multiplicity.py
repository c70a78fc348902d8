"""Several questions asked of one comparison: p values that stand for all of them (pure)."""

from collections.abc import Mapping
from typing import TypeVar

Key = TypeVar("Key")


def holm(values: Mapping[Key, float | None]) -> dict[Key, float | None]:
    """Adjusted p values; the chance that any true null among them falls below α is at most α.

    Holm 1979: of m values in rising order the i-th is multiplied by m - i + 1 and is never below
    the one before it. It holds however the values depend on each other. What is None was not asked.
    """
    asked = sorted((p, key) for key, p in _numbered(values).items())
    adjusted: dict[Key, float | None] = dict.fromkeys(values)
    keys, largest = list(values), 0.0
    for place, (p, number) in enumerate(asked):
        largest = max(largest, min(1.0, (len(asked) - place) * p))
        adjusted[keys[number]] = largest
    return adjusted


def _numbered(values: Mapping[Key, float | None]) -> dict[int, float]:
    """By place, since keys may not have an order."""
    return {place: p for place, p in enumerate(values.values()) if p is not None}
