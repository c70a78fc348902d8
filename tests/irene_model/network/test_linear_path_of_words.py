"""The linear path of a study whose words are cut by its own vocabulary and whose vectors stay."""

from pathlib import Path

import pytest
import torch
from torch import Tensor

from client.private.clipping import ClippedSum
from client.private.fused import FusedSum
from client.private.opacus_engines import HookSum
from irene_model import IreneProcessor
from irene_model.explain.integrated_gradients import integrated_gradients
from irene_model.inputs.tensors import Batch
from irene_model.network.model import IreneModel
from irene_model.study.study import Study
from irene_model.weights.weights import new_model, read_model
from tests.helpers.models.clipped_sums import (
    STUDY,
    assert_equal,
    batch_of,
    clipped_sum_by_loop,
    sums_of,
)

LENGTH = 4.0  # of the mean vector of a record's words


def study_of(*, windows: int = 1) -> Study:
    text = {"max_tokens": 6, "width": 8, "trainable": False, "windows": windows}
    document = STUDY.model_dump(mode="json")
    document |= {"text": text, "model": {**document["model"], "linear_path": True}}
    return Study.model_validate(document)


def moved(study: Study) -> IreneModel:
    model, generator = new_model(study, seed=1), torch.Generator().manual_seed(3)
    for parameter in model.parameters():
        parameter.data += 0.2 * torch.randn(parameter.shape, generator=generator)
    assert isinstance(model, IreneModel)
    return model


def shared_places(batch: Batch) -> Batch:
    """Two tokens share each place; some places have one."""
    ids = torch.stack([batch["input_ids"], batch["input_ids"].flip(1)], dim=2)
    ids[:, ::2, 1] = -1
    return {**batch, "input_ids": ids}


def by_hand(model: IreneModel, batch: Batch, row: int) -> Tensor:
    """What the path says of one record: the words' mean, centred and brought to its length."""
    table, places = model.embeddings.text_tokens.weight, []
    for ids, there in zip(batch["input_ids"][row], batch["text_mask"][row], strict=True):
        if there:
            known = [table[i] for i in ids.reshape(-1).tolist() if i >= 0]
            places.append(torch.stack(known).mean(dim=0))
    vector = torch.stack(places).mean(dim=0) if places else torch.zeros(table.shape[1])
    vector = vector - vector.mean()
    features = vector * LENGTH / vector.norm().clamp(min=1e-12)
    told = [features @ model.linear.text_head.weight.T]
    for values, mask, columns in (
        (batch["lab_values"][row], batch["lab_mask"][row], (0, 2)),
        (
            torch.stack([batch["age"][row], batch["sex"][row]]) * 2 - 1,
            batch["demographics_mask"][row],
            (4, 6),
        ),
    ):
        weight = model.linear.numbers_head.weight
        told.append(torch.where(mask, values, 0) @ weight[:, columns[0] : columns[0] + 2].T)
        told.append(mask.float() @ weight[:, columns[1] : columns[1] + 2].T)
    seen = torch.stack([batch["image_mask"][row], batch["text_mask"][row].any()]).float()
    told.append(seen @ model.linear.presence_head.weight.T)
    return torch.stack(told).sum(dim=0) + model.head.bias


@pytest.mark.parametrize("windows", [1, 2])
def test_it_reads_the_mean_of_the_words(windows: int) -> None:
    model, batch = moved(study_of(windows=windows)).eval(), batch_of(8)
    if windows == 2:
        batch = shared_places(batch)
    batch["text_mask"][0] = False
    model.head.weight.data.zero_()  # what is left is the path's
    told = model(**batch).logits
    for row in range(8):
        torch.testing.assert_close(told[row], by_hand(model, batch, row))


@pytest.mark.parametrize("engine", [FusedSum, HookSum])
@pytest.mark.parametrize("trainable", [False, True])
def test_clipped_sums_equal_a_loop_over_patients(
    engine: type[ClippedSum], *, trainable: bool
) -> None:
    """Also where words are trained, as beside a frozen image encoder: both parts move them."""
    model, batch = moved(study_of()).train(), batch_of(7)
    model.embeddings.text_tokens.requires_grad_(trainable)
    expected = clipped_sum_by_loop(model, batch, 0.3)
    model.zero_grad()
    assert_equal(sums_of(engine, model, batch, clip_norm=0.3), expected)


def test_words_that_are_trained_are_no_frozen_feature() -> None:
    document = study_of().model_dump(mode="json")
    document["text"]["trainable"] = True
    with pytest.raises(ValueError, match=r"set text\.trainable to false"):
        Study.model_validate(document)


def test_what_moved_a_logit_adds_up() -> None:
    model, batch = moved(study_of()).eval(), batch_of(6)
    for given in (batch, shared_places(batch)):
        found = integrated_gradients(model, given, label=0, steps=128)
        torch.testing.assert_close(found.logit, model(**given).logits[:, 0])
        difference = found.logit - found.baseline_logit
        torch.testing.assert_close(found.total, difference, atol=1e-3, rtol=1e-3)
    model.head.weight.data.zero_()
    alone = integrated_gradients(model, batch, label=0, steps=4)
    assert alone.text[batch["text_mask"]].abs().min() > 0
    assert not alone.text[~batch["text_mask"]].any()


def test_it_is_saved_and_read(tmp_path: Path) -> None:
    study, batch = study_of(), batch_of(5)
    model = moved(study).eval()
    model.save_pretrained(tmp_path)
    IreneProcessor(study).save_pretrained(tmp_path)
    torch.testing.assert_close(read_model(tmp_path, study)(**batch).logits, model(**batch).logits)
