"""A scenario's patients, shared out to its sites.

A natural split gives each site a character of its own. The other splits give all sites the first
character, so that nothing but the split differs. A composed split says itself what differs.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from irene_model.errors import ConfigError
from irene_model.study import RESERVED
from simulations.hospitals.characters import ARCHIVE, CHARACTERS, Character
from simulations.hospitals.composed import (
    composed_characters,
    composed_gaps,
    dealt,
    first_disease,
    refuse_bare,
)
from simulations.hospitals.scenario import Cohort, SimulatedSite
from simulations.patients import (
    DEFAULT_PREVALENCE,
    Patient,
    draw_covid_patients,
    draw_patients,
    draw_related_patients,
)
from simulations.splits import SplitRecipe, iid, label_skew, quantity_skew, sizes

_ARCHIVES = 1_000_000  # no scenario has as many sites


@dataclass(frozen=True, kw_only=True)
class Hospital:
    """One site of the scenario with its character, its patients and what it lacks."""

    site: SimulatedSite
    character: Character
    patients: tuple[Patient, ...]
    lacks: frozenset[str]


def draw_cohort(cohort: Cohort, seed: int, labels: Sequence[str] = ()) -> Iterator[Hospital]:
    """The sites with their patients, all following from `seed`; `labels` are the study's.

    Raises ConfigError for a split that leaves a site without patients, modalities or labels.
    """
    shares = [site.share for site in cohort.sites]
    rng = np.random.default_rng([seed, 1])
    if cohort.split == "natural":
        for index, count in enumerate(sizes(cohort.patients, shares)):
            archive = cohort.sites[index].archive
            character = ARCHIVE if archive else CHARACTERS[index % len(CHARACTERS)]
            prevalence = {
                name: DEFAULT_PREVALENCE[name] * factor
                for name, factor in character.prevalence.items()
            }
            own = np.random.default_rng([seed, 1, stream_of(cohort, index)])
            patients = _draw(cohort, own, count, prevalence)
            yield _hospital(cohort, index, character, patients)
        return
    patients = _draw(cohort, rng, cohort.patients)
    if isinstance(cohort.split, SplitRecipe):
        yield from _composed(cohort, cohort.split, patients, seed, labels)
        return
    match cohort.split:
        case "iid":
            assigned = iid(len(patients), shares, rng)
        case "quantity_skew":
            assigned = quantity_skew(len(patients), len(shares), cohort.alpha, rng)
        case "label_skew":
            classes = [first_disease(patient) for patient in patients]
            assigned = label_skew(classes, shares, cohort.alpha, rng)
    for index in range(len(shares)):
        members = [patients[number] for number in np.flatnonzero(assigned == index)]
        if not members:
            raise ConfigError(
                f"cohort.split: alpha {cohort.alpha:g} left the site "
                f"'{cohort.sites[index].name}' without patients; take a larger alpha or seed"
            )
        yield _hospital(cohort, index, CHARACTERS[0], members)


def stream_of(cohort: Cohort, index: int) -> int:
    """What seeds everything random of a site, beside the seed.

    An archive shares no patient with a hospital of the same seed, whatever its place in the list.
    """
    return index + _ARCHIVES if cohort.sites[index].archive else index


def _draw(
    cohort: Cohort,
    rng: np.random.Generator,
    count: int,
    prevalence: Mapping[str, float] | None = None,
) -> list[Patient]:
    if cohort.illness == "covid":
        return draw_covid_patients(rng, num_patients=count)
    related = round(cohort.relations * count)
    plain = draw_patients(rng, num_patients=count - related, prevalence=prevalence)
    if not related:
        return plain
    mixed = [*plain, *draw_related_patients(rng, num_patients=related)]
    return [mixed[int(index)] for index in rng.permutation(count)]


def _composed(
    cohort: Cohort,
    recipe: SplitRecipe,
    patients: Sequence[Patient],
    seed: int,
    labels: Sequence[str],
) -> Iterator[Hospital]:
    members = dealt(cohort, recipe, patients, seed)
    characters = composed_characters(cohort, recipe, seed)
    absent, unrecorded = composed_gaps(cohort, recipe, labels, seed)
    found = [
        _hospital(cohort, index, character, own)
        for index, (character, own) in enumerate(zip(characters, members, strict=True))
    ]
    found = [
        replace(
            each,
            lacks=each.lacks | gaps,
            site=each.site.model_copy(
                update={"lacks_labels": tuple(sorted({*each.site.lacks_labels, *unfiled}))}
            ),
        )
        for each, gaps, unfiled in zip(found, absent, unrecorded, strict=True)
    ]
    refuse_bare({each.site.name: each.lacks for each in found}, RESERVED, "modality")
    if labels:
        files = {each.site.name: frozenset(each.site.lacks_labels) for each in found}
        refuse_bare(files, labels, "label")
    yield from found


def _hospital(
    cohort: Cohort, index: int, character: Character, patients: Sequence[Patient]
) -> Hospital:
    site = cohort.sites[index]
    changes = {
        "missing_lab": site.missing,
        "tables": site.tables,
        "images": site.images,
    }
    given = {name: value for name, value in changes.items() if value is not None}
    return Hospital(
        site=site,
        character=replace(character, **given),  # type: ignore[arg-type]
        patients=tuple(patients),
        lacks=frozenset((*cohort.lacks, *site.lacks)),
    )
