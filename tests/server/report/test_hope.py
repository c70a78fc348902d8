"""What a run could learn, from the lines of its rounds."""

from typing import Any

from irene_model.study.study import Study
from server.report.hope import hope_of
from tests.helpers.hospital_folder import STUDY


def line(*sites: dict[str, Any]) -> dict[str, Any]:
    return {"sites": {f"site {number}": entry for number, entry in enumerate(sites)}}


def site(noise: float, rate: float, weight: float) -> dict[str, Any]:
    return {"weight": weight, "noise_multiplier": noise, "sample_rate": rate}


FAILED = {"outcome": "failed", "weight": 0.0}


def test_few_patients_are_told_and_many_are_not() -> None:
    study = Study.model_validate(STUDY)
    few = hope_of(study, [line(FAILED), line(site(5.0, 0.1, 40.0), FAILED)])
    assert few is not None and "near chance" in few
    large = Study.model_validate({**STUDY, "training": {"expected_batch": 60_000}})
    assert hope_of(large, [line(site(1.0, 0.5, 120_000.0))]) is None


def test_a_batch_is_never_larger_than_the_cohort() -> None:
    large = Study.model_validate({**STUDY, "training": {"expected_batch": 60_000}})
    assert hope_of(large, [line(site(1.0, 1.0, 10.0))]) is not None


def test_without_noise_updates_or_rounds_nothing_is_said() -> None:
    study = Study.model_validate(STUDY)
    assert hope_of(study, [line(site(0.0, 0.1, 40.0))]) is None
    assert hope_of(study, [line(FAILED)]) is None
    assert hope_of(study, []) is None
