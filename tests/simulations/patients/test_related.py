"""Patients of whom no modality tells, and no sum of scores, but all together do.

The oracles read what the generator drew, not pixels: of each modality every state that it can be
in, so that a regression on them is the best score there is of that modality, and one on all of them
the best sum of a score for each.
"""

from collections.abc import Sequence

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import roc_auc_score

from irene_model.inputs import TextReader
from irene_model.study import TextShape
from simulations.patients.anatomy import pose
from simulations.patients.complaints import PHRASINGS
from simulations.patients.devices import draw_drain
from simulations.patients.diseases import DISEASES
from simulations.patients.patients import Encounter
from simulations.patients.related import draw_related_patients
from simulations.patients.remarks import Remark, note

PAPER_TOKENS = 24
# A disease, what makes it possible, and which findings are there in that case.
STORIES = {
    "a side named": ("tuberculosis", lambda e: _named(e, "left", "right") and _has(e, "cavity")),
    "a zone named": ("lung_cancer", lambda e: _named(e, "upper", "lower") and _has(e, "mass")),
    "a drain": ("pneumothorax", lambda e: e.findings.drain is not None),
    "airways": ("copd", lambda e: _has(e, "hyperinflation") or _has(e, "bronchial_walls")),
    "an infiltrate": (
        "interstitial_lung_disease",
        lambda e: not e.remarks and (_has(e, "opacity") or _has(e, "reticulation")),
    ),
    "steroids": ("pneumonia", lambda e: _kind(e).startswith("steroids") and _has(e, "opacity")),
}


@pytest.fixture(scope="module")
def visits() -> list[Encounter]:
    patients = draw_related_patients(np.random.default_rng(0), num_patients=12_000)
    return [patient.encounters[0] for patient in patients]


@pytest.mark.parametrize("story", STORIES)
def test_a_disease_follows_from_the_modalities_together_and_from_no_sum_of_them(
    story: str, visits: list[Encounter]
) -> None:
    disease, told = STORIES[story]
    chosen = [visit for visit in visits if told(visit)]
    ill = np.array([visit.truth[disease] for visit in chosen])
    assert len(chosen) > 400 and 0.4 < ill.mean() < 0.6
    states = [_image(chosen), _text(chosen), _blood(chosen)]
    for each in states:
        assert _auroc([each], ill) < 0.58
    assert _auroc(states, ill) < 0.58
    if story == "airways":  # what is told of another place beside it does not bear on it
        states = [_airway(chosen), states[2]]
    together = ["|".join(parts) for parts in zip(*states, strict=True)]
    assert _auroc([together], ill) > 0.9


def test_the_diseases_are_common_enough_to_judge(visits: list[Encounter]) -> None:
    shares = np.mean([visit.labels for visit in visits], axis=0)
    assert len(shares) == len(DISEASES) and shares.min() > 0.05 and shares.max() < 0.3


def test_a_value_means_nothing_without_its_finding(visits: list[Encounter]) -> None:
    clear = [v for v in visits if not v.findings.items]
    stray = [v for v in visits if v.abnormalities and not _value_counts(v)]
    assert clear and not any(any(visit.labels) for visit in clear)
    for name in ("copd", "bronchiectasis", "interstitial_lung_disease"):
        assert len(stray) > 500 and not any(visit.truth[name] for visit in stray)


def test_a_note_fits_the_tokens_that_a_study_reads(visits: list[Encounter]) -> None:
    reader = TextReader.open(TextShape(max_tokens=2 * PAPER_TOKENS))
    rng, styles = np.random.default_rng(3), sorted(PHRASINGS)
    told = [
        note((), visit.remarks, rng=rng, phrasing=styles[index % len(styles)])
        for index, visit in enumerate(visits[:1500])
        if visit.remarks
    ]
    whole = [
        note(visit.symptoms, visit.remarks, rng=rng, phrasing=styles[index % len(styles)])
        for index, visit in enumerate(visits[:1500])
    ]
    assert reader.tokens(told)[1].sum(1).max() <= PAPER_TOKENS
    assert np.mean(reader.tokens(whole)[1].sum(1).numpy() <= PAPER_TOKENS) > 0.96


def test_a_remark_comes_first_and_names_its_place() -> None:
    rng = np.random.default_rng(0)
    for phrasing in PHRASINGS:
        text = note(
            ("fever",), (Remark(kind="old", place="upper"),), rng=rng, phrasing=phrasing
        ).lower()
        assert "upper" in text.partition(". ")[0]


def test_a_drain_is_drawn_on_its_side() -> None:
    rng = np.random.default_rng(1)
    chest, image = pose(rng, 64, 0), np.zeros((64, 64), np.float32)
    draw_drain(image, chest, 0, rng)
    assert image[:, :32].max() > 0.2 and image[:, 32:].max() < 0.01


def test_everything_follows_from_the_seed() -> None:
    first, again = (draw_related_patients(np.random.default_rng(7), num_patients=9) for _ in "ab")
    assert first == again


def _has(visit: Encounter, kind: str) -> bool:
    return kind in visit.findings.kinds


def _kind(visit: Encounter) -> str:
    return visit.remarks[0].kind if visit.remarks else ""


def _named(visit: Encounter, *places: str) -> bool:
    return bool(visit.remarks) and visit.remarks[0].place in places


def _value_counts(visit: Encounter) -> bool:
    meant = ("opacity", "reticulation", "hyperinflation", "bronchial_walls")
    return any(_has(visit, kind) for kind in meant)


def _image(visits: Sequence[Encounter]) -> list[str]:
    """Which findings lie on which side, and which above the other; where the drain is."""
    return [
        f"{[(f.kind, f.side) for f in v.findings.items if f.kind != 'reticulation']}"
        f"{sorted((f.zone, f.kind) for f in v.findings.items) if _is_stacked(v) else ''}"
        f"{v.findings.kinds if len(v.findings.items) == 1 else ''}{v.findings.drain}"
        for v in visits
    ]


def _airway(visits: Sequence[Encounter]) -> list[str]:
    return ["trapped" if _has(visit, "hyperinflation") else "walls" for visit in visits]


def _is_stacked(visit: Encounter) -> bool:
    sides = [item.side for item in visit.findings.items]
    return len(sides) == 2 and sides[0] == sides[1]


def _text(visits: Sequence[Encounter]) -> list[str]:
    return [f"{[(r.kind, r.place) for r in v.remarks]}" for v in visits]


def _blood(visits: Sequence[Encounter]) -> list[str]:
    return [f"{v.abnormalities}{v.labs['leukocytes'] > 10}" for v in visits]


def _auroc(modalities: Sequence[Sequence[str]], ill: np.ndarray) -> float:
    """Of a logistic regression on one number for each state of each modality, on the other half."""
    columns = []
    for states in modalities:
        names, where = np.unique(np.array(states), return_inverse=True)
        columns.append(np.eye(len(names))[where])
    seen, half = np.hstack(columns), len(ill) // 2
    model = LogisticRegression(C=1.0, max_iter=300).fit(seen[:half], ill[:half])
    return float(roc_auc_score(ill[half:], model.decision_function(seen[half:])))
