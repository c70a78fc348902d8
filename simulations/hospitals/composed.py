"""A cohort dealt to its sites by a composed split: one population, and one skew for each part.

Every part draws from a stream of its own, so that one more changes nothing that another drew.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np
import numpy.typing as npt

from irene_model.errors import ConfigError
from simulations.hospitals.characters import CHARACTERS, Character
from simulations.hospitals.scenario import Cohort
from simulations.patients import Encounter, Patient, Scanner, revisit
from simulations.splits import (
    DealError,
    SplitRecipe,
    deal,
    label_suits,
    lacking,
    rates,
    scanners,
    site_sizes,
    tilted,
    visitors,
)

_COLD = ("fever", "sputum", "dry_cough")
_STREAMS = ("sizes", "label", "age", "season", "dealt", "unseen", "unrecorded", "absent",
            "missing", "scanner", "shared")  # fmt: skip


def dealt(
    cohort: Cohort, recipe: SplitRecipe, patients: Sequence[Patient], seed: int
) -> list[list[Patient]]:
    """The patients of each site; one who is seen at several is there at each of them.

    Raises ConfigError where the parts can't all hold.
    """
    sites = len(cohort.sites)
    quantity, shared = recipe.quantity, recipe.shared
    if shared is not None and shared.sites > sites:
        raise ConfigError(
            f"cohort.split.shared.sites: {shared.sites} are more than the {sites} sites there are"
        )
    shares = [site.share for site in cohort.sites]
    try:
        capacities = site_sizes(
            len(patients),
            shares,
            alpha=None if quantity is None else quantity.alpha,
            power=None if quantity is None else quantity.power,
            least=1 if quantity is None else quantity.least,
            rng=_stream(seed, "sizes"),
        )
    except ValueError as error:
        raise ConfigError(
            f"cohort.split.quantity.least: {error}; give the cohort more patients"
        ) from None
    allowed = _allowed(recipe, patients, sites, seed)
    try:
        homes = deal(
            capacities, _suits(recipe, patients, sites, seed), allowed, _stream(seed, "dealt")
        )
    except DealError:
        raise ConfigError(
            "cohort.split.label_sets.unseen: a patient's diseases leave him no site with a place; "
            "take a smaller share, more sites or another seed"
        ) from None
    found = [[patients[int(n)] for n in np.flatnonzero(homes == site)] for site in range(sites)]
    if shared is not None:
        rng = _stream(seed, "shared")
        for patient, site in visitors(
            homes, sites, share=shared.share, sites=shared.sites, rng=rng
        ):
            if allowed[patient, site]:
                found[site].append(revisit(patients[patient], rng))
    return found


def composed_characters(cohort: Cohort, recipe: SplitRecipe, seed: int) -> list[Character]:
    """Each site's character under the recipe."""
    sites = len(cohort.sites)
    natural = recipe.characters == "natural"
    found = [CHARACTERS[index % len(CHARACTERS) if natural else 0] for index in range(sites)]
    if recipe.modality is not None and recipe.modality.missing:
        drawn = rates(sites, dict(recipe.modality.missing.items()), _stream(seed, "missing"))
        found = [
            replace(
                each,
                missing_image=own.get("image", each.missing_image),
                missing_text=own.get("text", each.missing_text),
                missing_labs=own.get("labs", each.missing_labs),
            )
            for each, own in zip(found, drawn, strict=True)
        ]
    if recipe.shift is not None and recipe.shift.scanner:
        machines = scanners(sites, recipe.shift.scanner, _stream(seed, "scanner"))
        found = [
            replace(each, scanner=Scanner(inverted=each.scanner.inverted, **machine))
            for each, machine in zip(found, machines, strict=True)
        ]
    return found


def composed_gaps(
    cohort: Cohort, recipe: SplitRecipe, labels: Sequence[str], seed: int
) -> tuple[list[frozenset[str]], list[frozenset[str]]]:
    """The modalities and the labels that each site lacks by the recipe."""
    sites = len(cohort.sites)
    absent = {} if recipe.modality is None else recipe.modality.absent
    unrecorded = 0.0 if recipe.label_sets is None else recipe.label_sets.unrecorded
    return (
        lacking(sites, absent, _stream(seed, "absent")),
        lacking(sites, dict.fromkeys(labels, unrecorded), _stream(seed, "unrecorded")),
    )


def first_disease(patient: Patient) -> int:
    """The place of the first disease, or worst outcome, at the first visit; their number: none."""
    first = patient.encounters[0]
    labels = tuple(first.outcomes.values()) or first.labels
    return labels.index(1) if 1 in labels else len(labels)


def _suits(
    recipe: SplitRecipe, patients: Sequence[Patient], sites: int, seed: int
) -> npt.NDArray[np.float64]:
    suits = np.ones((len(patients), sites))
    if recipe.label is not None:
        classes = np.array([first_disease(patient) for patient in patients])
        suits *= label_suits(classes, sites, recipe.label.alpha, _stream(seed, "label"))
    if recipe.shift is not None and recipe.shift.age:
        ages = np.array([patient.encounters[0].age_years for patient in patients], dtype=float)
        moved = recipe.shift.age * _stream(seed, "age").standard_normal(sites)
        suits *= tilted(ages, moved / max(ages.var(), 1.0))
    if recipe.shift is not None and recipe.shift.season:
        colds = np.array([_cold(patient.encounters[0]) for patient in patients], dtype=float)
        winter = _stream(seed, "season").permutation(np.linspace(-0.5, 0.5, sites))
        suits *= tilted(colds, recipe.shift.season * winter)
    return suits


def _allowed(
    recipe: SplitRecipe, patients: Sequence[Patient], sites: int, seed: int
) -> npt.NDArray[np.bool_]:
    """(patients, sites): False where the site never sees a disease that the patient has once."""
    if recipe.label_sets is None or not recipe.label_sets.unseen:
        return np.ones((len(patients), sites), dtype=bool)
    unseen, first = recipe.label_sets.unseen, patients[0].encounters[0]
    known = first.outcomes or first.truth
    hidden = lacking(sites, dict.fromkeys(known, unseen), _stream(seed, "unseen"))
    blind = np.array([[name in names for names in hidden] for name in known])
    ill = np.array([[any(e.truth[n] for e in p.encounters) for n in known] for p in patients])
    allowed: npt.NDArray[np.bool_] = ~(ill @ blind)
    return allowed


def _cold(encounter: Encounter) -> int:
    return sum(name in encounter.symptoms for name in _COLD)


def _stream(seed: int, part: str) -> np.random.Generator:
    return np.random.default_rng([seed, 4, _STREAMS.index(part)])


def refuse_bare(lacks: Mapping[str, frozenset[str]], everything: Sequence[str], what: str) -> None:
    """ConfigError for a site that would have none of `everything`."""
    for site, names in lacks.items():
        if set(everything) <= names:
            raise ConfigError(
                f"cohort: the site '{site}' would have no {what} at all; take a smaller share or "
                "another seed"
            )
