"""Synthetic patients: who is ill, and what their image, their words and their blood then show.

Why this shape: IRENE's claim is that relating modalities beats adding them up, so the data must
reward relating. A look-alike is a person without the disease who shows elements of both its
presentations crossed (the finding of one, the complaint of the other): every part fits, the whole
does not. Adding up the parts cannot tell the two apart. Partial look-alikes and a little
background keep each part modestly useful alone.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from math import exp
from typing import Literal

import numpy as np

from simulations.patients.diseases import (
    ABNORMALITIES,
    DEFAULT_PREVALENCE,
    DISEASES,
    LAB_PANEL,
    PERSISTENCE,
    PRESENTATIONS,
    RISKS,
    SYMPTOMS,
    LabTest,
    Presentation,
    Risk,
)
from simulations.patients.radiographs import FINDING_KINDS, Finding, FindingKind, Findings
from simulations.patients.remarks import Remark

__all__ = ["DISEASES", "LAB_PANEL", "SYMPTOMS", "Encounter", "LabTest", "Patient", "draw_patients"]

_SENSITIVITY = 0.92  # chance that a presentation's element shows
_CROSSED = 0.7  # look-alikes with crossed presentations, for each person with the disease
_PARTIAL = 1.2  # look-alikes with one or two fitting elements, likewise
_BACKGROUND = 0.02  # chance of an element without any reason
_CHATTER: Mapping[str, float] = {"fatigue": 0.12, "dyspnoea": 0.05}
_SKIN_FOLD = 0.05
_SMOKER_SHARE = 0.3
_FOCAL: frozenset[FindingKind] = frozenset({"opacity", "cavity", "mass"})
_LOWER: Literal[2] = 2
_RECORDS_SHARE = (0.76, 0.15, 0.06, 0.03)  # patients with 1, 2, 3 and 4 encounters
_MEAN_AGE_YEARS, _AGE_SPREAD_YEARS = 58.0, 18.0


@dataclass(frozen=True, kw_only=True)
class Encounter:
    """One visit: what a hospital files, and the truth behind it.

    `labels` is 0 or 1 for each of `DISEASES`; `labs` maps every test's name to a value in the
    panel's unit; `symptoms` are names from `SYMPTOMS`, to be put in words; `abnormalities` name
    what truly shifted the labs, and are never filed. `outcomes` are what followed, where the
    cohort has any (`covid`), `remarks` what the note tells beside symptoms (`related`).
    """

    encounter_id: str
    age_years: int
    sex: Literal["f", "m"]
    labels: tuple[int, ...]
    findings: Findings
    symptoms: tuple[str, ...]
    labs: Mapping[str, float]
    abnormalities: tuple[str, ...]
    outcomes: Mapping[str, int] = field(default_factory=dict)
    remarks: tuple[Remark, ...] = ()

    @property
    def truth(self) -> Mapping[str, int]:
        """0 or 1 for each disease and outcome."""
        return {**dict(zip(DISEASES, self.labels, strict=True)), **self.outcomes}


@dataclass(frozen=True, kw_only=True)
class Patient:
    """One person with one to four encounters, in order of time."""

    patient_id: str
    encounters: tuple[Encounter, ...]


@dataclass(frozen=True, kw_only=True)
class _Elements:
    """What one encounter shows, before it is drawn, worded and measured."""

    findings: set[FindingKind]
    symptoms: set[str]
    abnormalities: set[str]


def draw_patients(
    rng: np.random.Generator,
    *,
    num_patients: int,
    prevalence: Mapping[str, float] | None = None,
) -> list[Patient]:
    """Draw patients of one hospital.

    Args:
        rng: the only source of chance.
        num_patients: how many persons; encounters are about 1.36 times as many.
        prevalence: share of encounters with each disease, between 0 and 0.5; a disease left out
            has `DEFAULT_PREVALENCE`.

    Raises:
        ValueError: an unknown disease, or a prevalence out of bounds.
    """
    shares = {**DEFAULT_PREVALENCE, **(prevalence or {})}
    if unknown := sorted(set(shares) - set(DISEASES)):
        raise ValueError(f"prevalence: unknown diseases {unknown}; known are {list(DISEASES)}")
    if wrong := sorted(name for name, share in shares.items() if not 0 <= share <= 0.5):
        raise ValueError(f"prevalence: {wrong} must be within [0, 0.5]")
    return [_draw_patient(rng, shares) for _ in range(num_patients)]


def _draw_patient(rng: np.random.Generator, shares: Mapping[str, float]) -> Patient:
    age = float(np.clip(rng.normal(_MEAN_AGE_YEARS, _AGE_SPREAD_YEARS), 18, 95))
    male, smoker = bool(rng.random() < 0.5), bool(rng.random() < _SMOKER_SHARE)
    chances = {
        name: min(shares[name] * _relative_risk(RISKS[name], age, male, smoker), 0.8)
        for name in DISEASES
    }
    ill = {name: bool(rng.random() < chances[name]) for name in DISEASES}
    # The way a disease shows itself is the patient's own, and stays.
    habit = {name: int(rng.integers(2)) for name in DISEASES}
    encounters = []
    for visit in range(1 + int(rng.choice(len(_RECORDS_SHARE), p=_RECORDS_SHARE))):
        if visit:
            age = min(age + rng.exponential(0.7), 99.0)
            ill = {name: _still_ill(rng, name, ill[name], chances[name]) for name in DISEASES}
        elements = _show(rng, ill, habit, shares, smoker)
        encounters.append(
            Encounter(
                encounter_id=rng.bytes(8).hex(),
                age_years=int(age),
                sex="m" if male else "f",
                labels=tuple(int(ill[name]) for name in DISEASES),
                findings=_place(rng, elements.findings),
                symptoms=tuple(name for name in SYMPTOMS if name in elements.symptoms),
                labs=measure(rng, elements.abnormalities),
                abnormalities=tuple(n for n in ABNORMALITIES if n in elements.abnormalities),
            )
        )
    return Patient(patient_id=rng.bytes(8).hex(), encounters=tuple(encounters))


def _relative_risk(risk: Risk, age_years: float, male: bool, smoker: bool) -> float:
    """The risk of this person over the population's mean, so that prevalences hold.

    The mean of exp(b z) is exp(b^2 / 2) for a standard normal z; clipping ages moves it little.
    """
    z = (age_years - _MEAN_AGE_YEARS) / _AGE_SPREAD_YEARS
    mean = exp(risk.age**2 / 2) * (0.5 + 0.5 * exp(risk.male))
    mean *= 1 - _SMOKER_SHARE + _SMOKER_SHARE * exp(risk.smoker)
    return exp(risk.age * z + risk.male * male + risk.smoker * smoker) / mean


def _still_ill(rng: np.random.Generator, name: str, ill: bool, chance: float) -> bool:
    """The next visit's status; new cases balance recoveries, so that the prevalence is stable."""
    if ill:
        return bool(rng.random() < PERSISTENCE[name])
    return bool(rng.random() < chance * (1 - PERSISTENCE[name]) / (1 - chance))


