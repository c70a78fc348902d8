"""Patients admitted with COVID-19, and what became of them: intensive care, ventilation, death.

One hidden severity, which grows with age and male sex, shows in each modality with that modality's
own error: how many zones of the lungs are clouded and how densely, whether the patient is short of
breath, CRP, LDH, lymphocytes and oxygen. Clotting shows in D-dimer alone and the kidneys in
creatinine alone. Outcomes follow from all of these, so no modality tells all, and most patients
have none of them. Rates and effects are invented, as those of the diseases are.
"""

from math import exp
from typing import Literal

import numpy as np

from simulations.patients.diseases import DISEASES, SYMPTOMS
from simulations.patients.patients import Encounter, Patient, measure
from simulations.patients.radiographs import Finding, Findings

OUTCOMES: tuple[str, ...] = ("death", "ventilation", "icu")
"""Worst first."""
_AGE_YEARS, _SPREAD_YEARS, _MALE_SHARE = 60.0, 17.0, 0.55
_ERROR = 0.6  # with which a modality shows severity, of severity's own deviation
_ZONES: tuple[tuple[Literal[0, 1], Literal[0, 1, 2]], ...] = (
    (0, 2), (1, 2), (0, 1), (1, 1), (0, 0), (1, 0),
)  # fmt: skip
# Log factor on a healthy value: of being ill at all, of severity, of clotting, of the kidneys.
_BLOOD = {
    "crp": (3.0, 0.7, 0.0, 0.0),
    "ldh": (0.35, 0.25, 0.0, 0.0),
    "lymphocytes": (-0.45, -0.25, 0.0, 0.0),
    "arterial_po2": (-0.14, -0.11, 0.0, 0.0),
    "d_dimer": (0.6, 0.25, 0.7, 0.0),
    "creatinine": (0.05, 0.05, 0.0, 0.35),
    "procalcitonin": (0.4, 0.3, 0.0, 0.2),
}


def draw_covid_patients(rng: np.random.Generator, *, num_patients: int) -> list[Patient]:
    """Draw patients with one admission each; `outcomes` has 0 or 1 for each of `OUTCOMES`."""
    return [_draw_patient(rng) for _ in range(num_patients)]


def _draw_patient(rng: np.random.Generator) -> Patient:
    age = float(np.clip(rng.normal(_AGE_YEARS, _SPREAD_YEARS), 18, 95))
    z, male = (age - _AGE_YEARS) / _SPREAD_YEARS, bool(rng.random() < _MALE_SHARE)
    severity = float(0.35 * z + 0.4 * (male - _MALE_SHARE) + 0.9 * rng.standard_normal())
    clotting, kidneys = map(float, rng.standard_normal(2))
    seen, told, measured = severity + _ERROR * rng.standard_normal(3)
    findings = _film(rng, float(seen))
    labels = dict.fromkeys(DISEASES, 0) | {"pneumonia": int(bool(findings.items))}
    encounter = Encounter(
        encounter_id=rng.bytes(8).hex(),
        age_years=int(age),
        sex="m" if male else "f",
        labels=tuple(labels.values()),
        findings=findings,
        symptoms=_symptoms(rng, float(told)),
        labs=_blood(rng, float(measured), clotting, kidneys),
        abnormalities=("inflammation",) if measured > 0 else (),
        outcomes=_outcomes(rng, severity, z, clotting, kidneys),
    )
    return Patient(patient_id=rng.bytes(8).hex(), encounters=(encounter,))


def _film(rng: np.random.Generator, seen: float) -> Findings:
    """Clouded zones, the lower ones first, and a net over all in the worst."""
    count = int(np.clip(round(1.8 + 1.7 * seen), 0, len(_ZONES)))
    density = float(np.clip(0.8 + 0.25 * seen, 0.4, 1.6))
    items = [Finding(kind="opacity", side=s, zone=z, severity=density) for s, z in _ZONES[:count]]
    if seen > 1 and rng.random() < 0.6:
        items.append(Finding(kind="reticulation", severity=density))
    return Findings(items=tuple(items))


def _symptoms(rng: np.random.Generator, told: float) -> tuple[str, ...]:
    chances = {
        "fever": 0.7,
        "dry_cough": 0.6,
        "fatigue": 0.4,
        "sputum": 0.1,
        "sudden_pain": 0.05,
        "dyspnoea": _chance(1.6 * told),
    }
    return tuple(name for name in SYMPTOMS if rng.random() < chances.get(name, 0.01))


def _blood(
    rng: np.random.Generator, measured: float, clotting: float, kidneys: float
) -> dict[str, float]:
    values = measure(rng, set())
    for test, (ill, severe, clotted, renal) in _BLOOD.items():
        values[test] *= exp(ill + severe * measured + clotted * clotting + renal * kidneys)
    return {name: float(f"{value:.3g}") for name, value in values.items()}


def _outcomes(
    rng: np.random.Generator, severity: float, age: float, clotting: float, kidneys: float
) -> dict[str, int]:
    """Who is ventilated lies in intensive care; who dies need not."""
    drawn = rng.random(3)
    icu = bool(drawn[0] < _chance(-2.2 + 1.7 * severity + 0.4 * clotting))
    ventilated = icu and bool(drawn[1] < _chance(0.2 + 1.0 * severity))
    fatal = -4.2 + 1.2 * age + 1.0 * severity + 0.7 * clotting + 0.6 * kidneys + 0.8 * ventilated
    dead = bool(drawn[2] < _chance(fatal))
    return {"death": int(dead), "ventilation": int(ventilated), "icu": int(icu)}


def _chance(logit: float) -> float:
    return 1 / (1 + exp(-logit))
