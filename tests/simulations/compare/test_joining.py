"""Gains over seeds and patients: coverage, Student's test, and one family for each way."""

from typing import Any

import numpy as np
import pytest
from scipy.stats import ttest_rel

from simulations.compare.intervals import error_of, over_both
from simulations.compare.joining import joining


def trained(row: str, seed: int, at: dict[str, float], wide: float = 0.0) -> dict[str, Any]:
    """A result with AUROC `at` sites; its draws move by up to `wide`, all in the same way."""
    place, model = row.split("/")
    arm, _, site = place.partition("-")
    moves = np.linspace(-1, 1, 400) * wide
    return {
        "arm": arm, "site": site or None, "model": model, "seed": seed,
        "auroc": {"by_site": at},
        "draws": {"by_site": {name: (v + moves).tolist() for name, v in at.items()}},
    }  # fmt: skip


SITES = ("north", "south")


def rows(own: list[float], joined: list[float], wide: float) -> dict[str, list[dict[str, Any]]]:
    """Both hospitals gain the same; `joined` has draws, the own models have none."""
    found = {
        f"local-{site}/irene": [
            trained(f"local-{site}/irene", s, dict.fromkeys(SITES, v)) for s, v in enumerate(own)
        ]
        for site in SITES
    }
    found["federated/irene"] = [
        trained("federated/irene", s, dict.fromkeys(SITES, v), wide) for s, v in enumerate(joined)
    ]
    return found


def test_where_seeds_differ_more_than_patients_it_is_students_paired_test() -> None:
    own, joined = [0.70, 0.72, 0.69, 0.75], [0.74, 0.80, 0.71, 0.80]
    told = joining(rows(own, joined, 1e-4), SITES, seeds=True)["federated/irene"]
    found = ttest_rel(joined, own)
    bounds = found.confidence_interval(0.95)
    north = told["sites"]["north"]
    assert north["ci95"] == pytest.approx([bounds.low, bounds.high])
    assert north["p"] == pytest.approx(found.pvalue)
    assert north["p_holm"] == pytest.approx(min(1.0, 2 * found.pvalue))
    assert told["mean"]["mean"] == pytest.approx(north["mean"])


def test_seeds_that_agree_by_chance_are_as_unsure_as_their_patients() -> None:
    told = joining(rows([0.70, 0.70, 0.70], [0.75, 0.75, 0.75], 0.1), SITES, seeds=True)
    north = told["federated/irene"]["sites"]["north"]
    half = 4.3027 * np.linspace(-1, 1, 400).std(ddof=1) * 0.1 / np.sqrt(3)
    assert north["ci95"] == pytest.approx([0.05 - half, 0.05 + half], rel=1e-4)


def test_of_one_seed_and_of_folds_it_is_over_draws_of_patients() -> None:
    for own, joined, seeds in (([0.7], [0.75], True), ([0.7, 0.6], [0.75, 0.65], False)):
        told = joining(rows(own, joined, 0.1), SITES, seeds=seeds)["federated/irene"]
        north = told["sites"]["north"]
        assert north["ci95"] == pytest.approx([0.05 - 0.095, 0.05 + 0.095], abs=1e-9)
        assert 0.3 < north["p"] < 0.5


def test_an_interval_over_both_holds_the_truth_as_often_as_it_says() -> None:
    """Three seeds with new patients each: never fewer than 95 %, all where patients are all."""
    rng = np.random.default_rng(0)
    for between, most in ((0.0, 1.0), (0.05, 0.97)):
        inside = 0
        for _ in range(2000):
            seen = 0.03 + rng.normal(0, between, 3) + rng.normal(0, 0.01, 3)
            low, high = over_both(seen.tolist(), [0.01] * 3).ci95 or (0, 0)
            inside += low <= 0.03 <= high
        assert 0.94 <= inside / 2000 <= most, between


def test_what_is_unknown_stays_unknown() -> None:
    assert over_both([None, 0.1], [None, None]).ci95 is None
    assert over_both([], []).mean is None
    assert over_both([0.0, 0.0], [None, None]).p == 1.0
    assert error_of(None, [0.1, 0.2]) is None and error_of(0.1, [None, None, 0.1]) is None
    only = {k: v for k, v in rows([0.7], [0.8], 0.1).items() if "south" not in k}
    assert list(joining(only, SITES, seeds=True)["federated/irene"]["sites"]) == ["north"]
    assert joining({"federated/irene": []}, SITES, seeds=True) == {}
