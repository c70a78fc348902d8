"""A cohort with relations; and that cohorts without are, bit by bit, what they were before."""

import hashlib
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from irene_model.errors import ConfigError
from simulations.hospitals.cohort import draw_cohort
from simulations.hospitals.folders import rows_of
from simulations.hospitals.scenario import Scenario
from simulations.patients.covid import draw_covid_patients
from simulations.patients.patients import Patient, draw_patients
from simulations.patients.radiographs import Scanner, draw
from simulations.patients.remarks import note

SCENARIOS = Path(__file__).parents[3] / "simulations" / "scenarios"
STYLES = ("terse", "sentences", "abbreviated", "nurse")
# Of 40 patients of seed 11, and of 12 of their films, before there were relations.
BEFORE = {
    draw_patients: (
        "a1f8ac4012994b1bc17c05177d1e30c9215aa54bb6dd7708905da8a2c89650d8",
        1_541_384,
        1904170396,
    ),
    draw_covid_patients: (
        "9b820fd8df1a13be252c890c22383271aa4e652099bba22f07b1aa5751188d24",
        1_651_560,
        349692014,
    ),
}


@pytest.mark.parametrize("drawing", BEFORE)
def test_patients_films_and_notes_without_relations_are_those_of_earlier_versions(
    drawing: Callable[..., list[Patient]],
) -> None:
    digest, grey, next_number = BEFORE[drawing]
    rng, rows, films = np.random.default_rng(12), [], []
    for patient in drawing(np.random.default_rng(11), num_patients=40):
        for number, each in enumerate(patient.encounters):
            films.append(each.findings)
            seen = [(i.kind, i.side, i.zone, round(i.severity, 6)) for i in each.findings.items]
            told = note(each.symptoms, each.remarks, rng=rng, phrasing=STYLES[number % 4])
            truth, labs = tuple(each.truth.items()), tuple(each.labs.items())
            who = (patient.patient_id, each.encounter_id, each.age_years, each.sex)
            rows.append((*who, truth, seen, each.symptoms, labs, each.abnormalities, told))
    assert hashlib.sha256(repr(rows).encode()).hexdigest() == digest
    assert int(rng.integers(2**31)) == next_number
    drawn = [
        draw(film, rng=np.random.default_rng(number), scanner=Scanner(), size=32)
        for number, film in enumerate(films[:12])
    ]
    # Another processor may round a grey level otherwise.
    assert sum(int(film.sum()) for film in drawn) == pytest.approx(grey, rel=1e-4)


def test_relations_are_of_a_share_of_the_patients_at_every_site() -> None:
    scenario = _scenario("cohort.patients=400", "cohort.relations=0.5")
    assert scenario.cohort is not None
    for hospital in draw_cohort(scenario.cohort, 0, scenario.study.labels):
        remarked = [bool(p.encounters[0].remarks) for p in hospital.patients]
        # Some nine in ten stories have a remark, and no ordinary patient has.
        assert 0.3 < np.mean(remarked) <= 0.5
        assert any(remarked[: len(remarked) // 2]) and not all(remarked[len(remarked) // 2 :])
        _, rows, _ = rows_of(scenario.study, hospital, np.random.default_rng(0))
        words = [str(row["complaint"]).lower() for row in rows]
        assert np.mean([" left" in f" {text}" or " right" in f" {text}" for text in words]) > 0.1


def test_a_cohort_without_relations_is_written_as_before() -> None:
    plain, related = (
        _scenario("cohort.patients=400", f"cohort.relations={share}") for share in (0, 0.25)
    )
    assert "relations" not in plain.model_dump()["cohort"]
    assert related.model_dump()["cohort"]["relations"] == 0.25


@pytest.mark.parametrize("wrong", ["1.5", "-0.1", "many"])
def test_a_share_that_is_none_is_refused(wrong: str) -> None:
    with pytest.raises(ConfigError, match=r"cohort\.relations"):
        _scenario(f"cohort.relations={wrong}")


def test_relations_of_covid_are_refused() -> None:
    with pytest.raises(ConfigError, match="leave illness out"):
        Scenario.read(SCENARIOS / "covid.yaml", ["cohort.relations=0.5"])


def _scenario(*settings: str) -> Scenario:
    return Scenario.read(SCENARIOS / "methods.yaml", list(settings))
