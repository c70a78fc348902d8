"""Pooling over sites: adding, stratified intervals, labels that can't be judged."""

import time
from collections.abc import Sequence

import numpy as np
import pytest
from scipy.special import expit
from sklearn.metrics import average_precision_score, roc_auc_score

from irene_model.errors import ProtocolError
from irene_model.exchange.replies import LABEL_SENT, EvaluateReply
from irene_model.metrics.metrics import BINS, Array, score_histograms
from server.evaluation.evaluation import Evaluation
from server.evaluation.evaluation import pool as pool_sites
from server.evaluation.histograms import SiteHistograms

LABELS = ("pneumonia", "effusion")


def hospital(n: int, seed: int, n_labels: int = 2, shift: float = 0.0) -> tuple[Array, Array]:
    rng = np.random.default_rng(seed)
    truth = rng.normal(-1.0, 1.5, (n, n_labels))
    labels = (rng.random((n, n_labels)) < expit(truth)).astype(int)
    return expit(truth + shift + rng.normal(0, 1.0, (n, n_labels))), labels


def pool(
    histograms: dict[str, Array],
    labels: Sequence[str],
    rng: np.random.Generator,
    replicates: int = 1000,
) -> Evaluation:
    """Of sites that send exact histograms of all labels."""
    sent = np.full(len(labels), LABEL_SENT)
    sites = {s: SiteHistograms(histograms=h, labels=sent) for s, h in histograms.items()}
    return pool_sites(sites, labels, rng, prior=0.1, replicates=replicates)


def histograms(scores: Array, labels: Array) -> Array:
    return score_histograms(scores, labels, np.ones(scores.shape, bool), np.arange(len(scores)))


def rng() -> np.random.Generator:
    return np.random.default_rng(0)


def test_pooled_values_are_those_of_all_patients_together() -> None:
    cohorts = {"north": hospital(500, 1), "south": hospital(300, 2, shift=1.0)}
    evaluation = pool({s: histograms(*c) for s, c in cohorts.items()}, LABELS, rng())
    scores, labels = (np.concatenate(part) for part in zip(*cohorts.values(), strict=True))
    for k, label in enumerate(LABELS):
        auroc, auprc = evaluation.auroc.by_label[label], evaluation.auprc.by_label[label]
        assert auroc.value == pytest.approx(roc_auc_score(labels[:, k], scores[:, k]), abs=0.001)
        assert auprc.value == pytest.approx(
            average_precision_score(labels[:, k], scores[:, k]), abs=0.003
        )
        assert (auroc.positives, auroc.n) == (labels[:, k].sum(), 800)
        assert auroc.ci95 is not None and auroc.value is not None
        assert auroc.ci95[0] < auroc.value < auroc.ci95[1]
    values = [estimate.value for estimate in evaluation.auroc.by_label.values()]
    assert evaluation.auroc.macro == pytest.approx(np.mean(values))
    north = [roc_auc_score(*(part[:, k] for part in reversed(cohorts["north"]))) for k in (0, 1)]
    assert evaluation.auroc.by_site["north"] == pytest.approx(np.mean(north), abs=0.001)


def test_a_label_without_positives_has_no_value_and_leaves_the_mean() -> None:
    scores, labels = hospital(300, 3)
    labels[:, 1] = 0
    auroc = pool({"north": histograms(scores, labels)}, LABELS, rng()).auroc
    assert auroc.by_label["effusion"].as_dict() == {
        "value": None, "ci95": None, "positives": 0, "n": 300, "note": "no positives",
    }  # fmt: skip
    assert "note" not in auroc.by_label["pneumonia"].as_dict()
    assert auroc.macro == auroc.by_label["pneumonia"].value
    assert auroc.ci95 == auroc.by_label["pneumonia"].ci95


