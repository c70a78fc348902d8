"""Every method that a study can choose: one contract, the same size, gaps that tell nothing."""

from dataclasses import replace
from pathlib import Path
from typing import get_args

import numpy as np
import pytest
import torch
from transformers import AutoModel

from client.budget.plan import plan_round
from client.ledger.ledger import Ledger
from client.private.fused import FusedSum
from client.private.opacus_engines import HookSum
from client.private.randomness import Randomness
from client.records.dataset import open_dataset
from client.site.site import Budget
from client.training.exact import exact_histograms
from client.training.training import train_round
from irene_model.methods.methods import FUSIONS, FusionModel
from irene_model.methods.sizes import METHODS
from irene_model.network.model import IreneModel, per_sample_loss
from irene_model.study.recipe import Method
from irene_model.weights.weights import new_model, to_arrays
from server.runs.run_folder import RunFolder
from tests.helpers.hospital_folder import HospitalFolder
from tests.helpers.models.clipped_sums import (
    assert_equal,
    batch_of,
    clipped_sum_by_loop,
    rows,
    sums_of,
)
from tests.helpers.models.small_methods import (
    ALL,
    LATE,
    MASKS,
    VALUES,
    changed,
    model_of,
    study_of,
    whole,
)

READS = {"image_only": {"image"}, "clinical_only": {"text", "labs", "demographics"}}


def test_a_study_knows_all_methods_and_no_other() -> None:
    known = get_args(Method)
    assert sorted(known) == sorted(METHODS)
    assert len(set(known)) == len(known)


# --- the contract ------------------------------------------------------------------------------


@pytest.mark.parametrize("method", ALL)
def test_output_and_losses(method: str) -> None:
    model, batch = model_of(method), batch_of(5)
    out = model(**batch)
    assert out.logits.shape == (5, 3)
    assert out.features.shape[0] == 5
    assert out.losses.shape == (5,)
    torch.testing.assert_close(out.loss, out.losses.mean())
    unlabelled = {name: t for name, t in batch.items() if not name.startswith("label")}
    assert model(**unlabelled).losses is None
    assert torch.equal(model(**unlabelled).logits, out.logits)
    if method not in {*LATE, "late_stacker", "hybrid", "early_feature", "early_feature_pca"}:
        expected = per_sample_loss(out.logits, batch["labels"], batch["label_mask"])
        assert torch.equal(out.losses, expected)
    nobody = model(**rows(batch, slice(0, 0)))
    assert nobody.logits.shape == (0, 3)
    assert nobody.loss.item() == 0.0


@pytest.mark.parametrize("method", ALL)
def test_a_record_is_the_same_whatever_else_is_in_its_batch(method: str) -> None:
    model, batch = model_of(method), batch_of(6)
    together = model(**batch)
    for index in range(6):
        alone = model(**rows(batch, slice(index, index + 1)))
        torch.testing.assert_close(alone.logits[0], together.logits[index], atol=1e-5, rtol=0)
        torch.testing.assert_close(alone.losses[0], together.losses[index], atol=1e-5, rtol=0)


@pytest.mark.parametrize("method", ALL)
def test_what_a_mask_hides_changes_nothing(method: str) -> None:
    model, batch = model_of(method), batch_of(6)
    hidden = {name: tensor.clone() for name, tensor in batch.items()}
    hidden["pixel_values"][~batch["image_mask"]] = torch.nan
    hidden["input_ids"][~batch["text_mask"]] = 5
    hidden["lab_values"][~batch["lab_mask"]] = torch.nan
    hidden["age"][~batch["demographics_mask"][:, 0]] = torch.nan
    hidden["sex"][~batch["demographics_mask"][:, 1]] = torch.nan
    expected, actual = model(**batch), model(**hidden)
    assert torch.equal(expected.logits, actual.logits)
    assert torch.equal(expected.features, actual.features)
    model.train()
    model(**hidden).loss.backward()
    assert all(torch.isfinite(p.grad).all() for p in model.parameters() if p.grad is not None)


@pytest.mark.parametrize("method", ALL)
def test_each_modality_counts_where_it_is_read_and_nowhere_else(method: str) -> None:
    model, batch = model_of(method), whole(8)
    before = model(**batch).logits
    for modality in VALUES:
        after = model(**changed(batch, modality)).logits
        read = modality in READS.get(method, set(VALUES))
        assert torch.equal(before, after) != read, modality


