"""What a site leaves out is what gets no gradient there, for every method."""

import numpy as np
import pytest
import torch

from irene_model.inputs.tensors import Batch
from irene_model.network.model import DiagnosticModel
from irene_model.study.recipe import Method
from irene_model.study.study import Study
from irene_model.weights.groups import MODALITIES, choose_mapped, is_head, is_trained, without_rows
from irene_model.weights.weights import new_model, trained_names
from tests.helpers.hospital_folder import STUDY
from tests.helpers.models.small_methods import ALL

RECORDS, LABELS = 6, 2


def study_of(method: str) -> Study:
    model = {
        "method": method, "hidden_size": 16, "num_hidden_layers": 4, "num_attention_heads": 2,
        "num_bidirectional_layers": 2, "intermediate_size": 16,
    }  # fmt: skip
    return Study.model_validate({**STUDY, "model": model})


def batch_without(missing: set[str], labels: list[bool]) -> Batch:
    """Records of a site that has none of `missing` modalities."""
    torch.manual_seed(0)
    demographics = torch.tensor(["age" not in missing, "sex" not in missing]).expand(RECORDS, 2)
    return {
        "pixel_values": torch.randn(RECORDS, 1, 16, 16),
        "image_mask": torch.full((RECORDS,), "image" not in missing),
        "input_ids": torch.randint(1, 50, (RECORDS, 6)),
        "text_mask": torch.full((RECORDS, 6), "text" not in missing),
        "lab_values": torch.randn(RECORDS, 2),
        "lab_mask": torch.full((RECORDS, 2), "labs" not in missing),
        "age": torch.rand(RECORDS),
        "sex": torch.randint(0, 2, (RECORDS,)).float(),
        "demographics_mask": demographics,
        "labels": torch.randint(0, 2, (RECORDS, LABELS)).float(),
        "label_mask": torch.tensor(labels).expand(RECORDS, LABELS),
    }


def gradients(model: DiagnosticModel, batch: Batch) -> dict[str, np.ndarray]:
    model(**batch).losses.sum().backward()
    return {
        name: np.zeros(p.shape) if p.grad is None else p.grad.numpy()
        for name, p in model.named_parameters()
    }


@pytest.mark.parametrize("method", ALL)
@pytest.mark.parametrize(
    "missing", [{"text"}, {"image"}, {"labs"}, {"age", "sex"}, {"labs", "age", "sex"}]
)
def test_what_is_left_out_has_no_gradient(method: Method, missing: set[str]) -> None:
    model = new_model(study_of(method), seed=0).eval()
    with torch.no_grad():
        for parameter in model.parameters():  # no gradient may be zero by initial weights alone
            parameter.add_(0.05 * torch.randn(parameter.shape))
    found = gradients(model, batch_without(missing, [True, True]))
    mapped = set(MODALITIES) - missing
    out = {name for name in found if not is_trained(name, mapped, method)}
    assert out == {name for name in out if not found[name].any()}
    read = {name.split(".")[1] for name in found if name.startswith("embeddings.")}
    named = {"text": "text", "image": "patches", "labs": "labs", "age": "age"}
    for modality in missing & named.keys():
        if named[modality] in read:
            assert any(name.startswith(f"embeddings.{named[modality]}") for name in out)
    if method == "irene":  # and nothing was forgotten, in the method that matters most
        zero = {name for name in found if not found[name].any()}
        assert zero == out


def test_with_everything_mapped_everything_is_trained() -> None:
    model = new_model(study_of("irene"), seed=0)
    before = trained_names(model)
    choose_mapped(model, MODALITIES, "irene")
    assert trained_names(model) == before
    choose_mapped(model, ("image", "labs", "age", "sex"), "irene")
    assert set(before) - set(trained_names(model)) == {
        "embeddings.text_tokens.weight", "embeddings.text.weight", "embeddings.text.bias",
        "embeddings.text_positions.table",
    }  # fmt: skip


@pytest.mark.parametrize("method", ALL)
def test_a_head_has_a_row_a_label_and_an_absent_labels_row_no_gradient(method: str) -> None:
    model = new_model(study_of(method), seed=0).eval()
    found = gradients(model, batch_without(set(), [True, False]))
    heads = [name for name in found if is_head(name)]
    assert len(heads) == 2 * len(model.heads)
    for name in heads:
        assert len(found[name]) == LABELS and not found[name][1].any(), name


def test_rows_of_absent_labels_are_emptied() -> None:
    array = np.ones((2, 3), np.float32)
    kept = without_rows("head.weight", array, np.array([True, False]))
    assert kept[0].all() and not kept[1].any() and array.all()
    assert without_rows("encoder.norm.weight", array, np.array([True, False])) is array
