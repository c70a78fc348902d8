"""Where sensitivity is told belongs to the study, and changes none that does not say so."""

import pytest

from irene_model.errors import ConfigError
from irene_model.study.settings import parse
from irene_model.study.study import Study
from tests.irene_model.study.test_settings import STUDY


def study(**evaluation: object) -> Study:
    return parse(Study, {**STUDY, "evaluation": evaluation}, "study.yaml")


def test_a_study_that_says_nothing_keeps_its_contract() -> None:
    plain = study()
    assert plain.evaluation.specificities == (0.9, 0.95)
    assert "specificities" not in plain.canonical and "start" not in plain.canonical
    assert study(specificities=[0.9, 0.95]).fingerprint == plain.fingerprint
    other = study(specificities=[0.8])
    assert other.fingerprint != plain.fingerprint
    assert Study.from_canonical(other.canonical) == other


@pytest.mark.parametrize("wrong", [[], [0.0], [1.0], [float("nan")], [0.9, 0.9], "0.9"])
def test_what_is_no_specificity_is_refused(wrong: object) -> None:
    with pytest.raises(ConfigError, match=r"study.yaml: evaluation.specificities"):
        study(specificities=wrong)
