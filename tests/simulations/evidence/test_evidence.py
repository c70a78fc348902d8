"""Evidence of one training's scores, against scikit-learn and by hand."""

import warnings
from typing import Any

import numpy as np
import pytest
from scipy.special import expit, logit
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import roc_auc_score, roc_curve

from irene_model.metrics.patient_draws import Scored
from simulations.evidence import calibration, operating_points
from simulations.evidence.evidence import evidence_of
from simulations.evidence.scored_cohort import OfOneLabel, ScoredCohort

RNG = np.random.default_rng(5)


def label(n: int = 300, draws: int = 3) -> OfOneLabel:
    odds = np.round(RNG.normal(-1, 1.5, n) * 8) / 8  # with ties
    truth = RNG.random(n) < expit(0.6 * odds + 0.3)
    weights = np.concatenate([np.ones((1, n)), RNG.poisson(1.0, (draws, n))])
    return OfOneLabel(scores=expit(odds), truth=truth, weights=weights, rows=np.arange(n))


def site(n: int, shift: float = 0.0, sexes: Any = None) -> tuple[Scored, Any, Any]:
    """n patients of two records each, two labels; the scores tell less with a `shift`."""
    owner = np.repeat(np.arange(n), 2)
    truth = RNG.random((2 * n, 2)) < 0.4
    scores = expit(RNG.normal(0, 1, (2 * n, 2)) + (1.5 - shift) * (truth - 0.5))
    scored = Scored(
        probabilities=scores,
        labels=truth.astype(float),
        annotated=RNG.random((2 * n, 2)) < 0.9,
        owner=owner,
        counts=RNG.poisson(1.0, (400, n)),
    )
    years = np.repeat(RNG.integers(20, 90, n), 2).astype(float)
    sex = np.repeat(RNG.integers(0, 2, n), 2).astype(float)
    return scored, years, sex if sexes is None else np.full(2 * n, sexes)


def cohort(**sites: tuple[Scored, Any, Any]) -> ScoredCohort:
    return ScoredCohort.of(
        {name: each[0] for name, each in sites.items()},
        {name: each[1] for name, each in sites.items()},
        {name: each[2] for name, each in sites.items()},
    )


@pytest.mark.parametrize("specificity", [0.5, 0.9, 0.95, 0.999])
def test_sensitivity_at_a_specificity_is_the_best_that_scikit_learn_finds(
    specificity: float,
) -> None:
    one = label()
    cuts = operating_points.thresholds_at(one, specificity)
    sensitivity, reached = operating_points.rates_at(one, cuts)
    for row, weights in enumerate(one.weights):
        alarms, hits, _ = roc_curve(
            one.truth, one.scores, sample_weight=weights, drop_intermediate=False
        )
        assert sensitivity[row] == pytest.approx(hits[1 - alarms >= specificity - 1e-9].max())
        assert reached[row] >= specificity - 1e-9


def test_the_curve_has_the_area_that_the_scores_have() -> None:
    one = label(2000)
    curve = operating_points.roc_curve(one)
    assert curve is not None and curve[-1] == 1 and np.all(np.diff(curve) >= 0)
    area = np.trapezoid(curve, operating_points.FALSE_POSITIVE_RATES)
    assert area == pytest.approx(roc_auc_score(one.truth, one.scores), abs=0.003)


def test_slope_and_intercept_are_those_of_a_logistic_regression() -> None:
    one = label(800)
    slope, intercept = calibration.slope_and_intercept(one)
    odds = logit(one.scores)[:, None]
    for row, weights in enumerate(one.weights):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of how to say that there is no penalty
            fitted = LogisticRegression(penalty=None, tol=1e-10).fit(odds, one.truth, weights)
        assert slope[row] == pytest.approx(fitted.coef_[0, 0], abs=1e-5)
        # In the large: as many positives are expected as there are.
        expected = expit(intercept[row] + odds[:, 0])
        assert weights @ expected == pytest.approx(weights @ one.truth, rel=1e-6)


