"""An evaluation's noise, labels and patients are the study's and fit what the site declared."""

import math
from typing import Any

import numpy as np
import pytest

from irene_model.errors import ProtocolError
from irene_model.exchange.replies import LABEL_ABSENT, LABEL_WITHHELD, EvaluateReply
from irene_model.metrics.coarse_bins import COARSE_BINS
from irene_model.metrics.metrics import BINS
from irene_model.study.study import Study
from server.aggregation.declared import Declared
from server.evaluation.histograms import SiteHistograms
from server.rounds.answer_bounds import check_evaluation
from tests.helpers.made_up_site import made_up_evaluation, study_of

STUDY = study_of(evaluation={"noise_multiplier": 1.0})
EXACT = study_of(evaluation={"noise_multiplier": 0.0})


def declared(**labels: str) -> Declared:
    known = Declared()
    for site in ("east", "north", "south"):
        known.note(site, 100.0, labels.get(site, "11"))
    return known


def judged(reply: EvaluateReply, study: Study = STUDY, known: Declared | None = None) -> None:
    read = SiteHistograms.read(reply.site, reply, len(study.labels))
    check_evaluation(reply, read, study, "test", declared() if known is None else known)


def honest(**changes: Any) -> EvaluateReply:
    return made_up_evaluation(STUDY, "south", 1, "test").model_copy(update=changes)


def filled(value: float, cell: Any = slice(None), labels: Any = None) -> dict[str, Any]:
    arrays = dict(honest().arrays)
    arrays["histograms"] = np.array(arrays["histograms"], np.float64)
    arrays["histograms"][..., cell] = value
    if labels is not None:
        arrays["labels"] = np.asarray(labels)
    return {"arrays": arrays}


def test_an_honest_one_is_good_whatever_its_noise() -> None:
    for site in map(str, range(200)):
        judged(made_up_evaluation(STUDY, site, 1, "test", patients=150.0))
    judged(honest(), known=Declared())  # nobody has declared anything
    newcomer = made_up_evaluation(STUDY, "west", 1, "test")
    judged(newcomer)  # it has declared nothing itself


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"noise_multiplier": 0.5, "deviation": 0.5 * math.sqrt(2)}, "noise multiplier"),
        ({"noise_multiplier": 100.0, "deviation": 100 * math.sqrt(2)}, "noise multiplier"),
        ({"deviation": 1.0}, "deviation does not follow"),
        ({"deviation": 1e9}, "deviation does not follow"),
        (filled(1e15), "more held-out patients than 200"),
        (filled(300.0, 0), "more held-out patients than 200"),
        (filled(1e300), "more held-out patients"),
        (filled(-1e3, 0), "cell"),
        (filled(0.0, labels=[1.0, 0.5]), "neither sent, absent nor withheld"),
        (filled(0.0, labels=[1, 7]), "neither sent, absent nor withheld"),
        (filled(0.0, labels=[LABEL_ABSENT] * 2), "none of the study's labels"),
        ({"arrays": {**honest().arrays, "more": np.zeros(1, np.float32)}}, "beside"),
    ],
)
def test_a_lie_is_refused(changes: dict[str, Any], said: str) -> None:
    with pytest.raises(ProtocolError, match=said):
        judged(honest(**changes))


def test_a_cell_that_cancels_another_is_refused() -> None:
    """Sums alone would let a site take patients from one side of the scores and give the other."""
    arrays = dict(honest().arrays)
    arrays["histograms"] = np.array(arrays["histograms"])
    arrays["histograms"][0, 1, 0] += 5e3
    arrays["histograms"][0, 1, -1] -= 5e3
    with pytest.raises(ProtocolError, match="cell"):
        judged(honest(arrays=arrays))


def test_exact_histograms_where_noise_was_asked_are_refused_and_the_other_way_round() -> None:
    arrays = {"histograms": np.ones((2, 2, BINS), np.float32) / 100, "labels": np.ones(2, np.int8)}
    exact = honest(noise_multiplier=0.0, deviation=0.0, arrays=arrays)
    judged(exact, EXACT)
    with pytest.raises(ProtocolError, match="noise multiplier"):
        judged(exact)
    with pytest.raises(ProtocolError, match="noise multiplier"):
        judged(honest(), EXACT)
    many = honest(
        noise_multiplier=0.0,
        deviation=0.0,
        arrays={**arrays, "histograms": np.ones((2, 2, BINS), np.float32)},
    )
    with pytest.raises(ProtocolError, match="more held-out patients"):
        judged(many, EXACT)


def test_the_labels_are_those_of_the_sites_updates() -> None:
    arrays = {
        "histograms": np.zeros((2, 2, COARSE_BINS), np.float32),
        "labels": np.array([1, LABEL_ABSENT], np.int8),
    }
    one = honest(deviation=1.0, arrays=arrays)
    judged(one, known=declared(south="10"))
    with pytest.raises(ProtocolError, match="other labels"):
        judged(one)
    withheld = {
        "histograms": np.zeros((2, 2, BINS), np.float32),
        "labels": np.array([1, LABEL_WITHHELD], np.int8),
    }
    judged(honest(noise_multiplier=0.0, deviation=0.0, arrays=withheld), EXACT)
