"""Radiographs that are nearly the same: one film under two records, perhaps in two splits.

A film's fingerprint is its difference hash (Krawetz, "Kind of Like That", 2013), across and down:
is a patch brighter than its left neighbour, than the one above? It survives another size,
compression, brightness and gamma. On the radiographs of Hannover (docs/hannover), copies
changed in these ways differed in at most 8 % of the bits, two films in at least 17 %.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from PIL import Image

from irene_model.inputs import Pixels
from irene_model.study import Record

TWINS_MEND = (
    "Look whether one person has two patient ids, and give them one, or list one of the records "
    "under `exclude`."
)
_SIDE = 16
BITS = 2 * _SIDE**2
_ALIKE = 0.1  # of the bits may differ
_COMPARED = 2**24  # pairs at a time


@dataclass(frozen=True, kw_only=True)
class Twins:
    """How many radiographs are nearly the same as another one.

    same_patient: of the same patient, which happens. other_patient: of another patient in the same
    split. other_split: in another split, and so of another patient.
    """

    same_patient: int
    other_patient: int
    other_split: int


def fingerprint(pixels: Pixels) -> npt.NDArray[np.bool_]:
    """The bits (512,) of a film (H, W); the black that fills it up to a square is no part of it."""
    inside = pixels > 0
    rows, columns = np.flatnonzero(inside.any(axis=1)), np.flatnonzero(inside.any(axis=0))
    if rows.size:
        pixels = pixels[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]
    side = (_SIDE + 1, _SIDE + 1)
    small = np.asarray(Image.fromarray(pixels).resize(side, Image.Resampling.BOX))
    across, down = small[1:, 1:] > small[1:, :-1], small[1:, 1:] > small[:-1, 1:]
    return np.concatenate([across.ravel(), down.ravel()])


def count_twins(prints: npt.NDArray[np.bool_], records: Sequence[Record]) -> Twins:
    """Compare all films, whose fingerprints are `prints` (N, 512), with one another."""
    signs = np.where(prints, 1, -1).astype(np.float32)
    patient = _codes([record.patient_id for record in records])
    split = _codes([record.split for record in records])
    found = np.zeros((3, len(signs)), np.bool_)
    # With bits as signs, a product is their number less twice the number that differ.
    least = BITS * (1 - 2 * _ALIKE)
    step = max(1, _COMPARED // max(1, len(signs)))
    for start in range(0, len(signs), step):
        part = np.arange(start, min(start + step, len(signs)))
        near = signs[part] @ signs.T >= least
        near[np.arange(len(part)), part] = False
        if not near.any():
            continue
        own, home = patient[part, None] == patient, split[part, None] == split
        for row, kind in enumerate((own, ~own & home, ~home)):
            found[row, part] = (near & kind).any(axis=1)
    same_patient, other_patient, other_split = found.sum(axis=1).tolist()
    return Twins(same_patient=same_patient, other_patient=other_patient, other_split=other_split)


def doubt_across_splits(twins: Twins) -> tuple[str, ...]:
    """What was trained would be judged."""
    if not twins.other_split:
        return ()
    return (
        f"{twins.other_split} radiographs are nearly the same as one in another split, under "
        "another patient id: an evaluation would judge what was trained",
    )


def doubt_across_patients(twins: Twins) -> tuple[str, ...]:
    """A person with two ids is guarded half as well."""
    if not twins.other_patient:
        return ()
    return (
        f"{twins.other_patient} radiographs are nearly the same as one of another patient of the "
        "same split: a person with two ids counts twice, and privacy is counted by id",
    )


def _codes(names: Sequence[str]) -> npt.NDArray[np.int64]:
    return np.unique(np.array(names, dtype=object).astype(str), return_inverse=True)[1]
