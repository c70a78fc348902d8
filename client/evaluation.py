"""Weights and held-out patients in, score histograms out: no score of a single patient leaves."""

import math

import numpy as np
import torch

from client.clipping import forward_losses
from client.dataset import SiteDataset
from client.training import autocast, to_device
from irene_model.metrics import score_histograms
from irene_model.protocol import Array, Arrays, check_update
from irene_model.records import Split
from irene_model.weights import load_arrays, new_model, to_arrays

_BATCH = 256


@torch.no_grad()
def evaluate(weights: Arrays, *, dataset: SiteDataset, split: Split, device: torch.device) -> Array:
    """Histograms (K, 2, BINS) of the scores of all records of the held-out patients.

    Each patient weighs 1 for each label, spread over the records. Raises ProtocolError for weights
    that are not those of the study's model.
    """
    model = new_model(dataset.study, seed=0)
    check_update(weights, to_arrays(model))
    load_arrays(model, weights)
    model.to(device).eval()
    patients = dataset.patients[split]
    rows = np.concatenate(patients) if patients else np.zeros(0, dtype=np.int64)
    owner = np.repeat(np.arange(len(patients)), [len(p) for p in patients])
    scores = np.zeros((len(rows), len(dataset.study.labels)), dtype=np.float32)
    for part in np.array_split(np.arange(len(rows)), max(1, math.ceil(len(rows) / _BATCH))):
        if len(part):
            with autocast(device):
                logits, _ = forward_losses(model, to_device(dataset.batch(rows[part]), device))
            scores[part] = torch.sigmoid(logits).cpu().numpy()
    return score_histograms(
        scores,
        dataset.tensors["labels"].numpy()[rows],
        dataset.tensors["label_mask"].numpy()[rows],
        owner,
    )
