"""AUROC, AUPRC and calibration from histograms of scores, and intervals for them (pure).

A site never sends the scores of single patients. For each label it sends two histograms over one
fixed grid of scores, those of its negatives and those of its positives. Histograms add up, so the
server pools hospitals exactly by adding. Every metric here reads histograms and nothing else.
They are counts without noise: a count of one is still one patient's rounded score, so they lie
outside the accounting until noise is added.

Shapes: N records, K labels, G bins of the grid (`BINS` as sent, fewer after `merge_bins`),
R replicates. `hist[..., 0, :]` are negatives and `hist[..., 1, :]` positives, in patients.
`centres` (G,) is the probability that stands for each bin.

The grid is uniform in the logit, from -8 to 8, and its ends are open: scores beyond fall into
the outermost bins. Scores within one bin are ties, which count half. With 1,024 bins that moves
an AUROC by less than 0.001 while the logits spread over more than 0.3.
"""

from collections.abc import Sequence
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt
from scipy.special import expit, logit

Array: TypeAlias = npt.NDArray[Any]

BINS = 1024
EDGES: Array = np.linspace(-8.0, 8.0, BINS + 1)
"""(BINS + 1,) bounds of the bins, in logits."""
CENTRES: Array = expit((EDGES[:-1] + EDGES[1:]) / 2)
"""(BINS,) the probability in the middle of each bin."""


def score_histograms(scores: Array, labels: Array, label_mask: Array, patients: Array) -> Array:
    """A site's whole report about its scores: float64 (K, 2, BINS), in patients.

    `scores` (N, K) are probabilities, `labels` (N, K) 0 or 1 and read only where `label_mask`
    (N, K) is true, `patients` (N,) any integers that tell patients apart.

    A patient weighs 1 per label however many annotated records there are: each of n records
    counts 1/n. So 22 radiographs of one patient do not count 22 times, and adding or removing
    a patient changes one label's histograms by at most 1 in L1 (K over all labels), the
    sensitivity that a noised evaluation needs.

    ValueError for shapes that do not fit and for annotated scores that are no probabilities.
    """
    scores, labels = np.asarray(scores, dtype=np.float64), np.asarray(labels)
    label_mask, patients = np.asarray(label_mask, dtype=bool), np.asarray(patients)
    if scores.ndim != 2 or not (scores.shape == labels.shape == label_mask.shape):
        raise ValueError(
            f"scores {scores.shape}, labels {labels.shape} and label_mask {label_mask.shape} "
            "must all be (records, labels)"
        )
    if patients.shape != scores.shape[:1]:
        raise ValueError(f"patients {patients.shape} must be ({scores.shape[0]},)")
    record, label = np.nonzero(label_mask)
    score, truth = scores[record, label], labels[record, label]
    if not np.all((score >= 0) & (score <= 1)):
        raise ValueError("an annotated score is no probability: it is outside 0..1 or not finite")
    if not np.all((truth == 0) | (truth == 1)):
        raise ValueError("an annotated label is neither 0 nor 1")

    names, patient = np.unique(patients, return_inverse=True)
    n_labels = scores.shape[1]
    patient_label = patient[record] * n_labels + label
    records_of = np.bincount(patient_label, minlength=len(names) * n_labels)
    cell = (label * 2 + truth.astype(np.int64)) * BINS + _bin(score)
    weights = 1.0 / records_of[patient_label]
    hist = np.bincount(cell, weights=weights, minlength=n_labels * 2 * BINS)
    return hist.reshape(n_labels, 2, BINS)


def auroc(hist: Array) -> float | None:
    """Area under the ROC curve of one (2, G) histogram; None without positives or negatives."""
    return _or_none(aurocs(hist))


def auprc(hist: Array) -> float | None:
    """Average precision of one (2, G) histogram; None without positives or negatives."""
    return _or_none(auprcs(hist))


def aurocs(hists: Array) -> Array:
    """AUROC of each histogram of a stack (..., 2, G): shape (...), NaN where undefined.

    The chance that a positive scores above a negative, ties counting half (Mann-Whitney).
    """
    negatives, positives = _sides(hists)
    below = np.cumsum(negatives, axis=-1) - negatives / 2
    pairs = negatives.sum(axis=-1) * positives.sum(axis=-1)
    return _ratio((positives * below).sum(axis=-1), pairs)


def macro_auroc(histograms: Sequence[Array]) -> float | None:
    """Mean AUROC over the labels that have one, of the pooled (K, 2, BINS) of several sites."""
    values = aurocs(np.stack(histograms).sum(axis=0, dtype=np.float64))
    defined = values[~np.isnan(values)]
    return float(defined.mean()) if defined.size else None


def auprcs(hists: Array) -> Array:
    """Average precision of each histogram of a stack (..., 2, G): shape (...), NaN if undefined.

    The sum over thresholds of (recall gained) x (precision there), as scikit-learn defines it.
    """
    negatives, positives = (side[..., ::-1] for side in _sides(hists))
    hits = np.cumsum(positives, axis=-1)
    called = hits + np.cumsum(negatives, axis=-1)
    precision = np.divide(hits, called, out=np.zeros_like(hits), where=called > 0)
    area = _ratio((positives * precision).sum(axis=-1), positives.sum(axis=-1))
    return np.where(negatives.sum(axis=-1) > 0, area, np.nan)