def _show(
    rng: np.random.Generator,
    ill: Mapping[str, bool],
    habit: Mapping[str, int],
    shares: Mapping[str, float],
    smoker: bool,
) -> _Elements:
    elements = _background(rng, smoker)
    for name in DISEASES:
        fate = rng.random()
        own, other = PRESENTATIONS[name][habit[name]], PRESENTATIONS[name][1 - habit[name]]
        if ill[name]:
            _add(rng, elements, (own, own, own))
        elif fate < _CROSSED * shares[name]:
            crossed = [own, own, own]
            crossed[int(rng.integers(3))] = other
            _add(rng, elements, (crossed[0], crossed[1], crossed[2]))
        elif fate < (_CROSSED + _PARTIAL) * shares[name]:
            parts: list[Presentation | None] = [None, None, None]
            first = int(rng.integers(3))
            parts[first] = own
            if rng.random() < 0.5:
                parts[(first + 1) % 3] = own
            _add(rng, elements, (parts[0], parts[1], parts[2]))
    return elements


def _background(rng: np.random.Generator, smoker: bool) -> _Elements:
    elements = _Elements(
        findings={k for k in FINDING_KINDS if k != "skin_fold" and rng.random() < _BACKGROUND},
        symptoms={name for name in SYMPTOMS if rng.random() < _CHATTER.get(name, _BACKGROUND)},
        abnormalities={name for name in ABNORMALITIES if rng.random() < _BACKGROUND},
    )
    if rng.random() < _SKIN_FOLD:
        elements.findings.add("skin_fold")
    if smoker and rng.random() < 0.5:
        elements.symptoms.add("smoker")
    return elements


