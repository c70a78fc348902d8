"""The audit finds planted bugs and does not accuse the engine. The bugs live here alone."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from client import training
from irene_model.errors import ConfigError
from simulations.attacks import regress, regress_differences
from simulations.audit import Audit
from simulations.auditing import audit_first_site
from simulations.scenario import Scenario

SCENARIO = Path(__file__).parents[1] / "simulations" / "scenarios" / "audit.yaml"
Engine = training.PrivateGradient


class WithoutNoise(Engine):
    def release(self, *, noise_multiplier: float, **rest: Any) -> None:
        super().release(noise_multiplier=0.0, **rest)


class SameNoise(Engine):
    def release(self, *, rng: np.random.Generator, **rest: Any) -> None:
        super().release(rng=np.random.default_rng(5), **rest)


def attack(folder: Path, *overrides: str, seed: int = 0) -> Audit:
    scenario = Scenario.read(SCENARIO, overrides)
    return audit_first_site(scenario, folder / "audit", canaries=240, runs=1, seed=seed)


@pytest.mark.slow
def test_the_engine_is_not_accused(tmp_path: Path) -> None:
    found = attack(tmp_path)
    assert 1.9 < found.epsilon_claimed <= 2.0 and not found.refuted
    assert all(finding.epsilon_at_least < 1.0 for finding in found.findings)


@pytest.mark.slow
@pytest.mark.parametrize("bug", [WithoutNoise, SameNoise])
def test_a_planted_bug_is_found(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, bug: type[Engine]
) -> None:
    monkeypatch.setattr(training, "PrivateGradient", bug)
    found = attack(tmp_path)
    assert found.epsilon_claimed <= 2.0 and found.refuted


def test_an_audit_wants_plain_gradients(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"set training\.optimizer to sgd"):
        attack(tmp_path, "federation.local_steps=2")


def test_a_sum_without_noise_is_taken_apart_and_one_with_much_is_not() -> None:
    rng = np.random.default_rng(0)
    gradients = [rng.standard_normal((6, 400)) for _ in range(3)]
    coins = np.array([1.0, 0, 0, 1, 1, 0])
    sums = [coins @ rows for rows in gradients]
    np.testing.assert_allclose(regress(sums, gradients), 3 * coins, atol=1e-3)
    repeated = 50 * rng.standard_normal(400)  # one noise for all rounds cancels in differences
    noised = [each + repeated for each in sums]
    np.testing.assert_allclose(regress_differences(noised, gradients), 4 * coins, atol=1e-2)
    assert np.abs(regress(noised, gradients) - 3 * coins).max() > 0.5