def brier(hist: Array) -> float | None:
    """Mean squared error of the probability over one (2, BINS) histogram; None if it is empty."""
    return _or_none(briers(hist, CENTRES))


def ece(hist: Array) -> float | None:
    """Expected calibration error of one (2, BINS) histogram; None if it is empty."""
    return _or_none(eces(hist, CENTRES))


def log_loss(hist: Array) -> float | None:
    """Mean binary cross-entropy in nats over one (2, BINS) histogram; None if it is empty."""
    return _or_none(log_losses(hist, CENTRES))


def briers(hists: Array, centres: Array) -> Array:
    """Brier score of each histogram of a stack (..., 2, G): shape (...), NaN where it is empty."""
    negatives, positives = _sides(hists)
    error = (negatives * centres**2 + positives * (1 - centres) ** 2).sum(axis=-1)
    return _ratio(error, (negatives + positives).sum(axis=-1))


def log_losses(hists: Array, centres: Array) -> Array:
    """Cross-entropy of each histogram of a stack (..., 2, G): shape (...), NaN where empty."""
    negatives, positives = _sides(hists)
    loss = -(negatives * np.log1p(-centres) + positives * np.log(centres)).sum(axis=-1)
    return _ratio(loss, (negatives + positives).sum(axis=-1))


def eces(hists: Array, centres: Array, groups: int = 10) -> Array:
    """Calibration error of each histogram of a stack (..., 2, G): shape (...), NaN where empty.

    Patients fall into `groups` equal intervals of probability; the error is the mean, weighted
    by patients, of |share of positives - mean score|, a bin's score being its centre. The grid's
    own bins would be too fine: each holds a few patients, and chance alone would look like error.
    """
    negatives, positives = _sides(hists)
    group = np.minimum((centres * groups).astype(int), groups - 1)
    n = negatives + positives
    gaps = (positives - n * centres) @ np.eye(groups)[group]
    return _ratio(np.abs(gaps).sum(axis=-1), n.sum(axis=-1))


def merge_bins(hists: Array, centres: Array, groups: int) -> tuple[Array, Array]:
    """Join neighbouring bins of (..., 2, G) to at most `groups`, the same for the whole stack.

    Returns the joined histograms and their centres, the means of what was joined. The bounds lie
    at quantiles of the even mixture of all positives and all negatives, so that neither the
    crowded nor the rare side loses its order. Fewer cells make `bootstrap` fast.
    """
    side = hists.reshape(-1, *hists.shape[-2:]).sum(axis=0, dtype=np.float64)
    mass = side / np.maximum(side.sum(axis=-1, keepdims=True), np.finfo(float).tiny)
    total = mass.sum()
    if hists.shape[-1] <= groups or total == 0:
        return hists, centres
    middle = np.cumsum(mass.sum(axis=0)) - mass.sum(axis=0) / 2
    group = np.minimum((middle / total * groups).astype(int), groups - 1)
    starts = np.flatnonzero(np.diff(group, prepend=-1))
    n = side.sum(axis=0)
    weighted, plain = (np.add.reduceat(w, starts) for w in (n * centres, n))
    joined = np.divide(weighted, plain, out=centres[starts].copy(), where=plain > 0)
    return np.add.reduceat(hists, starts, axis=-1), joined


def bootstrap(hist: Array, rng: np.random.Generator, replicates: int = 1000) -> Array:
    """Resampled histograms of one site and label: (2, G) to float64 (R, 2, G).

    Each replicate draws n times from the histogram's cells, n being the number of patients. A
    cell's share is the chance of drawing a patient and then one of that patient's records, so
    this is a bootstrap over patients in which a drawn patient brings one record. With one record
    a patient it is the ordinary bootstrap. With several, a whole patient would bring the mean of
    the records, which varies less than one of them (law of total variance): the intervals are
    then slightly too wide, never too narrow.
    """
    weights = np.asarray(hist, dtype=np.float64)
    resampled = np.zeros((replicates, weights.size))
    total = weights.sum()
    n_patients = round(float(total))
    if n_patients:
        # Empty cells are never drawn, and most cells of a hospital are empty.
        full = np.flatnonzero(weights)
        shares = weights.ravel()[full] / total
        resampled[:, full] = rng.multinomial(n_patients, shares, size=replicates)
    return resampled.reshape(replicates, *weights.shape)


def _bin(score: Array) -> Array:
    # Inner bounds only: whatever lies beyond the ends belongs to the outermost bins.
    bins: Array = np.searchsorted(EDGES[1:-1], logit(score), side="right")
    return bins


def _sides(hists: Array) -> tuple[Array, Array]:
    hists = np.asarray(hists, dtype=np.float64)
    return hists[..., 0, :], hists[..., 1, :]


def _ratio(numerator: Array, denominator: Array) -> Array:
    ratio = np.full(np.shape(denominator), np.nan)
    np.divide(numerator, denominator, out=ratio, where=np.asarray(denominator > 0))
    return ratio


def _or_none(value: Array) -> float | None:
    number = float(value)
    return None if np.isnan(number) else number