@pytest.mark.parametrize("only", VALUES)
@pytest.mark.parametrize("method", ALL)
def test_a_record_with_one_modality_alone(method: str, only: str) -> None:
    model, batch = model_of(method), whole(8)
    for modality, mask in MASKS.items():
        if modality != only:
            batch[mask] = torch.zeros_like(batch[mask])
    out = model(**batch)
    assert torch.isfinite(out.logits).all()
    assert torch.isfinite(out.losses).all()
    read = only in READS.get(method, set(VALUES))
    assert torch.equal(out.logits, model(**changed(batch, only)).logits) != read


@pytest.mark.parametrize("method", ALL)
def test_without_any_data_all_records_get_the_same(method: str) -> None:
    model, batch = model_of(method), batch_of(4)
    for mask in MASKS.values():
        batch[mask] = torch.zeros_like(batch[mask])
    logits = model(**batch).logits
    assert torch.isfinite(logits).all()
    assert torch.equal(logits, logits[:1].expand(4, -1))


@pytest.mark.parametrize("method", ALL)
def test_saved_and_loaded_exactly(method: str, tmp_path: Path) -> None:
    model = model_of(method)
    model.save_pretrained(tmp_path)
    loaded = AutoModel.from_pretrained(tmp_path)
    assert type(loaded) is type(model) is (FusionModel if method in FUSIONS else IreneModel)
    assert loaded.state_dict().keys() == model.state_dict().keys()
    assert all(torch.equal(t, model.state_dict()[n]) for n, t in loaded.state_dict().items())
    assert torch.equal(loaded(**batch_of(3)).logits, model(**batch_of(3)).logits)


@pytest.mark.parametrize("method", [name for name in ALL if name not in LATE[1:]])
def test_clipped_sums_equal_a_loop_over_single_patients(method: str) -> None:
    batch = batch_of(4)
    model = model_of(method).train()
    loop = clipped_sum_by_loop(model, batch, 0.05)
    assert_equal(sums_of(FusedSum, model, batch, clip_norm=0.05), loop)
    assert_equal(sums_of(HookSum, model, batch, clip_norm=0.05), loop)


@pytest.mark.parametrize("method", ALL)
def test_no_parameter_is_idle(method: str) -> None:
    model, batch = model_of(method), whole(6)
    model(**batch).loss.backward()
    # No softmax sees a key's bias, and one over a single key sees neither query nor key.
    for name, parameter in model.named_parameters():
        assert parameter.grad is not None, name
        assert parameter.grad.any() or name.endswith("key.bias"), name


@pytest.mark.parametrize("method", ALL)
def test_fresh_heads_start_at_the_prior(method: str) -> None:
    for head in new_model(study_of(method, prior=0.2), seed=0).heads:
        torch.testing.assert_close(head.bias, torch.full((3,), np.log(0.25), dtype=torch.float32))


# --- through the client and the server ---------------------------------------------------------


@pytest.mark.parametrize("method", ["image_only", "late_stacker"])
def test_a_private_round_its_checkpoint_and_an_evaluation(
    method: str, hospital: HospitalFolder, tmp_path: Path
) -> None:
    sizes = {"hidden_size": 16, "num_attention_heads": 2, "intermediate_size": 24}
    hospital.configure("model", {**sizes, "method": method}, "study.yaml")
    dataset = open_dataset(hospital.site, hospital.study)
    study, cpu = dataset.study, torch.device("cpu")
    folder = RunFolder.create(
        tmp_path / "run",
        study,
        seed=0,
        reproducible_noise=True,
        synthetic=True,
        parallel_sites=1,
        site_files=[],
    )
    weights = folder.load_checkpoint(0)
    update = train_round(
        weights,
        dataset=dataset,
        plan=replace(plan_round(study, 10, 1), expected_batch=5.0),
        ledger=Ledger(tmp_path / "ledger.sqlite", Budget(epsilon=8, delta=1e-3)),
        run="r",
        round=1,
        randomness=Randomness.reproducible(seed=0, site="north", round=1),
        device=cpu,
    )
    assert all(np.isfinite(array).all() for array in update.values())
    trained = {name: weights[name] + update[name] for name in weights}
    folder.save_checkpoint(1, trained)
    loaded = folder.load_checkpoint(1)
    assert all(np.array_equal(loaded[name], trained[name]) for name in trained)
    assert to_arrays(new_model(study, seed=0)).keys() == loaded.keys()
    histograms = exact_histograms(loaded, dataset, "test", cpu)
    assert histograms.shape[0] == len(study.labels)
    assert histograms.sum() > 0
