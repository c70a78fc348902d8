"""One validated record: an encounter of one patient, in the study's units.

A record is what the hospital's files say after validation and before any scaling. Missing is
`None`; a laboratory value outside the assay's detection limits is -inf or +inf, as laboratories
export it: it is an observation, not a gap.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

import numpy as np
import numpy.typing as npt

from irene_model.modalities import Part

Sex = Literal["female", "male"]
Split = Literal["train", "validation", "test"]
HeldOut = Literal["validation", "test"]
HELD_OUT: tuple[HeldOut, ...] = ("validation", "test")
SPLITS: tuple[Split, ...] = ("train", "validation", "test")
OLDEST_YEARS = 120.0  # an age beyond it is a mistake


@dataclass(frozen=True, kw_only=True)
class Record:
    """One encounter.

    labs: study's laboratory name -> value in the study's unit; absent names were not measured.
    panels: the study's further panel -> its values in the study's order and units, (V,) float64;
        NaN was not measured.
    sound_paths: the study's position on the chest -> a recording there.
    labels: study's label -> 0 or 1; absent names are not annotated here.
    """

    patient_id: str
    record_id: str
    split: Split
    image_path: Path | None = None
    text: str | None = None
    labs: Mapping[str, float]
    age_years: float | None = None
    sex: Sex | None = None
    labels: Mapping[str, int]
    panels: Mapping[str, npt.NDArray[np.float64]] = field(default_factory=dict)
    sound_paths: Mapping[str, Path] = field(default_factory=dict)

    def has(self, part: Part) -> bool:
        """Whether there is anything of `part`; NaN alone is nothing."""
        found = getattr(self, part.field)
        if not isinstance(found, Mapping):
            return found is not None and found != ""
        held = (each for name, each in found.items() if part.key in (None, name))
        return any(not (isinstance(each, np.ndarray) and np.isnan(each).all()) for each in held)

    def __repr__(self) -> str:
        """Never a patient's values: a record may end up in a traceback."""
        return f"Record({len(self.labs)} labs, {len(self.labels)} labels, split={self.split})"
