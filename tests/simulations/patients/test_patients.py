"""Synthetic patients and complaints: reproducible, plausible, and hard for the right reason."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import roc_auc_score

from simulations.patients.complaints import (
    MAX_WORDS,
    MIN_WORDS,
    PHRASINGS,
    WORDINGS,
    WORDS,
    split_words,
    write,
)
from simulations.patients.diseases import ABNORMALITIES, DEFAULT_PREVALENCE, PRESENTATIONS
from simulations.patients.patients import DISEASES, LAB_PANEL, SYMPTOMS, Encounter, draw_patients
from simulations.patients.radiographs import FINDING_KINDS

TESTS = {test.name: test for test in LAB_PANEL}


@pytest.fixture(scope="module")
def encounters() -> list[Encounter]:
    patients = draw_patients(np.random.default_rng(7), num_patients=4500)
    return [encounter for patient in patients for encounter in patient.encounters]


def test_a_seed_decides_everything() -> None:
    first, second = (draw_patients(np.random.default_rng(3), num_patients=20) for _ in range(2))
    assert first == second
    assert draw_patients(np.random.default_rng(4), num_patients=20) != first


def test_patients_have_distinct_ids_and_one_to_four_encounters_in_order_of_age() -> None:
    patients = draw_patients(np.random.default_rng(0), num_patients=400)
    assert len({patient.patient_id for patient in patients}) == 400
    counts = [len(patient.encounters) for patient in patients]
    assert set(counts) == {1, 2, 3, 4} and np.mean(np.equal(counts, 1)) > 0.6
    for patient in patients:
        ages = [encounter.age_years for encounter in patient.encounters]
        assert ages == sorted(ages)
        assert len({encounter.sex for encounter in patient.encounters}) == 1


def test_prevalences_hold_over_encounters(encounters: list[Encounter]) -> None:
    shares = np.mean([encounter.labels for encounter in encounters], axis=0)
    assert shares == pytest.approx([DEFAULT_PREVALENCE[name] for name in DISEASES], abs=0.02)


def test_a_site_sets_its_own_prevalence() -> None:
    patients = draw_patients(
        np.random.default_rng(1), num_patients=1500, prevalence={"tuberculosis": 0.3, "copd": 0}
    )
    labels = np.array([e.labels for patient in patients for e in patient.encounters])
    assert labels[:, DISEASES.index("tuberculosis")].mean() == pytest.approx(0.3, abs=0.04)
    assert labels[:, DISEASES.index("copd")].sum() == 0


@pytest.mark.parametrize("prevalence", [{"gout": 0.1}, {"copd": 0.6}, {"copd": -0.1}])
def test_impossible_prevalences_are_refused(prevalence: dict[str, float]) -> None:
    with pytest.raises(ValueError, match="prevalence"):
        draw_patients(np.random.default_rng(0), num_patients=1, prevalence=prevalence)


def test_a_chronic_disease_stays_with_the_patient() -> None:
    patients = draw_patients(np.random.default_rng(2), num_patients=2500)
    copd = DISEASES.index("copd")
    pairs = [(p.encounters[0].labels[copd], p.encounters[1].labels[copd])
             for p in patients if len(p.encounters) > 1]  # fmt: skip
    again = [later for first, later in pairs if first]
    assert np.mean(again) > 0.85


def test_labs_cover_the_panel_and_abnormalities_leave_the_interval(
    encounters: list[Encounter],
) -> None:
    assert all(set(encounter.labs) == set(TESTS) for encounter in encounters)
    for abnormality, factors in ABNORMALITIES.items():
        name, factor = max(factors.items(), key=lambda item: abs(np.log(item[1])))
        test = TESTS[name]
        for flagged in (True, False):
            values = np.array(
                [e.labs[name] for e in encounters if (abnormality in e.abnormalities) is flagged]
            )
            outside = values > test.high if factor > 1 else values < test.low
            assert outside.mean() > 0.85 if flagged else outside.mean() < 0.2, abnormality


def test_presentations_are_distinct_and_made_of_known_elements() -> None:
    triples = [
        (p.finding, p.symptom, p.abnormality) for pair in PRESENTATIONS.values() for p in pair
    ]
    assert len(set(triples)) == len(triples)
    assert {finding for finding, *_ in triples} == set(FINDING_KINDS) - {"skin_fold"}
    assert {symptom for _, symptom, _ in triples} <= set(SYMPTOMS)
    assert {abnormality for *_, abnormality in triples} == set(ABNORMALITIES)


def _macro_auroc(features: np.ndarray, labels: np.ndarray) -> float:
    half = len(labels) // 2
    values = []
    for column in labels.T:
        model = LogisticRegression(C=0.3, max_iter=300).fit(features[:half], column[:half])
        values.append(roc_auc_score(column[half:], model.decision_function(features[half:])))
    return float(np.mean(values))


def test_relating_modalities_beats_adding_them_which_beats_each_alone(
    encounters: list[Encounter],
) -> None:
    kinds = [kind for kind in FINDING_KINDS if kind != "skin_fold"]
    image = np.array([[kind in e.findings.kinds for kind in kinds] for e in encounters], float)
    words = np.array([[name in e.symptoms for name in SYMPTOMS] for e in encounters], float)
    labs = np.array([[n in e.abnormalities for n in ABNORMALITIES] for e in encounters], float)
    labels = np.array([encounter.labels for encounter in encounters])
    products = [
        np.einsum("na,nb->nab", one, other).reshape(len(labels), -1)
        for one, other in ((image, words), (image, labs), (words, labs))
    ]
    together = np.hstack([image, words, labs])
    alone = [_macro_auroc(features, labels) for features in (image, words, labs)]
    added = _macro_auroc(together, labels)
    related = _macro_auroc(np.hstack([together, *products]), labels)
    assert all(0.78 < value < 0.87 for value in alone)
    assert 0.92 < added < 0.955
    assert related > added + 0.02 and related > 0.96


def test_wordings_cover_the_symptoms_in_a_small_vocabulary() -> None:
    assert set(WORDINGS) == set(SYMPTOMS)
    assert len(WORDS) <= 350 and list(WORDS) == sorted(set(WORDS))


@settings(max_examples=150, deadline=None)
@given(
    symptoms=st.sets(st.sampled_from(SYMPTOMS)),
    phrasing=st.sampled_from(sorted(PHRASINGS)),
    seed=st.integers(0, 2**32 - 1),
)
def test_a_complaint_mentions_each_symptom_within_bounds(
    symptoms: set[str], phrasing: str, seed: int
) -> None:
    text = write(symptoms, rng=np.random.default_rng(seed), phrasing=phrasing)
    assert text == write(symptoms, rng=np.random.default_rng(seed), phrasing=phrasing)
    words = split_words(text)
    assert MIN_WORDS <= len(words) <= MAX_WORDS
    assert set(words) <= set(WORDS)
    for name in symptoms:
        phrases = WORDINGS[name].plain + WORDINGS[name].short
        assert any(phrase in text.lower() for phrase in phrases), name


def test_some_complaints_deny_an_absent_symptom() -> None:
    rng = np.random.default_rng(0)
    texts = [write({"dyspnoea"}, rng=rng, phrasing="sentences") for _ in range(200)]
    assert 0.1 < np.mean(["Denies" in text for text in texts]) < 0.4
    assert not any("Denies dyspnoea" in text for text in texts)


def test_unknown_symptoms_and_phrasings_are_refused() -> None:
    with pytest.raises(ValueError, match="symptoms"):
        write({"hiccups"}, rng=np.random.default_rng(0))
    with pytest.raises(ValueError, match="phrasing"):
        write((), rng=np.random.default_rng(0), phrasing="poetry")
