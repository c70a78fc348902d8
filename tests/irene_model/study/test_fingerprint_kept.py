"""What is computed once of a study is that study's alone."""

import copy
import pickle

from irene_model.study.study import Study
from tests.helpers.hospital_folder import STUDY


def test_a_changed_copy_has_a_fingerprint_of_its_own() -> None:
    study = Study.model_validate(STUDY)
    known = (study.canonical, study.fingerprint)
    changed = study.model_copy(update={"name": "another"})
    assert (changed.canonical, changed.fingerprint) == (
        Study.model_validate({**STUDY, "name": "another"}).canonical,
        Study.model_validate({**STUDY, "name": "another"}).fingerprint,
    )
    assert changed.fingerprint != known[1]
    assert (study.canonical, study.fingerprint) == known


def test_a_study_equals_one_of_which_nothing_was_computed_yet() -> None:
    study, other = Study.model_validate(STUDY), Study.model_validate(STUDY)
    known = study.fingerprint
    assert study == other and other.fingerprint == known
    for each in (copy.deepcopy(study), pickle.loads(pickle.dumps(study)), study.model_copy()):
        assert each == other and each.fingerprint == known
    assert "fingerprint" not in study.model_dump()
