"""Gradient checkpointing and micro-batches: less memory, the same sums."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from client.budget.plan import plan_round
from client.ledger.ledger import Ledger
from client.private.clipping import forward_losses
from client.private.fused import FusedSum
from client.private.randomness import Randomness
from client.records.dataset import SiteDataset, open_dataset
from client.site.site import Memory
from client.training.training import train_round
from irene_model.errors import ConfigError
from irene_model.network.model import IreneModel
from irene_model.study.study import Study
from irene_model.weights.weights import new_model, to_arrays
from tests.helpers.hospital_folder import HospitalFolder
from tests.helpers.models.clipped_sums import (
    Toy,
    assert_equal,
    batch_of,
    clipped_sum_by_loop,
    rows,
    sums_of,
)
from tests.irene_model.weights.test_subsets import SMALL, SUBSETS, model_of

CPU = torch.device("cpu")
CHOICES = [{"kind": "all"}, *SUBSETS]


def checkpointed(parameters: dict[str, Any]) -> IreneModel:
    model = model_of(parameters).train()
    model.activation_checkpointing_enable()
    return model


class Counter:
    """How often each of a model's blocks ran."""

    def __init__(self, model: IreneModel) -> None:
        self.runs = [0] * model.config.num_hidden_layers
        for index, block in enumerate([*model.encoder.bidirectional, *model.encoder.joint]):
            block.register_forward_pre_hook(lambda *_, index=index: self._count(index))

    def _count(self, index: int) -> None:
        self.runs[index] += 1


@pytest.mark.parametrize("parameters", CHOICES)
def test_the_sums_are_the_same(parameters: dict[str, Any]) -> None:
    batch = batch_of(6)
    expected = clipped_sum_by_loop(model_of(parameters), batch, 0.05)
    assert_equal(sums_of(FusedSum, checkpointed(parameters), batch, clip_norm=0.05), expected)
    parts = [rows(batch, slice(0, 4)), rows(batch, slice(0, 0)), rows(batch, slice(4, 6))]
    assert_equal(sums_of(FusedSum, checkpointed(parameters), *parts, clip_norm=0.05), expected)


def test_blocks_run_again_in_training_and_only_then() -> None:
    model = checkpointed({"kind": "all"})
    counter = Counter(model)
    sums_of(FusedSum, model, batch_of(3), clip_norm=0.05)
    assert counter.runs == [2, 2, 2]
    with torch.no_grad():
        forward_losses(model.eval(), batch_of(3))
    assert counter.runs == [3, 3, 3]
    model.activation_checkpointing_disable()
    sums_of(FusedSum, model.train(), batch_of(3), clip_norm=0.05)
    assert counter.runs == [4, 4, 4]


def test_a_frozen_beginning_is_not_computed_again() -> None:
    model = checkpointed({"kind": "last_blocks", "blocks": 1})
    counter = Counter(model)
    sums_of(FusedSum, model, batch_of(3), clip_norm=0.05)
    assert counter.runs == [1, 1, 2]


def test_dropout_draws_the_same_masks_again() -> None:
    model = checkpointed({"kind": "all"})
    for module in model.modules():
        if isinstance(module, nn.Dropout):
            module.p = 0.3
    sums = []
    for _ in range(2):
        torch.manual_seed(4)
        sums.append(sums_of(FusedSum, model, batch_of(5), clip_norm=0.1))
        model.activation_checkpointing_disable()
    assert_equal(*sums)


def test_bf16_autocast_is_restored() -> None:
    sums = []
    for model in (checkpointed({"kind": "all"}), model_of({"kind": "all"})):
        with torch.autocast("cpu", dtype=torch.bfloat16):
            sums.append(sums_of(FusedSum, model, batch_of(5), clip_norm=0.1))
    assert_equal(*sums)


