"""The same person at another hospital: what is true of him stays, what is measured is new."""

from dataclasses import replace
from math import exp

import numpy as np

from simulations.patients.diseases import LAB_PANEL
from simulations.patients.patients import Encounter, Patient

_MOVES = 0.3  # of healthy people's spread, between two measurements of one person


def revisit(patient: Patient, rng: np.random.Generator) -> Patient:
    """The patient as another hospital files him: his id, new encounters, blood drawn anew.

    Diseases, findings and symptoms are the same; image and complaint follow the hospital's own
    drawing and wording.
    """
    again = tuple(
        replace(each, encounter_id=rng.bytes(8).hex(), labs=_measured_anew(each, rng))
        for each in patient.encounters
    )
    return replace(patient, encounters=again)


def _measured_anew(encounter: Encounter, rng: np.random.Generator) -> dict[str, float]:
    spreads = {test.name: test.spread for test in LAB_PANEL}
    return {
        name: float(f"{value * exp(_MOVES * spreads[name] * rng.standard_normal()):.3g}")
        for name, value in encounter.labs.items()
    }
