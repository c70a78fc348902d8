"""A study that trains a part: its sums in every engine, its update, and its low-rank adapters."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from client.budget.plan import plan_round
from client.ledger.ledger import Ledger
from client.participant import Participant
from client.private.clipping import ClippedSum
from client.private.dp import PrivateGradient
from client.private.fused import FusedSum
from client.private.opacus_engines import HookSum
from client.private.randomness import Randomness
from client.records.dataset import SiteDataset, open_dataset
from client.training.training import train_round
from irene_model.errors import ConfigError
from irene_model.inputs.tensors import Batch
from irene_model.network.config import IreneConfig
from irene_model.network.low_rank import adapters
from irene_model.network.model import IreneModel
from irene_model.study.bundle import bundled
from irene_model.study.settings import parse
from irene_model.study.study import Study
from irene_model.study.wire import pack
from irene_model.weights.weights import load_arrays, new_model, to_arrays, trained_names
from server.aggregation.strategies import FedAdam, FedAvg, Strategy
from server.aggregation.tally import Contribution, WeightedMean
from server.rounds.round_loop import RoundLoop
from server.runs.run_folder import RunFolder
from tests.helpers.direct_grid import exchange_with, hospital_node
from tests.helpers.hospital_folder import SMALL, HospitalFolder
from tests.helpers.models.clipped_sums import (
    STUDY,
    assert_equal,
    batch_of,
    clipped_sum_by_loop,
    rows,
    sums_of,
)

SUBSETS: list[dict[str, Any]] = [
    {"kind": "head"},
    {"kind": "biases"},
    {"kind": "last_blocks", "blocks": 1},
    {"kind": "last_blocks", "blocks": 2},
    {"kind": "lora", "rank": 1},
    {"kind": "lora", "rank": 3, "alpha": 6},
]
LORA = SUBSETS[-1]


def study_of(parameters: dict[str, Any], study: Study = STUDY) -> Study:
    document = study.model_dump(mode="json")
    document["training"]["parameters"] = parameters
    return parse(Study, document, "study.yaml")


def model_of(parameters: dict[str, Any]) -> IreneModel:
    """A model whose adapters, if it has any, have left zero."""
    model = new_model(study_of(parameters), seed=1)
    g = torch.Generator().manual_seed(2)
    for layer in adapters(model).values():
        torch.nn.init.normal_(layer.up.weight, std=0.2, generator=g)
    return model


def inputs_of(batch: Batch) -> Batch:
    return {name: tensor for name, tensor in batch.items() if not name.startswith("label")}


@pytest.mark.parametrize("parameters", SUBSETS)
def test_the_sums_of_all_engines_equal_a_loop(parameters: dict[str, Any]) -> None:
    batch = batch_of(7)
    expected = clipped_sum_by_loop(model_of(parameters), batch, 0.05)
    assert any(bool(total.any()) for total in expected)
    engines: tuple[type[ClippedSum], ...] = (FusedSum, HookSum)
    for engine in engines:
        assert_equal(sums_of(engine, model_of(parameters), batch, clip_norm=0.05), expected)


@pytest.mark.parametrize("parameters", SUBSETS)
@pytest.mark.parametrize("engine", [FusedSum, HookSum])
def test_micro_batches_empty_ones_and_a_broken_patient(
    engine: type[ClippedSum], parameters: dict[str, Any]
) -> None:
    batch = batch_of(5, seed=2)
    batch["lab_mask"][:] = True
    kept = {name: tensor[[0, 2, 3, 4]] for name, tensor in batch.items()}
    batch["lab_values"][1] = float("nan")
    parts = [rows(batch, slice(0, 3)), rows(batch, slice(0, 0)), rows(batch, slice(3, 5))]
    assert_equal(
        sums_of(engine, model_of(parameters), *parts, clip_norm=0.1),
        clipped_sum_by_loop(model_of(parameters), kept, 0.1),
    )
    empty = sums_of(engine, model_of(parameters), rows(batch, slice(0, 0)), clip_norm=0.1)
    assert empty and not any(bool(total.any()) for total in empty)


@pytest.mark.parametrize("parameters", SUBSETS)
def test_noise_reaches_what_is_trained_and_nothing_else(parameters: dict[str, Any]) -> None:
    model = model_of(parameters)
    private = PrivateGradient(model, clip_norm=1.0)
    private.release(noise_multiplier=1.0, expected_batch=1.0, rng=np.random.default_rng(0))
    noised = {name for name, p in model.named_parameters() if p.grad is not None}
    assert noised == set(trained_names(model))
    moved = [p.grad != 0 for p in model.parameters() if p.grad is not None]
    assert all(float(each.double().mean()) > 0.9 for each in moved)  # 0 is on the lattice


def test_which_parameters_a_subset_trains() -> None:
    everything = set(trained_names(model_of({"kind": "all"})))
    assert everything == set(model_of({"kind": "all"}).state_dict())
    assert set(trained_names(model_of({"kind": "head"}))) == {"head.weight", "head.bias"}
    biases = {name for name in everything if name.endswith("bias")} | {"head.weight"}
    assert set(trained_names(model_of({"kind": "biases"}))) == biases
    starts = ("encoder.bidirectional.1.", "encoder.joint.0.", "encoder.norm.", "head.")
    last_two = {name for name in everything if name.startswith(starts)}
    assert set(trained_names(model_of({"kind": "last_blocks", "blocks": 2}))) == last_two
    adapted = set(trained_names(model_of(LORA)))
    assert "encoder.joint.0.attention.value.up.weight" in adapted
    assert "encoder.bidirectional.0.attention.clinical_query.down.weight" in adapted
    assert len(adapted) == 2 + 2 * (2 * 4 + 2)  # two blocks of two streams, and one joint one


def test_frozen_tokens_stay_frozen_in_every_subset() -> None:
    document = STUDY.model_dump(mode="json")
    document["text"]["trainable"] = False
    frozen = Study.model_validate(document)
    for parameters in ({"kind": "all"}, {"kind": "biases"}):
        model = new_model(study_of(parameters, frozen), seed=0)
        assert "embeddings.text_tokens.weight" not in trained_names(model)


@pytest.mark.parametrize(
    ("parameters", "said"),
    [
        ({"kind": "heads"}, "training.parameters: 'kind' must be one of 'all', 'head', 'biases'"),
        ({"rank": 3}, "training.parameters: needs the key 'kind'"),
        ({"kind": "head", "rank": 3}, "training.parameters.head.rank: unknown key"),
        ({"kind": "last_blocks"}, "training.parameters.last_blocks.blocks: is required"),
        ({"kind": "last_blocks", "blocks": 0}, "training.parameters.last_blocks.blocks"),
        ({"kind": "lora", "rank": 0}, "training.parameters.lora.rank"),
        ({"kind": "lora", "alpha": 0}, "training.parameters.lora.alpha"),
    ],
)
def test_a_wrong_choice_is_refused_by_key(parameters: dict[str, Any], said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        study_of(parameters)


def test_more_blocks_than_there_are_is_refused_before_a_run_begins(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="the model has 3 blocks, not 4"):
        RunFolder.create(tmp_path / "run", study_of({"kind": "last_blocks", "blocks": 4}), seed=0)
    assert not (tmp_path / "run").exists()


@pytest.fixture
def dataset(hospital: HospitalFolder) -> SiteDataset:
    hospital.configure("model", SMALL, "study.yaml")
    return open_dataset(hospital.site, hospital.study)


def update_of(dataset: SiteDataset, study: Study, ledger: Path) -> dict[str, Any]:
    return train_round(
        to_arrays(new_model(study, seed=3)),
        dataset=replace(dataset, study=study),
        plan=plan_round(study, 10, 1),
        ledger=Ledger(ledger, None),
        run="r",
        round=1,
        randomness=Randomness.of_the_operating_system(),
        device=torch.device("cpu"),
    )


@pytest.mark.parametrize("strategy", [FedAvg, FedAdam])
@pytest.mark.parametrize("parameters", [{"kind": "head"}, {"kind": "biases"}, LORA])
def test_only_what_is_trained_travels_and_changes(
    dataset: SiteDataset, tmp_path: Path, parameters: dict[str, Any], strategy: type[Strategy]
) -> None:
    study = study_of(parameters, dataset.study)
    update = update_of(dataset, study, tmp_path / "part.sqlite")
    model = new_model(study, seed=3)
    weights = to_arrays(model)
    assert set(update) == set(trained_names(model))
    whole = sum(array.nbytes for array in weights.values())
    assert sum(array.nbytes for array in update.values()) < whole / 4
    mean = WeightedMean({name: weights[name] for name in trained_names(model)})
    labels = np.ones(len(study.labels), bool)
    mean.add(Contribution(site="north", arrays=update, labels=labels, weight=10.0))
    new = strategy().apply(weights, mean.result(), 1.0)
    assert list(new) == list(weights)
    for name, array in new.items():
        same = np.array_equal(array, weights[name])
        assert same == (name not in update), name


@pytest.mark.parametrize("parameters", [{"kind": "biases"}, LORA])
def test_a_run_trains_sends_and_keeps_a_part(
    hospital: HospitalFolder, tmp_path: Path, parameters: dict[str, Any]
) -> None:
    hospital.configure("model", SMALL, "study.yaml")
    study = study_of(parameters, hospital.study)
    folder = RunFolder.create(tmp_path / "run", study, seed=3)
    nodes = {1: hospital_node(Participant.at(hospital.site_file))}
    RoundLoop(exchange=exchange_with(nodes), folder=folder, give_up=True).run()
    assert folder.last_round == 2
    before, after = folder.load_checkpoint(0), folder.load_checkpoint(2)
    changed = {name for name in before if not np.array_equal(before[name], after[name])}
    assert changed == set(trained_names(new_model(study, seed=0)))
    for line in folder.rounds():
        packed = {name: pack(before[name], "float32") for name in changed}
        assert line["bytes_up"] == sum(len(each.data) for each in bundled(packed).values())
        assert line["bytes_up"] < line["bytes_down"] / 4


def test_a_runs_checkpoint_of_adapters_loads_as_it_was(
    dataset: SiteDataset, tmp_path: Path
) -> None:
    study = study_of(LORA, dataset.study)
    folder = RunFolder.create(tmp_path / "run", study, seed=3)
    update = update_of(dataset, study, tmp_path / "lora.sqlite")
    weights = FedAvg().apply(folder.load_checkpoint(0), update, 1.0)
    folder.save_checkpoint(1, weights)
    model = IreneModel.from_pretrained(folder.checkpoint(1)).eval()
    assert (model.config.lora_rank, model.config.lora_alpha) == (3, 6)
    expected = new_model(study, seed=0).eval()
    load_arrays(expected, weights)
    inputs = inputs_of(dataset.batch(np.arange(4)))
    torch.testing.assert_close(model(**inputs).logits, expected(**inputs).logits)


def test_merged_adapters_compute_the_same_in_a_plain_model(tmp_path: Path) -> None:
    model, inputs = model_of(LORA).eval(), inputs_of(batch_of(5))
    expected = model(**inputs).logits
    before = torch.random.get_rng_state()
    model.merged().save_pretrained(tmp_path)
    assert torch.equal(torch.random.get_rng_state(), before)
    plain = IreneModel.from_pretrained(tmp_path).eval()
    assert plain.config.lora_rank == 0 and not adapters(plain)
    torch.testing.assert_close(plain(**inputs).logits, expected)
    torch.testing.assert_close(model(**inputs).logits, expected)  # it stays as it was
    untrained = new_model(study_of(LORA), seed=1).eval()
    assert not torch.allclose(untrained(**inputs).logits, expected)


def test_adapters_are_merged_into_the_authors_weights() -> None:
    config = IreneConfig(**SMALL, image_size=16, patch_size=8, lora_rank=2)
    model = IreneModel(config)
    for layer in adapters(model).values():
        torch.nn.init.ones_(layer.up.weight)
    theirs, plain = model.to_authors(), model.merged().to_authors()
    assert theirs.keys() == plain.keys()
    for name, tensor in theirs.items():
        torch.testing.assert_close(tensor, plain[name])


def test_adapters_begin_as_the_plain_model_they_adapt(tmp_path: Path) -> None:
    plain, inputs = new_model(STUDY, seed=1).eval(), inputs_of(batch_of(5))
    plain.save_pretrained(tmp_path)
    adapted = IreneModel.from_pretrained(tmp_path, lora_rank=2).eval()
    for layer in adapters(adapted).values():
        bound = layer.in_features**-0.5
        assert 0.5 * bound < float(layer.down.weight.detach().abs().max()) <= bound
    assert len(adapters(adapted)) == 10
    torch.testing.assert_close(adapted(**inputs).logits, plain(**inputs).logits)


def test_a_learned_adapter_is_hu_s_equation() -> None:
    layer = model_of(LORA).encoder.joint[0].attention.query
    token = torch.randn(16, generator=torch.Generator().manual_seed(0))
    by_hand = layer.weight @ token + layer.bias
    by_hand = by_hand + 6 / 3 * (layer.up.weight @ (layer.down.weight @ token))
    torch.testing.assert_close(layer(token[None])[0], by_hand)


@pytest.mark.parametrize(("field", "value"), [("lora_rank", -1), ("lora_alpha", 0.0)])
def test_a_configuration_of_adapters_out_of_range_is_refused(field: str, value: float) -> None:
    with pytest.raises(ValueError, match=field):
        IreneConfig(**{field: value})
