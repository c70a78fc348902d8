"""Holm's p values against what defines them."""

from itertools import combinations

import numpy as np
import pytest

from simulations.evidence.multiplicity import holm


def closed(values: dict[str, float]) -> dict[str, float]:
    """By closed testing: the largest of Bonferroni's p values of all sets that hold the null."""
    names = list(values)
    sets = [s for n in range(1, len(names) + 1) for s in combinations(names, n)]
    return {
        name: max(min(1.0, len(s) * min(values[each] for each in s)) for s in sets if name in s)
        for name in names
    }


@pytest.mark.parametrize("seed", range(5))
def test_it_is_bonferroni_closed(seed: int) -> None:
    p = np.random.default_rng(seed).random(5) ** 3
    values = dict(zip("abcde", p.tolist(), strict=True))
    assert holm(values) == pytest.approx(closed(values))


def test_what_was_not_asked_counts_for_nothing() -> None:
    assert holm({"a": 0.02, "b": None, "c": 0.02}) == {"a": 0.04, "b": None, "c": 0.04}
    assert holm({}) == {}
