"""What a cohort's split came to: a census of its sites, and whether it can be judged."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict

import numpy as np

from client.records import split_of
from client.site import Splits
from irene_model.errors import ConfigError
from irene_model.study import Study
from simulations.hospitals.cohort import Hospital, draw_cohort, stream_of
from simulations.hospitals.folders import labels_of, rows_of
from simulations.hospitals.scenario import Cohort, Scenario
from simulations.hospitals.secure_sums import HELD_OUT_SHARES
from simulations.splits import SiteCensus, SplitRecipe


def draw_census(scenario: Scenario, seed: int) -> list[SiteCensus]:
    """The census of a scenario's synthetic sites, without writing any; as `run` would write them.

    Raises ConfigError for a scenario without a cohort and for a split that does not come out.
    """
    if scenario.cohort is None:
        raise ConfigError("cohort: is required; real folders have no split to draw")
    hospitals = tuple(draw_cohort(scenario.cohort, seed, scenario.study.labels))
    check_tested(scenario.study, scenario.cohort, hospitals)
    return count(scenario.study, scenario.cohort, hospitals, seed)


def count(
    study: Study, cohort: Cohort, hospitals: Sequence[Hospital], seed: int
) -> list[SiteCensus]:
    """One row a site, from the very rows that its tables hold."""
    seen = Counter(p.patient_id for hospital in hospitals for p in hospital.patients)
    return [
        _count(study, hospital, seen, np.random.default_rng([seed, 2, stream_of(cohort, index)]))
        for index, hospital in enumerate(hospitals)
    ]


def check_tested(study: Study, cohort: Cohort, hospitals: Sequence[Hospital]) -> None:
    """Refuse a composed split under which no test patient has one of the labels.

    Nobody could say how well that label is told.
    """
    if not isinstance(cohort.split, SplitRecipe):
        return
    splits = Splits(validation=HELD_OUT_SHARES["validation"], test=HELD_OUT_SHARES["test"])
    found: set[str] = set()
    for hospital in hospitals:
        labels = labels_of(study, hospital)
        for patient in hospital.patients:
            if split_of(patient.patient_id, splits) == "test":
                found |= {n for e in patient.encounters for n in labels if e.truth.get(n)}
    for label in study.labels:
        if label in hospitals[0].patients[0].encounters[0].truth and label not in found:
            raise ConfigError(
                f"cohort.split: no site would have a test patient with '{label}'; give the cohort "
                "more patients, or leave fewer sites without the label"
            )


def _count(
    study: Study, hospital: Hospital, seen: Counter[str], rng: np.random.Generator
) -> SiteCensus:
    people, encounters, labs = rows_of(study, hospital, rng)
    recorded = labels_of(study, hospital)
    total = len(encounters)
    if hospital.character.labs_in == "columns":
        measured = sum(any(k.startswith("lab_") for k in row) for row in encounters)
    else:
        measured = len({row["encounter_id"] for row in labs})
    present = dict.fromkeys(study.modalities, total) | {
        "image": sum(row["image"] is not None for row in encounters),
        "text": sum(row["complaint"] is not None for row in encounters),
        "labs": measured,
    }
    sexes = {person["patient_id"]: person["sex"] for person in people}
    low, middle, high = np.quantile([row["age"] for row in encounters], (0.25, 0.5, 0.75))
    return SiteCensus(
        site=hospital.site.name,
        patients=len(people),
        records=total,
        shared=sum(seen[person["patient_id"]] > 1 for person in people),
        prevalence={
            label: sum(row[label] for row in encounters) / total if label in recorded else None
            for label in study.labels
        },
        presence={
            name: 0.0 if name in hospital.lacks else present[name] / total
            for name in study.modalities
        },
        ages=(float(low), float(middle), float(high)),
        female=sum(sexes[row["patient_id"]] == "f" for row in encounters) / total,
        scanner={name: float(value) for name, value in asdict(hospital.character.scanner).items()},
    )