def _add(
    rng: np.random.Generator,
    elements: _Elements,
    source: tuple[Presentation | None, Presentation | None, Presentation | None],
) -> None:
    """Take the finding of the first, the symptom of the second, the abnormality of the third."""
    finding, symptom, abnormality = source
    seen = rng.random(3) < _SENSITIVITY
    if finding and seen[0]:
        elements.findings.add(finding.finding)
    if symptom and seen[1]:
        elements.symptoms.add(symptom.symptom)
    if abnormality and seen[2]:
        elements.abnormalities.add(abnormality.abnormality)


def _place(rng: np.random.Generator, kinds: set[FindingKind]) -> Findings:
    """Give each finding a place where the others do not hide it, and a severity."""
    collapsed, tubes = _draw_sides(rng, kinds)
    spots: list[tuple[Literal[0, 1], Literal[0, 1, 2]]] = [
        (side, zone) for side in (0, 1) for zone in (0, 1, 2)
    ]
    spots = [spots[int(i)] for i in rng.permutation(len(spots))]
    # Best spots last, where pop takes them: clear lung before crowded lung.
    wet = kinds & {"air", "fluid"}
    spots.sort(
        key=lambda spot: (
            -(
                (2 + spot[1]) * bool(wet and spot[0] == collapsed)
                + 3 * ("bronchial_walls" in kinds and spot[0] == tubes and spot[1] > 0)
            )
        )
    )
    items = []
    for kind in (kind for kind in FINDING_KINDS if kind in kinds):
        side, zone = spots.pop() if kind in _FOCAL else (collapsed, _LOWER)
        if kind == "bronchial_walls":
            side = tubes
        severity = float(rng.uniform(0.8, 1.2))
        items.append(Finding(kind=kind, side=side, zone=zone, severity=severity))
    return Findings(items=tuple(items))


def _draw_sides(
    rng: np.random.Generator, kinds: set[FindingKind]
) -> tuple[Literal[0, 1], Literal[0, 1]]:
    """The side of air and fluid, and that of thick bronchi: the other one if both are present."""
    collapsed: Literal[0, 1] = 1 if rng.random() < 0.5 else 0
    tubes: Literal[0, 1] = 1 if rng.random() < 0.5 else 0
    if kinds & {"air", "fluid"}:
        tubes = 1 if collapsed == 0 else 0
    return collapsed, tubes


def measure(rng: np.random.Generator, abnormalities: set[str]) -> dict[str, float]:
    """Every test's value in its unit, to three significant digits as laboratories report."""
    values = {t.name: t.typical * exp(t.spread * rng.standard_normal()) for t in LAB_PANEL}
    for abnormality in (name for name in ABNORMALITIES if name in abnormalities):
        for test, factor in ABNORMALITIES[abnormality].items():
            values[test] *= factor
    return {name: float(f"{value:.3g}") for name, value in values.items()}
