from .breath import breathe, is_silent_side, signs_of
from .covid import OUTCOMES, draw_covid_patients
from .diseases import DEFAULT_PREVALENCE, DISEASES, LAB_PANEL, LabTest
from .panels import draw_panel
from .patients import Encounter, Patient, draw_patients
from .radiographs import Findings, Scanner, draw
from .related import draw_related_patients
from .remarks import note
from .revisits import revisit

__all__ = [
    "DEFAULT_PREVALENCE",
    "DISEASES",
    "LAB_PANEL",
    "OUTCOMES",
    "Encounter",
    "Findings",
    "LabTest",
    "Patient",
    "Scanner",
    "breathe",
    "draw",
    "draw_covid_patients",
    "draw_panel",
    "draw_patients",
    "draw_related_patients",
    "is_silent_side",
    "note",
    "revisit",
    "signs_of",
]
