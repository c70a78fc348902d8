"""What was trained before counts only where it is what would be trained now."""

import json
from pathlib import Path
from typing import Any

import pytest

from irene_model.errors import ConfigError
from irene_model.study.study import Study
from simulations.compare.trial_grid import Trial
from simulations.compare.trials import RESULT, finished
from tests.helpers.hospital_folder import STUDY


def made(out: Path, **changes: Any) -> Trial:
    """A trial with a result in `out`; `changes` to what is written, None leaves one out."""
    study = Study.model_validate(STUDY)
    trial = Trial(arm="central", site=None, model="irene", seed=0, study=study)
    result = {
        "fingerprint": study.fingerprint,
        "draws": {},
        "evidence": {},
        "start": None,
    } | changes
    trial.folder(out).mkdir(parents=True)
    written = json.dumps({key: value for key, value in result.items() if value is not None})
    (trial.folder(out) / RESULT).write_text(written, encoding="utf-8")
    return trial


def test_a_finished_trial_is_taken_as_it_is(tmp_path: Path) -> None:
    trial = made(tmp_path)
    taken = {"fingerprint": trial.study.fingerprint, "draws": {}, "evidence": {}}
    assert finished(trial, tmp_path) == taken
    assert finished(trial, tmp_path / "elsewhere") is None


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"evidence": None}, "was made by an older version"),
        ({"draws": None}, "was made by an older version, without what intervals over patients"),
        ({"fingerprint": "f"}, "was trained under other settings of 'irene'"),
        ({"start": "0" * 64}, "was trained from another start"),
    ],
)
def test_one_that_is_another_is_refused(tmp_path: Path, changes: dict[str, Any], said: str) -> None:
    trial = made(tmp_path, **changes)
    with pytest.raises(ConfigError, match=said) as caught:
        finished(trial, tmp_path)
    assert str(trial.folder(tmp_path)) in str(caught.value) and "give a new" in str(caught.value)
