"""Eight pulmonary diseases, and how each shows in an image, in words and in blood: tables alone.

Each disease has two presentations, each a finding, a symptom and a laboratory abnormality that
belong together; most elements serve several diseases. The pictures are simplified and the rates
invented: they are made to pose the question that the model must answer, not to teach medicine.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from simulations.patients.radiographs import FindingKind

DISEASES: tuple[str, ...] = (
    "copd",
    "bronchiectasis",
    "pneumothorax",
    "pneumonia",
    "interstitial_lung_disease",
    "tuberculosis",
    "lung_cancer",
    "pleural_effusion",
)
# Share of encounters.
DEFAULT_PREVALENCE: Mapping[str, float] = {
    "copd": 0.14,
    "bronchiectasis": 0.07,
    "pneumothorax": 0.07,
    "pneumonia": 0.15,
    "interstitial_lung_disease": 0.09,
    "tuberculosis": 0.07,
    "lung_cancer": 0.10,
    "pleural_effusion": 0.12,
}
# Chance that a disease is still there at the patient's next encounter.
PERSISTENCE: Mapping[str, float] = {
    "copd": 0.95,
    "bronchiectasis": 0.95,
    "pneumothorax": 0.3,
    "pneumonia": 0.3,
    "interstitial_lung_disease": 0.95,
    "tuberculosis": 0.8,
    "lung_cancer": 0.9,
    "pleural_effusion": 0.6,
}


@dataclass(frozen=True, kw_only=True)
class Risk:
    """Log relative risks: per 18 years of age, of male sex, of smoking."""

    age: float = 0.0
    male: float = 0.0
    smoker: float = 0.0


RISKS: Mapping[str, Risk] = {
    "copd": Risk(age=0.35, smoker=1.2),
    "bronchiectasis": Risk(age=0.15, male=-0.3),
    "pneumothorax": Risk(age=-0.5, male=0.7),
    "pneumonia": Risk(age=0.1),
    "interstitial_lung_disease": Risk(age=0.3, male=0.2),
    "tuberculosis": Risk(age=-0.3, male=0.3),
    "lung_cancer": Risk(age=0.4, smoker=1.0),
    "pleural_effusion": Risk(age=0.25),
}
SYMPTOMS: tuple[str, ...] = (
    "fever",
    "sputum",
    "night_sweats",
    "weight_loss",
    "wheeze",
    "dry_cough",
    "sudden_pain",
    "dyspnoea",
    "haemoptysis",
    "fatigue",
    "smoker",
)


@dataclass(frozen=True, kw_only=True)
class LabTest:
    """One test: reference interval and healthy values in `unit`.

    Healthy values are log-normal around `typical` with `spread`, a standard deviation in log units.
    """

    name: str
    loinc: str
    unit: str
    low: float
    high: float
    typical: float
    spread: float


def _lab(
    name: str, loinc: str, unit: str, *, low: float, high: float, typical: float, spread: float
) -> LabTest:
    return LabTest(
        name=name, loinc=loinc, unit=unit, low=low, high=high, typical=typical, spread=spread
    )


LAB_PANEL: tuple[LabTest, ...] = (
    _lab("crp", "1988-5", "mg/L", low=0, high=5, typical=1.8, spread=0.5),
    _lab("procalcitonin", "33959-8", "ng/mL", low=0, high=0.1, typical=0.04, spread=0.4),
    _lab("leukocytes", "6690-2", "10*3/uL", low=4, high=11, typical=6.8, spread=0.2),
    _lab("neutrophils", "751-8", "10*3/uL", low=1.8, high=7.5, typical=4.0, spread=0.25),
    _lab("lymphocytes", "731-0", "10*3/uL", low=1, high=4, typical=2.0, spread=0.25),
    _lab("eosinophils", "711-2", "10*3/uL", low=0, high=0.5, typical=0.15, spread=0.5),
    _lab("haemoglobin", "718-7", "g/dL", low=12, high=17, typical=14.2, spread=0.07),
    _lab("albumin", "1751-7", "g/L", low=35, high=50, typical=42, spread=0.07),
    _lab("ldh", "2532-0", "U/L", low=120, high=250, typical=175, spread=0.16),
    _lab("cea", "2039-6", "ng/mL", low=0, high=5, typical=1.7, spread=0.45),
    _lab("creatinine", "2160-0", "mg/dL", low=0.6, high=1.2, typical=0.85, spread=0.18),
    _lab("d_dimer", "48065-7", "mg/L", low=0, high=0.5, typical=0.25, spread=0.4),
    _lab("arterial_po2", "2703-7", "mm[Hg]", low=75, high=100, typical=88, spread=0.06),
    _lab("arterial_pco2", "2019-8", "mm[Hg]", low=35, high=45, typical=40, spread=0.05),
)
# What each abnormality multiplies.
ABNORMALITIES: Mapping[str, Mapping[str, float]] = {
    "inflammation": {"crp": 25, "procalcitonin": 9, "leukocytes": 1.8, "neutrophils": 2.1},
    "lymphopenia": {"lymphocytes": 0.38},
    "eosinophilia": {"eosinophils": 6.5, "leukocytes": 1.1},
    "anaemia": {"haemoglobin": 0.7},
    "high_cea": {"cea": 8, "d_dimer": 1.6},
    "high_ldh": {"ldh": 2.2},
    "low_albumin": {"albumin": 0.66, "crp": 1.5},
    "hypoxaemia": {"arterial_po2": 0.68},
    "hypercapnia": {"arterial_pco2": 1.4, "arterial_po2": 0.92},
}


@dataclass(frozen=True, kw_only=True)
class Presentation:
    """One way in which a disease shows itself, a single element in each modality."""

    finding: FindingKind
    symptom: str
    abnormality: str


def _shows(finding: FindingKind, symptom: str, abnormality: str) -> Presentation:
    return Presentation(finding=finding, symptom=symptom, abnormality=abnormality)


PRESENTATIONS: Mapping[str, tuple[Presentation, Presentation]] = {
    "copd": (
        _shows("hyperinflation", "wheeze", "hypercapnia"),
        _shows("bronchial_walls", "dyspnoea", "eosinophilia"),
    ),
    "bronchiectasis": (
        _shows("bronchial_walls", "sputum", "inflammation"),
        _shows("cavity", "haemoptysis", "low_albumin"),
    ),
    "pneumothorax": (
        _shows("air", "sudden_pain", "hypoxaemia"),
        _shows("air", "dyspnoea", "anaemia"),  # with blood in the chest
    ),
    "pneumonia": (
        _shows("opacity", "fever", "inflammation"),
        _shows("reticulation", "dry_cough", "lymphopenia"),  # viral
    ),
    "interstitial_lung_disease": (
        _shows("reticulation", "dyspnoea", "high_ldh"),
        _shows("opacity", "dry_cough", "eosinophilia"),  # eosinophilic
    ),
    "tuberculosis": (
        _shows("cavity", "night_sweats", "lymphopenia"),
        _shows("mass", "fever", "anaemia"),  # tuberculoma
    ),
    "lung_cancer": (
        _shows("mass", "weight_loss", "high_cea"),
        _shows("fluid", "haemoptysis", "anaemia"),  # malignant effusion
    ),
    "pleural_effusion": (
        _shows("fluid", "dyspnoea", "low_albumin"),  # transudate
        _shows("fluid", "sudden_pain", "high_ldh"),  # exudate
    ),
}
