"""The audit finds planted bugs and does not accuse the engine. The bugs live here alone."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
import torch
from torch import nn

from client.training import training
from irene_model.errors import ConfigError
from irene_model.inputs.tensors import Batch
from simulations.audit.attacks import Evidence, batch_scale, participation
from simulations.audit.audit import ATTACKS, Audit
from simulations.audit.site_audit import audit_first_site
from simulations.hospitals.scenario import Scenario

SCENARIO = Path(__file__).parents[3] / "simulations" / "scenarios" / "audit.yaml"
Engine = training.PrivateGradient


class WithoutNoise(Engine):
    def release(self, *, noise_multiplier: float, **rest: Any) -> None:
        super().release(noise_multiplier=0.0, **rest)


class SameNoise(Engine):
    def release(self, *, rng: np.random.Generator, **rest: Any) -> None:
        super().release(rng=np.random.default_rng(5), **rest)


class ClippedByBatch(Engine):
    """`clip_grad_norm_` on the mean gradient of the batch, and the noise as if on each patient's.

    The sum of n patients' gradients is scaled until its mean has norm C at most.
    """

    def __init__(self, model: nn.Module, *, clip_norm: float, **rest: Any) -> None:
        super().__init__(model, clip_norm=1e9, **rest)  # no patient is clipped
        self._clip_norm = clip_norm  # but the noise is σC
        self._patients = 0

    def accumulate(self, batch: Batch) -> None:
        self._patients += len(batch["labels"])
        super().accumulate(batch)

    def release(self, **rest: Any) -> None:
        sums = self._started().values()
        mean = float(torch.sqrt(sum((s**2).sum() for s in sums))) / max(1, self._patients)
        for each in sums:
            each.mul_(min(1.0, self._clip_norm / max(mean, 1e-12)))
        self._patients = 0
        super().release(**rest)


def attack(folder: Path, *overrides: str, runs: int = 2) -> Audit:
    scenario = Scenario.read(SCENARIO, overrides)
    (found,) = audit_first_site(scenario, folder / "audit", canaries=240, runs=runs, seed=0)
    return found


@pytest.mark.slow
def test_the_engine_is_not_accused(tmp_path: Path) -> None:
    found = attack(tmp_path)
    assert 1.9 < found.epsilon_claimed <= 2.0 and not found.refuted
    assert tuple(finding.attack for finding in found.findings) == ATTACKS
    assert all(finding.epsilon_at_least < 1.0 for finding in found.findings)
    written = json.loads((tmp_path / "audit" / "audit.json").read_text(encoding="utf-8"))
    assert [finding["attack"] for finding in written["findings"]] == list(ATTACKS)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("bug", "finder"),
    [
        (WithoutNoise, "all updates"),
        (SameNoise, "differences of updates"),
        (ClippedByBatch, "all updates, clipped as a whole"),
    ],
)
def test_a_planted_bug_is_found(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, bug: type[Engine], finder: str
) -> None:
    monkeypatch.setattr(training, "PrivateGradient", bug)
    found = attack(tmp_path, runs=1)
    assert found.epsilon_claimed <= 2.0 and found.refuted
    proved = {finding.attack: finding.epsilon_at_least for finding in found.findings}
    assert proved[finder] > found.epsilon_claimed


def test_an_audit_wants_plain_gradients(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"set training\.optimizer to sgd"):
        attack(tmp_path, "federation.local_steps=2", "cohort.patients=20")


COINS = np.array([1.0, 0, 0, 1, 1, 0])
EVEN = np.full(6, 0.5)


def gradients(*, norm: float = 1.0, seed: int = 0) -> npt.NDArray[np.float64]:
    rows = np.random.default_rng(seed).standard_normal((6, 4000))
    return norm * rows / np.linalg.norm(rows, axis=1, keepdims=True)


def test_a_sum_without_noise_is_taken_apart() -> None:
    rows = gradients()
    seen = Evidence.of(COINS @ rows, rows)
    np.testing.assert_allclose(participation(seen, EVEN), COINS - 0.5, atol=1e-4)
    # A scale of the whole batch is found only roughly, and tells who is in all the same.
    scaled = Evidence.of(0.03 * (COINS @ rows), rows)
    scale = batch_scale(scaled, EVEN)
    assert scale == pytest.approx(0.03, rel=0.1)
    found = participation(scaled, EVEN, scale=scale)
    np.testing.assert_array_equal(found > 0, COINS == 1)


def test_much_noise_leaves_what_was_expected() -> None:
    rows, rng = gradients(), np.random.default_rng(1)
    seen = Evidence.of(COINS @ rows + 50 * rng.standard_normal(4000), rows)
    assert np.abs(participation(seen, EVEN)).max() < 0.05


def test_participation_is_the_posterior_mean_by_definition() -> None:
    """In n dimensions: a ~ N(p, p(1-p)), y = f aᵀg + N(0, ν²), and ν² is what is unexplained."""
    rows, rng = gradients(norm=3.0), np.random.default_rng(2)
    y = 0.2 * (COINS @ rows) + 0.05 * rng.standard_normal(4000)
    free, *_ = np.linalg.lstsq(rows.T, y, rcond=None)
    noise = float(np.sum((y - free @ rows) ** 2)) / (4000 - 6)
    expected = np.linspace(0.2, 0.7, 6)
    covariance = np.diag(expected * (1 - expected))
    precision = np.linalg.inv(covariance) + 0.2**2 * (rows @ rows.T) / noise
    by_hand = np.linalg.solve(precision, 0.2 * rows @ (y - 0.2 * expected @ rows) / noise)
    found = participation(Evidence.of(y, rows), expected, scale=0.2)
    np.testing.assert_allclose(found, by_hand, rtol=1e-2, atol=1e-3)


def test_clipped_evidence_is_the_evidence_of_clipped_gradients() -> None:
    rows = gradients() * np.array([[0.01], [0.1], [0.5], [1], [2], [9]])
    norms = np.linalg.norm(rows, axis=1, keepdims=True)
    clipped = rows * np.minimum(1, 0.3 / norms)
    total = np.random.default_rng(3).standard_normal(4000)
    ours, theirs = Evidence.of(total, rows).clipped(0.3), Evidence.of(total, clipped)
    np.testing.assert_allclose(ours.gram, theirs.gram, rtol=1e-9, atol=1e-12)
    np.testing.assert_allclose(ours.products, theirs.products, rtol=1e-9, atol=1e-12)


def test_a_noise_for_two_rounds_cancels_in_their_difference() -> None:
    first, second = gradients(), gradients(seed=5)
    noise = 50 * np.random.default_rng(4).standard_normal(4000)
    sums = [COINS @ rows + noise for rows in (first, second)]
    assert np.abs(participation(Evidence.of(sums[1], second), EVEN)).max() < 0.05
    change = Evidence.of(sums[1] - sums[0], np.concatenate([second, -first]))
    earlier, later = (
        Evidence.of(total, rows) for total, rows in zip(sums, (first, second), strict=True)
    )
    known = later.since(earlier, change=sums[1] - sums[0], rows=second, earlier=first)
    for name in ("gram", "products", "energy", "dimensions"):
        np.testing.assert_allclose(getattr(known, name), getattr(change, name), atol=1e-9)
    both = participation(change, np.tile(EVEN, 2))
    np.testing.assert_allclose(both[:6] + both[6:], 2 * COINS - 1, atol=1e-3)
