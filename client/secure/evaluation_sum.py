"""Weights and held-out patients in, masked histograms out: an evaluation under secure sums.

The query is that of `client.training.evaluation`, coarse histograms of all the study's labels, with
this site's share of the noise in every cell: so a cell's noise in the sum is the same whoever maps
the label. Exact counts, where the study asks for them and the site sends them at all, are masked
too, and charged to nothing. There the masks also follow from the weights that are evaluated: no
ledger knows of earlier attempts, and the same masks must never hide other counts.
"""

import hashlib
import math
from dataclasses import replace

import numpy as np

from client.ledger import Ledger
from client.secure.part import Part
from client.training import Evaluated, Scores, pack, score, unpack
from irene_model.exchange import LABEL_SENT, Array, Arrays, check_weights
from irene_model.metrics import coarsen
from irene_model.privacy import Noise
from irene_model.secure import grid_of_evaluation
from irene_model.weights import new_model, to_arrays


def evaluate_sum(
    weights: Arrays,
    part: Part,
    what: Evaluated,
    *,
    noise: Noise,
    ledger: Ledger | None,
    minimum_group: int,
) -> Arrays:
    """Histograms (K, 2, COARSE_BINS) as one vector, noised and masked: "sum" and no other array.

    Reserved in the ledger before and released after. Without noise there is no `ledger`, and labels
    with fewer than `minimum_group` patients on one side are zeros, as those that the site does not
    map. Raises BudgetExceeded before a patient is scored, and ProtocolError for weights that are
    not those of the study's model.
    """
    dataset, asked = what.dataset, part.attempt
    check_weights(weights, to_arrays(new_model(dataset.study, seed=0)), dataset.study)
    grid = grid_of_evaluation(dataset.study, what.split)
    shown = what.labels == LABEL_SENT
    if ledger is None:
        scores = score(weights, what)
        shown &= scores.smallest_groups() >= minimum_group
        return _of_weights(part, weights).hidden(_vector(scores, what, shown), grid)
    ledger.record_patients(dataset.training_digests)
    reservation = ledger.reserve(
        run=asked.run,
        round=asked.round,
        mechanism=noise.mechanism,
        alone=noise.alone,
        clip_norm=math.sqrt(len(shown)),
        split=what.split,
        assignment=dataset.assignment,
        once=what.split == "test",
        attempt=part.number,
        partners=part.partners,
    )
    if reservation.released:
        return unpack(ledger.outbox(reservation))
    hidden = part.hidden(_vector(score(weights, what), what, shown), grid)
    return unpack(ledger.release(reservation, pack(hidden)))


def _of_weights(part: Part, weights: Arrays) -> Part:
    """`part` with masks that fit these weights alone."""
    digest = hashlib.sha256(pack(weights)).hexdigest()
    return replace(part, attempt=replace(part.attempt, what=f"{part.attempt.what} of {digest}"))


def _vector(scores: Scores, what: Evaluated, shown: Array) -> Array:
    """(D,): the histograms of the labels that are `shown` (K,), and zeros."""
    # That a patient has no finite score must not be told by an error: it counts as one half.
    finite = np.nan_to_num(scores.probabilities, nan=0.5)
    histograms = coarsen(
        replace(scores, probabilities=finite).histograms(), what.dataset.study.model.prior
    )
    vector: Array = (histograms * shown[:, None, None]).ravel()
    return vector