def test_a_label_without_negatives_says_so() -> None:
    scores, labels = hospital(50, 3)
    labels[:, 0] = 1
    auprc = pool({"north": histograms(scores, labels)}, LABELS, rng()).auprc
    assert auprc.by_label["pneumonia"].value is None
    assert auprc.by_label["pneumonia"].note == "no negatives"


def test_nothing_annotated_is_null_everywhere() -> None:
    evaluation = pool({"north": np.zeros((2, 2, BINS), np.float32)}, LABELS, rng())
    assert evaluation.summary == {
        "loss": None, "auroc": None, "auroc_ci95": None, "auprc": None, "by_site": {"north": None},
    }  # fmt: skip
    assert evaluation.as_dict()["calibration"] == {
        "brier": None, "brier_ci95": None, "ece": None, "ece_ci95": None,
    }  # fmt: skip


def test_replicates_without_a_rare_label_are_left_out() -> None:
    scores, labels = hospital(120, 4)
    labels[:, 1] = 0
    labels[np.argmax(scores[:, 1]), 1] = 1  # one positive: about a third of the draws miss it
    auroc = pool({"north": histograms(scores, labels)}, LABELS, rng()).auroc
    assert auroc.by_label["effusion"].positives == 1
    assert auroc.ci95 is not None and not np.isnan(auroc.ci95).any()


def test_intervals_are_stratified_and_shrink_with_patients() -> None:
    def width(n: int) -> float:
        sites = {f"site {i}": histograms(*hospital(n, i)) for i in range(2)}
        ci95 = pool(sites, LABELS, rng()).auroc.ci95
        assert ci95 is not None
        return ci95[1] - ci95[0]

    assert width(1600) == pytest.approx(width(100) / 4, rel=0.35)


def test_intervals_cover_the_true_value_about_as_often_as_they_say() -> None:
    scores, labels = hospital(100_000, 99, n_labels=1)
    truth = roc_auc_score(labels[:, 0], scores[:, 0])
    covered = 0
    for seed in range(60):
        site = {"north": histograms(*hospital(250, seed, n_labels=1))}
        ci95 = pool(site, ("pneumonia",), np.random.default_rng(seed), replicates=300).auroc.ci95
        assert ci95 is not None
        covered += ci95[0] <= truth <= ci95[1]
    assert covered >= 51  # 95 % of 60 is 57; fewer than 51 has a chance below 0.001


def test_the_order_of_the_sites_changes_nothing() -> None:
    north, south = histograms(*hospital(80, 1)), histograms(*hospital(90, 2))
    first = pool({"north": north, "south": south}, LABELS, rng())
    assert first == pool({"south": south, "north": north}, LABELS, rng())


@pytest.mark.parametrize(
    ("hist", "complaint"),
    [
        (np.zeros((3, 2, BINS)), "shape"),
        (np.zeros((2, 2, BINS - 1)), "shape"),
        (np.full((2, 2, BINS), -1.0), "negative"),
        (np.full((2, 2, BINS), np.nan), "not finite"),
    ],
)
def test_a_histogram_that_breaks_the_contract_is_refused(hist: Array, complaint: str) -> None:
    reply = EvaluateReply(
        fingerprint="f",
        site="north",
        round=1,
        outcome="evaluated",
        arrays={"histograms": hist, "labels": np.ones(2, np.int8)},
    )
    with pytest.raises(ProtocolError, match=f"site north.*{complaint}"):
        SiteHistograms.read("north", reply, 2)


def test_without_any_site_nothing_has_a_value() -> None:
    evaluation = pool({}, LABELS, rng())
    assert evaluation.summary["auroc"] is None and evaluation.brier is None
    assert evaluation.auroc.by_label["effusion"].note == "no positives"


def test_four_sites_of_eight_labels_are_quick() -> None:
    labels = tuple(f"label {k}" for k in range(8))
    sites = {f"site {i}": histograms(*hospital(1000, i, n_labels=8)) for i in range(4)}
    start = time.process_time()
    pool(sites, labels, rng())
    assert time.process_time() - start < 1.5  # about 0.4 s on an idle core
