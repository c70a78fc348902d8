"""The same person at another hospital: what is true of him stays, what is measured is new."""

from dataclasses import replace

import numpy as np

from simulations.patients.patients import Patient, measure


def revisit(patient: Patient, rng: np.random.Generator) -> Patient:
    """The patient as another hospital files him: his id, new encounters, blood drawn anew.

    Diseases, findings and symptoms are the same; image and complaint follow the hospital's own
    drawing and wording.
    """
    return replace(
        patient,
        encounters=tuple(
            replace(
                encounter,
                encounter_id=rng.bytes(8).hex(),
                labs=measure(rng, set(encounter.abnormalities)),
            )
            for encounter in patient.encounters
        ),
    )