def test_what_the_scores_separate_has_no_slope() -> None:
    scores, truth = np.array([0.2, 0.3, 0.7, 0.8]), np.array([False, False, True, True])
    one = OfOneLabel(scores=scores, truth=truth, weights=np.ones((1, 4)), rows=np.arange(4))
    assert np.isnan(calibration.slope_and_intercept(one)[0])
    everyone = OfOneLabel(
        scores=scores, truth=np.ones(4, bool), weights=np.ones((1, 4)), rows=np.arange(4)
    )
    assert np.isnan(calibration.slope_and_intercept(everyone)).all()


def test_reliability_counts_by_hand() -> None:
    one = OfOneLabel(
        scores=np.array([0.05, 0.08, 0.93, 1.0]),
        truth=np.array([False, True, True, True]),
        weights=np.array([[1.0, 1.0, 0.5, 0.5]]),
        rows=np.arange(4),
    )
    first, last = calibration.reliability([one])
    assert first == {"score": pytest.approx(0.065), "share": 0.5, "patients": 2.0}
    assert last == {"score": pytest.approx(0.965), "share": 1.0, "patients": 1.0}


def test_a_gap_is_to_all_other_patients_and_finds_the_worse_group() -> None:
    told = evidence_of(cohort(good=site(400), bad=site(400, shift=1.4)), [0.9, 0.8])
    assert list(told["sensitivity_at"]) == ["0.9", "0.8"]
    by_site = told["groups"]["site"]
    gap = by_site["good"]["auroc"]["gap"]
    own, other = (by_site[name]["auroc"]["value"] for name in ("good", "bad"))
    assert gap["value"] == pytest.approx(own - other, abs=2e-5) and gap["value"] > 5 * gap["se"] > 0
    assert by_site["bad"]["auroc"]["gap"]["value"] == pytest.approx(-gap["value"], abs=2e-5)
    for sex in told["groups"]["sex"].values():
        assert abs(sex["auroc"]["gap"]["value"]) < 4 * sex["auroc"]["gap"]["se"]
    ages = told["groups"]["age"]
    assert list(ages) == ["below 40", "40 to 64", "65 and older"]
    assert sum(each["patients"] for each in ages.values()) == 800


def test_a_standard_error_is_that_of_delong() -> None:
    """By DeLong et al. 1988, on one label of one record a patient."""
    scored, years, sex = site(500)
    rows = np.arange(0, 1000, 2)
    one = Scored(
        probabilities=scored.probabilities[rows, :1],
        labels=scored.labels[rows, :1],
        annotated=np.ones((500, 1), bool),
        owner=np.arange(500),
        counts=scored.counts,
    )
    two = Scored(
        probabilities=one.probabilities[:9],
        labels=one.labels[:9],
        annotated=one.annotated[:9],
        owner=np.arange(9),
        counts=scored.counts[:, :9],
    )
    people = years[rows], sex[rows]
    told = evidence_of(cohort(a=(one, *people), b=(two, people[0][:9], people[1][:9])), [0.9])
    score, truth = one.probabilities[:, 0], one.labels[:, 0] == 1
    wins = (score[truth][:, None] > score[~truth]).astype(float)
    delong = wins.mean(1).var(ddof=1) / truth.sum() + wins.mean(0).var(ddof=1) / (~truth).sum()
    found = told["groups"]["site"]["a"]["auroc"]
    assert found["value"] == pytest.approx(wins.mean(), abs=1e-4)
    assert found["se"] == pytest.approx(np.sqrt(delong), rel=0.2)


def test_unknown_sex_and_a_single_group_are_not_told() -> None:
    told = evidence_of(cohort(north=site(30, sexes=np.nan)), [0.9])
    assert told["groups"]["sex"] == {} == told["groups"]["site"]
    nobody = Scored(
        probabilities=np.zeros((0, 2)),
        labels=np.zeros((0, 2)),
        annotated=np.zeros((0, 2), bool),
        owner=np.zeros(0, int),
        counts=np.zeros((400, 0)),
    )
    empty = evidence_of(cohort(north=(nobody, np.zeros(0), np.zeros(0))), [0.9])
    assert empty["slope"] == {"value": None, "se": None} and empty["roc"]["sensitivity"] == []
