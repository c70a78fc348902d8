"""Secure sums beside all other ways to train, in one comparison."""

from pathlib import Path

import pytest

from irene_model.errors import ConfigError
from simulations.compare.trial_grid import grid
from tests.helpers.small_scenario import small_scenario
from tests.simulations.test_secure_run import SECURE


def test_one_arm_has_them_and_all_others_hide_alone_or_not_at_all(tmp_path: Path) -> None:
    scenario = small_scenario(tmp_path, *SECURE)
    trials = {trial.arm: trial for trial in grid(scenario, seeds=1)}
    secure = trials.pop("federated-secure")
    assert secure.study == scenario.study and secure.study.training.expected_batch == 16
    for trial in trials.values():  # four sites of 4 patients a step, or one place of 16
        assert trial.study.federation.secure is None
        assert trial.study.training.expected_batch == 4
    assert trials["personal"].goes_on == secure
    assert trials["federated-dp"].study.privacy == scenario.study.privacy
    assert not trials["federated"].study.privacy.enabled


def test_other_epsilons_are_of_the_sums_too(tmp_path: Path) -> None:
    trials = grid(small_scenario(tmp_path, *SECURE), arms=["federated-secure"], epsilons=[2.0])
    assert {trial.study.privacy.epsilon for trial in trials} == {2.0}
    assert all(trial.study.federation.secure is not None for trial in trials)


def test_a_study_without_them_has_no_such_arm(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"arm federated-secure: the study has no secure sums"):
        grid(small_scenario(tmp_path), arms=["federated-secure"])
