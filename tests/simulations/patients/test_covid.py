"""Patients with COVID-19: outcomes that are rare, ordered and told by each modality in part."""

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import roc_auc_score

from simulations.patients.covid import OUTCOMES, draw_covid_patients
from simulations.patients.patients import Encounter
from simulations.patients.revisits import revisit


@pytest.fixture(scope="module")
def admissions() -> list[Encounter]:
    patients = draw_covid_patients(np.random.default_rng(0), num_patients=4000)
    return [patient.encounters[0] for patient in patients]


def test_outcomes_are_rare_and_ventilation_is_in_intensive_care(
    admissions: list[Encounter],
) -> None:
    share = {name: np.mean([e.outcomes[name] for e in admissions]) for name in OUTCOMES}
    assert 0.04 < share["death"] < share["ventilation"] < share["icu"] < 0.25
    assert all(e.outcomes["icu"] >= e.outcomes["ventilation"] for e in admissions)


def test_each_modality_tells_a_part_and_all_tell_more(admissions: list[Encounter]) -> None:
    parts = {
        "film": [[len(e.findings.items), *_most_dense(e)] for e in admissions],
        "blood": [np.log(list(e.labs.values())) for e in admissions],
        "age": [[e.age_years, e.sex == "m"] for e in admissions],
    }
    died = np.array([e.outcomes["death"] for e in admissions])
    told = {name: _auroc(np.array(part, dtype=float), died) for name, part in parts.items()}
    together = _auroc(np.hstack([np.array(p, dtype=float) for p in parts.values()]), died)
    assert all(0.65 < each < 0.87 for each in told.values())
    assert together > max(told.values()) + 0.03


def test_everything_follows_from_the_seed() -> None:
    first, again = (draw_covid_patients(np.random.default_rng(7), num_patients=5) for _ in "ab")
    assert first == again


def test_a_person_who_comes_again_is_as_ill_and_measured_anew() -> None:
    (patient,) = draw_covid_patients(np.random.default_rng(1), num_patients=1)
    again = revisit(patient, np.random.default_rng(2))
    before, after = patient.encounters[0], again.encounters[0]
    assert again.patient_id == patient.patient_id and after.encounter_id != before.encounter_id
    assert after.truth == before.truth and after.findings == before.findings
    assert after.labs != before.labs
    assert after.labs["crp"] == pytest.approx(before.labs["crp"], rel=0.8)


def _most_dense(encounter: Encounter) -> list[float]:
    return [max((item.severity for item in encounter.findings.items), default=0.0)]


def _auroc(values: np.ndarray, truth: np.ndarray) -> float:
    values = (values - values.mean(0)) / values.std(0)
    model = LogisticRegression(max_iter=500).fit(values[:2000], truth[:2000])
    return float(roc_auc_score(truth[2000:], model.predict_proba(values[2000:])[:, 1]))
