"""Every method at a small size, and batches in which one modality differs."""

import copy
from functools import cache
from typing import Any, get_args

import torch

from irene_model.inputs.tensors import Batch
from irene_model.network.model import DiagnosticModel
from irene_model.study.recipe import Method
from irene_model.study.study import Study
from irene_model.weights.weights import new_model
from tests.helpers.models.clipped_sums import (
    STUDY,
    batch_of,
)

# The linear probe reads frozen encoders alone: `tests/irene_model/methods/test_probe.py`.
ALL = tuple(method for method in get_args(Method) if method != "linear_probe")
LATE = ["late_mean", "late_max", "late_product", "late_rules"]  # with a rule that learns nothing
VALUES = {
    "image": ["pixel_values"],
    "text": ["input_ids"],
    "labs": ["lab_values"],
    "demographics": ["age", "sex"],
}
MASKS = {
    "image": "image_mask",
    "text": "text_mask",
    "labs": "lab_mask",
    "demographics": "demographics_mask",
}


def study_of(method: str, **sizes: Any) -> Study:
    model = STUDY.model.model_copy(update={"method": method, **sizes})
    return STUDY.model_copy(update={"model": model})


@cache
def _fresh(method: str) -> DiagnosticModel:
    return new_model(study_of(method), seed=1)


def model_of(method: str) -> DiagnosticModel:
    return copy.deepcopy(_fresh(method)).eval()


def whole(size: int) -> Batch:
    """Records without a gap."""
    batch = batch_of(size)
    for mask in (*MASKS.values(), "label_mask"):
        batch[mask] = torch.ones_like(batch[mask])
    return batch


def changed(batch: Batch, modality: str) -> Batch:
    """The batch with other values of one modality."""
    other = batch_of(len(batch["age"]), seed=9)
    return {**batch, **{name: other[name] for name in VALUES[modality]}}
