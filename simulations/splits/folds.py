"""How real patients are dealt into folds. Pure: their labels in, a fold for each patient out.

Iterative stratification (Sechidis, Tsoumakas and Vlahavas 2011, Alg. 1): label by label, the
rarest first, each of its patients goes to the fold that lacks it most. With few positives the
folds differ by one patient or so: they can't do better.
"""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from irene_model.study import Split

LEAST_FOLDS = 3  # one to test, one to choose the round by, and one to train on
Folds = npt.NDArray[np.int64]


def deal_folds(positives: npt.NDArray[np.bool_], folds: int, rng: np.random.Generator) -> Folds:
    """(P,) the fold of each patient, from (P, K): which labels each one has.

    ValueError for fewer patients than folds.
    """
    patients = len(positives)
    if patients < folds:
        raise ValueError(f"{patients} patients can't be dealt into {folds} folds")
    assigned = np.full(patients, -1, dtype=np.int64)
    lacks_label = np.tile(positives.sum(axis=0) / folds, (folds, 1))  # (F, K)
    lacks_patients = np.full(folds, patients / folds)
    while (left := assigned < 0).any():
        counts = positives[left].sum(axis=0)
        label = int(np.argmin(np.where(counts > 0, counts, patients + 1))) if counts.any() else None
        members = left if label is None else left & positives[:, label]
        for patient in rng.permutation(np.flatnonzero(members)):
            need = lacks_patients if label is None else lacks_label[:, label]
            fold = np.lexsort((rng.random(folds), -lacks_patients, -need))[0]
            assigned[patient] = fold
            lacks_label[fold] -= positives[patient]
            lacks_patients[fold] -= 1
    return assigned


def splits_of(assigned: Folds, seed: int, folds: int) -> Sequence[Split]:
    """Each patient's split under `seed`: its fold tests, the next one validates, others train."""
    test, validation = seed % folds, (seed + 1) % folds
    return [
        "test" if fold == test else "validation" if fold == validation else "train"
        for fold in assigned.tolist()
    ]
