"""The audit of secure sums finds noise that is missing, and does not accuse sums as they are."""

import dataclasses
import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

import irene_model.secure.grid as grids
from client.secure.part import Part
from irene_model.errors import ConfigError
from irene_model.secure.grid import Grid
from irene_model.study import Study
from simulations.audit.attacks import Evidence, noise_variance
from simulations.audit.audit import Audit
from simulations.audit.site_audit import audit_first_site
from simulations.hospitals.scenario import Scenario

SCENARIO = Path(__file__).parents[3] / "simulations" / "scenarios" / "audit-sums.yaml"
Hidden = Callable[[Part, np.ndarray, Grid], dict[str, np.ndarray]]


def attack(folder: Path, *overrides: str, runs: int = 2, canaries: int = 240) -> tuple[Audit, ...]:
    scenario = Scenario.read(SCENARIO, overrides)
    return audit_first_site(scenario, folder / "audit", canaries=canaries, runs=runs, seed=0)


def noiseless(site: str) -> Hidden:
    """`Part.hidden` as it is, but for one site, whose sum is on the grid without noise."""
    plain = Part.hidden

    def hidden(self: Part, vector: np.ndarray, grid: Grid) -> dict[str, np.ndarray]:
        if self.attempt.me == site:
            grid = dataclasses.replace(grid, deviation=0.0)
        return plain(self, vector, grid)

    return hidden


def a_share_of(noise: Callable[[Study], float]) -> Callable[[Study], float]:
    """The study's noise over the sites' number, as if deviations added up like means."""

    def wrong(study: Study) -> float:
        federation = study.federation
        assert federation.secure is not None
        honest = federation.minimum_sites - federation.secure.colluding
        return noise(study) * honest**0.5 / federation.minimum_sites

    return wrong


@pytest.mark.slow
def test_sums_as_they_are_are_not_accused(tmp_path: Path) -> None:
    joint, alone = attack(tmp_path)
    assert 0.95 < joint.epsilon_claimed <= 1.0 < alone.epsilon_claimed < 2.0
    for found in (joint, alone):
        assert not found.refuted
        assert all(each.epsilon_at_least < 0.9 for each in found.findings)
        assert found.noise_found is not None and 0.99 < found.noise_found < 1.1
    written = json.loads((tmp_path / "audit" / "audit.json").read_text(encoding="utf-8"))
    assert [each["against"] for each in written["audits"]] == [joint.against, alone.against]


@pytest.mark.slow
def test_a_site_without_noise_is_refuted_by_its_own_patients_coins(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Part, "hidden", noiseless("north"))
    joint, alone = attack(tmp_path, runs=1)
    assert alone.refuted
    assert max(each.epsilon_at_least for each in alone.findings) > alone.epsilon_claimed
    assert joint.refuted  # of two honest sites' noise one is there
    assert joint.noise_found == pytest.approx(0.5**0.5, rel=0.05)


SMALL = (
    "federation.rounds=2", "privacy.noise_multiplier=1.5", "privacy.epsilon=null",
    "cohort.patients=120", "training.expected_batch=60",
)  # fmt: skip


@pytest.mark.parametrize("fault", ["none", "another site without noise", "shares of the number"])
def test_noise_that_is_missing_in_the_sum_is_measured(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, fault: str
) -> None:
    if fault == "another site without noise":
        monkeypatch.setattr(Part, "hidden", noiseless("south"))
    if fault == "shares of the number":
        monkeypatch.setattr(grids, "share_of_training", a_share_of(grids.share_of_training))
    joint, alone = attack(tmp_path, *SMALL, runs=1, canaries=20)
    assert joint.refuted == (fault != "none")
    assert alone.refuted == (fault == "shares of the number")


def test_an_audit_of_sums_wants_noise(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="and noise"):
        attack(tmp_path, *SMALL, "privacy.noise_multiplier=0", canaries=20, runs=1)


def test_the_noise_is_measured_whatever_the_records_did() -> None:
    rng = np.random.default_rng(0)
    rows = rng.standard_normal((6, 40_000))
    seen = rng.integers(0, 2, 6) @ rows + 3.0 * rng.standard_normal(40_000)
    assert noise_variance(Evidence.of(seen, rows)) ** 0.5 == pytest.approx(3.0, rel=0.02)
    assert noise_variance(Evidence.of(rows.sum(axis=0), rows)) < 1e-6
