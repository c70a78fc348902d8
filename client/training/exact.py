"""Held-out patients judged exactly, for what stays in the house: no noise, no charge."""

import torch

from client.devices import pick_device
from client.records import SiteDataset
from client.site import Site
from client.training.evaluation import Evaluated, score
from irene_model.exchange import Array, Arrays
from irene_model.metrics import Scored, counts_of
from irene_model.study import HeldOut


def exact_histograms(
    weights: Arrays, dataset: SiteDataset, split: HeldOut, device: torch.device
) -> Array:
    """(K, 2, BINS) of one split."""
    what = Evaluated(dataset=dataset, split=split, mapped=dataset.study.labels, device=device)
    return score(weights, what).histograms()


def score_tests(weights: Arrays, site: Site, dataset: SiteDataset) -> tuple[Array, Scored]:
    """The test patients: exact histograms (K, 2, BINS), and scores to draw patients from."""
    device, mapped = pick_device(site.device), dataset.study.labels
    scores = score(weights, Evaluated(dataset=dataset, split="test", mapped=mapped, device=device))
    first = [int(rows[0]) for rows in dataset.patients["test"]]
    scored = Scored(
        probabilities=scores.probabilities,
        labels=scores.labels,
        annotated=scores.annotated,
        owner=scores.owner,
        counts=counts_of(site.site, first, len(dataset.pixels)),
    )
    return scores.histograms(), scored