@pytest.mark.filterwarnings("ignore:None of the inputs have requires_grad")  # the inner one's
@pytest.mark.parametrize("reentrant", [True, False])
def test_a_model_that_checkpoints_itself_gives_the_same_sums(reentrant: bool) -> None:
    class Checkpointed(nn.Sequential):
        def forward(self, input: Tensor) -> Tensor:
            output: Tensor = checkpoint(super().forward, input, use_reentrant=reentrant)
            return output

    torch.manual_seed(0)
    first, last = nn.Linear(16, 8), nn.Sequential(nn.Flatten(), nn.Linear(128, 3))
    middle = [nn.Linear(8, 8), nn.GELU(), Checkpointed(nn.Linear(8, 8)), nn.LayerNorm(8)]
    plain = Toy(nn.Sequential(first, nn.Sequential(*middle), last))
    lean = Toy(nn.Sequential(first, Checkpointed(*middle), last))
    expected = clipped_sum_by_loop(plain, batch_of(4), 0.1)
    assert_equal(sums_of(FusedSum, lean, batch_of(4), clip_norm=0.1), expected)


@pytest.mark.filterwarnings("ignore:None of the inputs have requires_grad")
def test_a_gradient_that_reentrant_checkpointing_loses_is_refused() -> None:
    class Lossy(nn.Sequential):
        def forward(self, input: Tensor) -> Tensor:
            output: Tensor = checkpoint(super().forward, input, use_reentrant=True)
            return output

    model = Toy(nn.Sequential(Lossy(nn.Linear(16, 8)), nn.Flatten(), nn.Linear(128, 3)))
    with pytest.raises(ValueError, match=r"body\.0\.0 ran without a graph and gave no gradient"):
        sums_of(FusedSum, model, batch_of(4), clip_norm=0.1)
    assert all(p.requires_grad for p in model.parameters())


def test_a_layer_twice_in_a_checkpointed_part_is_refused() -> None:
    class Twice(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.linear = nn.Linear(16, 16)

        def forward(self, input: Tensor) -> Tensor:
            again = checkpoint(self.linear, self.linear(input), use_reentrant=False)
            output: Tensor = again.flatten(1)[:, :3]
            return output

    with pytest.raises(ValueError, match=r"body\.linear runs twice"):
        sums_of(FusedSum, Toy(Twice()), batch_of(2), clip_norm=1.0)


@pytest.fixture
def dataset(hospital: HospitalFolder) -> SiteDataset:
    hospital.configure("model", SMALL, "study.yaml")
    return open_dataset(hospital.site, hospital.study)


def update_of(dataset: SiteDataset, ledger: Path, memory: Memory) -> dict[str, Any]:
    document = dataset.study.model_dump(mode="json")
    document["training"]["optimizer"] = "sgd"
    dataset = replace(dataset, study=Study.model_validate(document))
    plan = plan_round(dataset.study, 10, 1)
    quiet = replace(plan.mechanism, noise_multiplier=1e-9, sample_rate=1.0)
    return train_round(
        to_arrays(new_model(dataset.study, seed=3)),
        dataset=dataset,
        plan=replace(plan, mechanism=quiet),
        ledger=Ledger(ledger, None),
        run="r",
        round=1,
        randomness=Randomness.reproducible(seed=0, site="north", round=1),
        device=CPU,
        memory=memory,
    )


@pytest.mark.parametrize(
    "memory", [Memory(micro_batch=2), Memory(micro_batch=4, gradient_checkpointing=True)]
)
def test_a_site_that_saves_memory_gives_the_same_update(
    dataset: SiteDataset, tmp_path: Path, memory: Memory
) -> None:
    expected = update_of(dataset, tmp_path / "ample.sqlite", Memory())
    lean = update_of(dataset, tmp_path / "lean.sqlite", memory)
    assert lean.keys() == expected.keys()
    largest = max(float(np.abs(array).max()) for array in expected.values())
    for name, array in expected.items():
        np.testing.assert_allclose(lean[name], array, rtol=1e-3, atol=1e-4 * largest, err_msg=name)


def test_a_site_says_that_opacus_can_not_compute_again(hospital: HospitalFolder) -> None:
    hospital.configure("memory", {"gradient_checkpointing": True})
    open_dataset(hospital.site, hospital.study)
    privacy = {**hospital.study.privacy.model_dump(mode="json"), "engine": "opacus"}
    hospital.configure("privacy", privacy, "study.yaml")
    said = "site north: memory.gradient_checkpointing: the study's privacy.engine opacus can't"
    with pytest.raises(ConfigError, match=said):
        open_dataset(hospital.site, hospital.study)
