"""Weights and held-out patients in, score histograms out: no score of a single patient leaves.

The private way is the Gaussian mechanism (Dwork and Roth 2014, Thm. A.1; accounted exactly, as a
subsampled Gaussian of rate 1). Its query is all histograms of the site together, (K', 2, G) for the
K' labels that site.yaml maps. A patient adds to each label's pair of histograms a non-negative
vector of total mass 1, or 0 where no record is annotated: each of n annotated records adds 1/n to
one cell. The L2 norm of such a vector is at most its mass, and 1 where all lies in one cell. So
adding or removing one patient, with all records, moves the query by at most sqrt(K'), and a patient
of one record that is annotated for every label moves it by just that.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch

from client.devices import autocast, pick_device, to_device
from client.ledger import Ledger
from client.private import NoiseSource, forward_losses
from client.records import SiteDataset
from client.site import Site
from client.training.training import pack, unpack
from irene_model.exchange import (
    LABEL_ABSENT,
    LABEL_SENT,
    LABEL_WITHHELD,
    Array,
    Arrays,
    check_weights,
)
from irene_model.inputs import decode
from irene_model.metrics import coarsen, score_histograms
from irene_model.privacy import Mechanism
from irene_model.study import HeldOut
from irene_model.weights import load_arrays, new_model, to_arrays

_BATCH = 256
# A noised cell is rounded to this part of a patient, so that the low bits of a floating-point
# number, which can betray what the noise was added to (Mironov 2012), do not leave.
_GRAIN = 2.0**-10


@dataclass(frozen=True, kw_only=True)
class Scores:
    """The scores of one split. rows: record -> row of the data set; owner: record -> patient.

    probabilities: (N, K). labels, annotated: (N, K), the second true where the first means
    something.
    """

    probabilities: Array
    labels: Array
    annotated: Array
    owner: Array

    def histograms(self) -> Array:
        """Exact histograms, float64 (K, 2, BINS); each patient weighs 1 for each label."""
        return score_histograms(self.probabilities, self.labels, self.annotated, self.owner)

    def smallest_groups(self) -> Array:
        """(K,): the patients who have a label, or those who have not, whichever are fewer."""
        return np.array(
            [
                min(len(np.unique(self.owner[known & (label == side)])) for side in (0, 1))
                for label, known in zip(self.labels.T, self.annotated.T, strict=True)
            ]
        )


@dataclass(frozen=True, kw_only=True)
class Evaluated:
    """What is evaluated and where: a split of the data set, and the labels that the site maps."""

    dataset: SiteDataset
    split: HeldOut
    mapped: Sequence[str]
    device: torch.device

    @classmethod
    def at(cls, site: Site, dataset: SiteDataset, split: HeldOut) -> "Evaluated":
        """A split of `site`."""
        device = pick_device(site.device)
        return cls(dataset=dataset, split=split, mapped=tuple(site.labels), device=device)

    @property
    def labels(self) -> Array:
        """(K,) int8: LABEL_SENT or LABEL_ABSENT."""
        study = self.dataset.study
        return np.array(
            [LABEL_SENT if label in self.mapped else LABEL_ABSENT for label in study.labels],
            dtype=np.int8,
        )

    @property
    def sensitivity(self) -> float:
        """How far one patient moves all histograms together, in L2; see the module."""
        return math.sqrt(len(set(self.mapped) & set(self.dataset.study.labels)))


def evaluate(weights: Arrays, what: Evaluated, *, minimum_group: int) -> Arrays:
    """Exact histograms (K, 2, BINS), and `labels` (K,): which of them are there.

    Labels that the site does not map, and those with fewer than `minimum_group` patients on one
    side, are zeros. Raises ProtocolError for weights that are not those of the study's model.
    """
    scores, labels = score(weights, what), what.labels
    labels[(labels == LABEL_SENT) & (scores.smallest_groups() < minimum_group)] = LABEL_WITHHELD
    histograms = scores.histograms() * (labels == LABEL_SENT)[:, None, None]
    return {"histograms": histograms.astype(np.float32), "labels": labels}


def evaluate_privately(
    weights: Arrays,
    what: Evaluated,
    *,
    noise_multiplier: float,
    ledger: Ledger,
    run: str,
    round: int,
    rng: NoiseSource,
) -> Arrays:
    """Noised histograms (K, 2, COARSE_BINS), reserved in the ledger before and released after.

    Raises BudgetExceeded before a patient is scored, and ProtocolError for weights that are not
    those of the study's model. An evaluation that was released before gives the same bytes again,
    whatever the weights.
    """
    dataset, labels = what.dataset, what.labels
    model = new_model(dataset.study, seed=0)
    check_weights(weights, to_arrays(model), dataset.study)  # before it costs budget
    ledger.record_patients(dataset.training_digests)
    reservation = ledger.reserve(
        run=run,
        round=round,
        mechanism=Mechanism(noise_multiplier=noise_multiplier, sample_rate=1.0, steps=1),
        clip_norm=what.sensitivity,
        split=what.split,
        assignment=dataset.assignment,
        once=what.split == "test",
    )
    if reservation.released:
        return unpack(ledger.outbox(reservation))
    scores = score(weights, what)
    # That a patient has no finite score must not be told by an error: it counts as one half.
    finite = np.nan_to_num(scores.probabilities, nan=0.5)
    noised = add_noise(
        coarsen(replace(scores, probabilities=finite).histograms(), dataset.study.model.prior),
        deviation=noise_multiplier * reservation.clip_norm,
        sent=labels == LABEL_SENT,
        rng=rng,
    )
    return unpack(ledger.release(reservation, pack({"histograms": noised, "labels": labels})))


def add_noise(histograms: Array, *, deviation: float, sent: Array, rng: NoiseSource) -> Array:
    """Float32 (K, 2, G): normal noise of `deviation` in all cells of the labels that are `sent`."""
    noised = histograms + deviation * rng.standard_normal(histograms.shape)
    grains = np.round(noised / _GRAIN) * _GRAIN
    return (grains * sent[:, None, None]).astype(np.float32)


@torch.no_grad()
def probabilities(
    weights: Arrays, dataset: SiteDataset, rows: Array, device: torch.device
) -> Array:
    """What the model of `weights` says of the records in `rows` (N, K); they stay here."""
    model = new_model(dataset.study, seed=0)
    check_weights(weights, to_arrays(model), dataset.study)
    load_arrays(model, weights)
    model.to(device).eval()
    scores = np.zeros((len(rows), len(dataset.study.labels)), dtype=np.float32)
    for part in np.array_split(np.arange(len(rows)), max(1, math.ceil(len(rows) / _BATCH))):
        if len(part):
            with autocast(device):
                kept = to_device(dataset.kept(rows[part]), device)
                logits, _ = forward_losses(model, decode(kept, dataset.study))
            scores[part] = torch.sigmoid(logits).cpu().numpy()
    return scores


def score(weights: Arrays, what: Evaluated) -> Scores:
    """The scores of all records of the held-out patients; they stay here."""
    dataset = what.dataset
    patients = dataset.patients[what.split]
    rows = np.concatenate(patients) if patients else np.zeros(0, dtype=np.int64)
    scores = probabilities(weights, dataset, rows, what.device)
    return Scores(
        probabilities=scores,
        labels=dataset.tensors["labels"].numpy()[rows],
        annotated=dataset.tensors["label_mask"].numpy()[rows].astype(bool),
        owner=np.repeat(np.arange(len(patients)), [len(p) for p in patients]),
    )
