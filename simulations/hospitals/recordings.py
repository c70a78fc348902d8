"""A synthetic hospital's recordings of breath: files, and the table that names them.

They have a stream of chance of their own, so that a cohort is the same with and without them.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from irene_model.study import Study
from simulations.hospitals.cohort import Hospital
from simulations.hospitals.files import write_table
from simulations.patients import breathe, is_silent_side, signs_of

_TABLE, _KEY = "breath.csv", "encounter_id"


def write_recordings(
    folder: Path, study: Study, hospital: Hospital, entropy: Sequence[int]
) -> dict[str, Any]:
    """Write one recording a position of each encounter that has any; returns `sounds` of site.yaml.

    A hospital records as rarely as it takes radiographs. Nothing where the study asks for none, or
    the hospital has none.
    """
    shape, character = study.sounds, hospital.character
    if shape is None or "sounds" in hospital.lacks:
        return {}
    import soundfile

    (folder / "breath").mkdir(parents=True)
    suffix = "flac" if character.tables == "parquet" else "wav"
    rows = []
    encounters = [e for patient in hospital.patients for e in patient.encounters]
    for number, encounter in enumerate(encounters):
        rng = np.random.default_rng([*entropy, number])
        signs, row = signs_of(encounter, rng), {_KEY: encounter.encounter_id}
        if rng.random() >= character.missing_image:
            for position in shape.positions:
                wave = breathe(
                    signs,
                    silent_side=is_silent_side(encounter, position),
                    seconds=shape.seconds,
                    sample_rate=shape.sample_rate,
                    rng=rng,
                )
                row[position] = f"{encounter.encounter_id}-{position}"
                path = folder / "breath" / f"{row[position]}.{suffix}"
                soundfile.write(str(path), wave, shape.sample_rate, subtype="PCM_16")
        rows.append(row)
    write_table(folder / _TABLE, rows, [_KEY, *shape.positions])
    return {p: {"column": p, "pattern": f"breath/{{}}.{suffix}"} for p in shape.positions}


JOIN = {"path": _TABLE, "on": _KEY}
