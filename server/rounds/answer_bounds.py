"""What an honest evaluation can hold: the study's noise, the site's labels, patients that it has.

Metrics are pooled over patients, so a site that tells of a million weighs as a million, and one
that tells of more noise than it added makes all others' figures unreadable. Everything here follows
from the study and from what the site had declared before; what a site that lies within it can still
do is in docs/security.md.
"""

import math

import numpy as np

from irene_model.errors import ProtocolError
from irene_model.exchange import LABEL_ABSENT, EvaluateReply
from irene_model.privacy import evaluation_noise
from irene_model.study import HeldOut, Study
from server.aggregation import Declared
from server.evaluation import SiteHistograms

_TOLERANCE = 0.01
# Of an honest site's noise: a cell beyond it has a chance below 1e-22, and so has a sum of cells.
_DEVIATIONS = 10.0


def check_evaluation(
    answer: EvaluateReply,
    read: SiteHistograms,
    study: Study,
    split: HeldOut,
    declared: Declared,
) -> None:
    """Raise ProtocolError where `answer`, whose arrays are `read`, can't be an honest one."""
    planned = evaluation_noise(study, split)
    if not math.isclose(answer.noise_multiplier, planned, rel_tol=_TOLERANCE):
        raise ProtocolError("the reply's noise multiplier is not the one that the study asks")
    mapped = read.labels != LABEL_ABSENT
    if not mapped.any():
        raise ProtocolError("the reply holds none of the study's labels")
    # One patient moves all histograms by at most the root of their number (client.training).
    deviation = answer.noise_multiplier * math.sqrt(np.count_nonzero(mapped))
    if not math.isclose(answer.deviation, deviation, rel_tol=_TOLERANCE):
        raise ProtocolError("the reply's deviation does not follow from its noise and labels")
    said = declared.labels.get(answer.site)
    if said and said != "".join("01"[int(each)] for each in mapped):
        raise ProtocolError("the reply has other labels than the site's updates in this run")
    _check_patients(read, declared.most_held_out(answer.site))


def _check_patients(read: SiteHistograms, most: float | None) -> None:
    """Raise ProtocolError for a cell, or a label, of more patients than the site can have."""
    if most is None:
        return
    spread = _DEVIATIONS * read.deviation
    cells = read.histograms.shape[-1] * 2
    totals = read.histograms.sum(axis=(1, 2))
    # As sent, in float32: sums of exact counts of whole patients are off by far less than one.
    if (totals > most + 1 + spread * math.sqrt(cells)).any():
        raise ProtocolError(
            f"the reply tells of more held-out patients than {most:g}, twice those that the site "
            "declared, or, if it never trains, twice all that train"
        )
    if (read.histograms < -spread).any() or (read.histograms > most + 1 + spread).any():
        raise ProtocolError("a histogram's cell is further off than its noise can be")
