"""Every method that a study can choose: one contract, the same size, gaps that tell nothing."""

import copy
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any, get_args

import numpy as np
import pytest
import torch
from sklearn.metrics import roc_auc_score
from torch import Tensor
from transformers import AutoModel

from client.budget.plan import plan_round
from client.ledger.ledger import Ledger
from client.private.fused import FusedSum
from client.private.opacus_engines import HookSum
from client.private.randomness import Randomness
from client.records.dataset import open_dataset
from client.site.site import Budget
from client.training.training import train_round
from irene_model.errors import ConfigError
from irene_model.inputs.tensors import Batch, take
from irene_model.methods.fusion import FusionConfig, PrincipalComponents
from irene_model.methods.methods import FUSIONS, FusionModel
from irene_model.methods.sizes import METHODS, parameter_count, sized
from irene_model.network.attention import Streams
from irene_model.network.config import PRESETS, IreneConfig
from irene_model.network.model import DiagnosticModel, IreneModel, per_sample_loss
from irene_model.study.study import Method, Study
from irene_model.weights.weights import config_of, new_model, to_arrays
from server.runs.run_folder import RunFolder
from simulations.compare.arms import exact_histograms
from tests.client.private.test_dp import STUDY, batch_of, clipped_sum_by_loop, rows
from tests.client.private.test_fused import assert_equal, sums_of
from tests.helpers.hospital_folder import HospitalFolder

ALL = get_args(Method)
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
READS = {"image_only": {"image"}, "clinical_only": {"text", "labs", "demographics"}}


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


def test_a_study_knows_all_methods_and_no_other() -> None:
    assert sorted(ALL) == sorted(METHODS)
    assert len(set(ALL)) == len(ALL)


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


# --- sizes -------------------------------------------------------------------------------------


@pytest.mark.parametrize("preset", ["tiny", "small"])
@pytest.mark.parametrize("method", ALL)
def test_parameters_within_a_fifth_of_irenes(method: str, preset: str) -> None:
    sizes = dict.fromkeys(("hidden_size", "num_attention_heads", "intermediate_size"))
    irene = config_of(study_of("irene", preset=preset, **sizes))
    other = config_of(study_of(method, preset=preset, **sizes))
    assert parameter_count(other) == pytest.approx(parameter_count(irene), rel=0.2)


@pytest.mark.parametrize("method", ALL)
def test_parameters_at_the_papers_inputs(method: str) -> None:
    irene = IreneConfig(**PRESETS["base"], num_labels=8)
    assert parameter_count(irene) == 99_497_480
    count = parameter_count(sized(irene, method, prior=0.1))
    assert count == pytest.approx(99_497_480, rel=0.02)


@pytest.mark.parametrize("preset", PRESETS)
def test_any_number_of_bidirectional_blocks_at_the_same_size(preset: str) -> None:
    irene = IreneConfig(**PRESETS[preset], num_labels=8)
    depth = irene.num_hidden_layers + irene.num_bidirectional_layers
    for k in range(depth // 2 + 1):
        sizes = {"num_hidden_layers": depth - k, "num_bidirectional_layers": k}
        other = IreneConfig(**{**PRESETS[preset], **sizes}, num_labels=8)
        assert parameter_count(other) == pytest.approx(parameter_count(irene), rel=0.2), k


def test_a_method_that_cannot_be_so_small_is_refused() -> None:
    with pytest.raises(ConfigError, match=r"hybrid has .* give model\.num_hidden_layers"):
        config_of(study_of("hybrid", num_hidden_layers=1, num_bidirectional_layers=0))


@pytest.mark.parametrize(
    ("field", "value"), [("fusion", "late"), ("prior", 0.0), ("num_latents", 0)]
)
def test_impossible_settings_are_named(field: str, value: object) -> None:
    with pytest.raises(ValueError, match=field):
        FusionModel(FusionConfig(**{field: value}))


# --- what each method is -----------------------------------------------------------------------


def block_gradients(method: str) -> tuple[bool, bool]:
    """Whether the image stream reads the clinical one in a bidirectional block, and the reverse."""
    block = model_of(method).encoder.bidirectional[0]
    image, clinical = torch.randn(2, 5, 16), torch.randn(2, 4, 16)
    reads = []
    for source, output in ((clinical, 0), (image, 1)):
        source.requires_grad_()
        streams, _ = block(Streams(image, clinical, None, None), with_maps=False)
        streams[output].square().sum().backward()
        reads.append(bool(source.grad.any()))  # type: ignore[union-attr]
        source.requires_grad_(False)
    return reads[0], reads[1]


def test_one_direction_is_closed_and_the_other_open() -> None:
    assert block_gradients("irene") == (True, True)
    assert block_gradients("irene_unidirectional") == (False, True)


def test_the_other_direction_and_the_closed_paths_map() -> None:
    config = config_of(study_of("irene")).to_dict() | {"attention_direction": "image_to_clinical"}
    model = IreneModel(IreneConfig(**{k: v for k, v in config.items() if k != "model_type"})).eval()
    batch = {name: t for name, t in whole(3).items() if not name.startswith("label")}
    maps = model(**batch, output_attentions=True).attentions[0]
    assert not maps.clinical_to_image.any()
    ones = torch.ones(3, 2, maps.image_to_clinical.shape[2])
    torch.testing.assert_close(maps.image_to_clinical.sum(-1), ones)
    with pytest.raises(ValueError, match="attention_direction"):
        IreneConfig(attention_direction="text")


def test_a_closed_direction_does_not_halve_what_is_read() -> None:
    """With the image's path to the clinical tokens closed, it is as if there were none."""
    attention = model_of("irene_unidirectional").encoder.bidirectional[0].attention
    image, clinical = torch.randn(2, 5, 16), torch.randn(2, 4, 16)
    nothing = torch.zeros(2, 4, dtype=torch.bool)
    open_image, _, _ = attention(Streams(image, clinical, None, None), with_maps=False)
    alone, _, _ = attention(Streams(image, clinical, None, nothing), with_maps=False)
    torch.testing.assert_close(open_image, alone)


def test_models_of_one_modality_carry_nothing_of_the_others() -> None:
    image = " ".join(model_of("image_only").state_dict())
    clinical = " ".join(model_of("clinical_only").state_dict())
    assert not any(part in image for part in ("text", "labs", "sex", "bidirectional"))
    assert not any(part in clinical for part in ("patches", "class_token", "image"))
    with pytest.raises(ValueError, match="nothing is left"):
        IreneConfig(reads_image=False, reads_demographics=False, text_length=0, num_labs=0)


def text_teaches_the_images_encoder(method: str) -> bool:
    """Whether another text changes a gradient of the image's encoder, or of its head if any."""
    batch, gradients = whole(5), []
    for inputs in (batch, changed(batch, "text")):
        model = model_of(method)
        model(**inputs).losses.sum().backward()
        parts = [model.fusion.encoders.stacks["image"]]
        if hasattr(model.fusion, "heads"):
            parts.append(model.fusion.heads["image_head"])
        gradients.append([p.grad for part in parts for p in part.parameters()])
    return not all(torch.equal(one, other) for one, other in zip(*gradients, strict=True))


@pytest.mark.parametrize("method", [*LATE, "late_stacker", "early_feature", "early_feature_pca"])
def test_encoders_of_late_and_early_fusion_learn_apart(method: str) -> None:
    assert not text_teaches_the_images_encoder(method)


@pytest.mark.parametrize("method", ["joint_feature", "hierarchical", "hybrid"])
def test_encoders_of_joint_fusion_learn_from_each_other(method: str) -> None:
    assert text_teaches_the_images_encoder(method)


@pytest.mark.parametrize("method", LATE)
def test_with_one_modality_late_fusion_is_its_classifier(method: str) -> None:
    model, batch = model_of(method), whole(4)
    for modality in ("text", "labs", "demographics"):
        batch[MASKS[modality]] = torch.zeros_like(batch[MASKS[modality]])
    heard: list[Tensor] = []
    head = model.fusion.heads["image_head"]
    head.register_forward_hook(lambda _module, _inputs, output: heard.append(output))
    out = model(**batch)
    torch.testing.assert_close(out.logits, heard[0])
    torch.testing.assert_close(out.losses, per_sample_loss(heard[0], batch["labels"]))


def test_a_fresh_stacker_averages_the_evidence() -> None:
    model, batch = model_of("late_stacker"), whole(4)
    heard: list[Tensor] = []
    for head in model.fusion.heads.values():
        head.register_forward_hook(lambda _module, _inputs, output: heard.append(output))
    torch.testing.assert_close(model(**batch).logits, torch.stack(heard).mean(dim=0))


def test_the_principal_subspace_is_found() -> None:
    """Against the eigenvectors of the covariance, features far from centred."""
    torch.manual_seed(0)
    rotation = torch.linalg.qr(torch.randn(6, 6))[0]
    spread = torch.tensor([3.0, 2.0, 1.5, 0.3, 0.2, 0.1])
    features = (torch.randn(512, 6) * spread) @ rotation.T + 2.0
    pca = PrincipalComponents(6, 3)
    optimizer = torch.optim.LBFGS(pca.parameters(), max_iter=200, line_search_fn="strong_wolfe")

    def error() -> float:
        optimizer.zero_grad()
        total = pca(features)[1].mean()
        total.backward()
        return total.item()

    optimizer.step(error)
    centred = features - features.mean(dim=0)
    principal = torch.linalg.svd(centred, full_matrices=False)[2][:3]
    found = torch.linalg.svd(pca.decode.weight.detach().T, full_matrices=False)[2]
    assert float(torch.linalg.svdvals(principal @ found.T).min()) > 0.999  # cosines of the angles


def test_labels_do_not_teach_the_principal_components() -> None:
    gradients = []
    for label in (0.0, 1.0):
        model = model_of("early_feature_pca")
        batch = whole(4)
        model(**{**batch, "labels": torch.full_like(batch["labels"], label)}).loss.backward()
        gradients.append([p.grad for p in model.fusion.pca.parameters()])
    assert all(torch.equal(one, other) for one, other in zip(*gradients, strict=True))


def test_git_looks_back_and_at_the_image_only() -> None:
    model, batch = model_of("git"), whole(3)
    batch["lab_values"].requires_grad_()
    outputs: list[Tensor] = []
    model.fusion.decoder.register_forward_hook(lambda _m, _i, output: outputs.append(output))
    model(**batch)
    image, text, labs = 5, 6, 2  # of tokens; the class token is one of the image's

    def reads_first_lab(start: int, stop: int) -> bool:
        part = outputs[0][:, start:stop].square().sum()
        gradient = torch.autograd.grad(part, batch["lab_values"], retain_graph=True)[0]
        return bool(gradient[:, 0].any())

    assert not reads_first_lab(0, image + text)
    assert reads_first_lab(image + text, image + text + 1)
    assert reads_first_lab(image + text + labs, image + text + labs + 2)
    gradient = torch.autograd.grad(outputs[0][:, image + text].sum(), batch["lab_values"])[0]
    assert not gradient[:, 1].any()  # the first value does not see the second


def test_the_hierarchy_reads_the_image_last() -> None:
    """Without an image the last step still runs, on a feature of zero."""
    model, batch = model_of("hierarchical"), whole(3)
    read: list[Tensor] = []
    for step in model.fusion.steps:
        step.register_forward_hook(lambda _m, inputs, _o: read.append(inputs[0]))
    batch["image_mask"] = torch.zeros_like(batch["image_mask"])
    model(**batch)
    assert len(read) == 2
    assert read[0][:, 16:].all(dim=1).all()
    assert not read[1][:, 16:].any()


def crossed(size: int, seed: int) -> Batch:
    """Three labels: a bright image, a high value, and both being on the same side of zero."""
    g = torch.Generator().manual_seed(seed)
    light, values = torch.randn(size, generator=g), torch.randn(size, 2, generator=g)
    noise = 0.3 * torch.randn(size, 1, 16, 16, generator=g)
    return {
        **whole(size),
        "pixel_values": light[:, None, None, None] + noise,
        "lab_values": values,
        "labels": torch.stack([light, values[:, 0], light * values[:, 0]], dim=1).gt(0).float(),
    }


@pytest.mark.slow
@pytest.mark.parametrize("method", ALL)
def test_who_can_learn_what(method: str) -> None:
    """No rule over decisions can relate two modalities; every method that fuses before can."""
    model, batch, unseen = model_of(method).train(), crossed(1024, 0), crossed(1024, 1)
    optimizer = torch.optim.Adam(model.parameters(), lr=5e-3)
    g = torch.Generator().manual_seed(0)
    for _ in range(200):
        drawn = take(batch, torch.randint(0, 1024, (64,), generator=g))
        optimizer.zero_grad()
        model(**drawn).loss.backward()
        optimizer.step()
    with torch.no_grad():
        scores = model.eval()(**unseen).logits.numpy()
    image, lab, both = (
        roc_auc_score(unseen["labels"][:, label], scores[:, label]) > 0.9 for label in range(3)
    )
    assert image == (method != "clinical_only")
    assert lab == (method != "image_only")
    assert both == (method not in {*LATE, "late_stacker", "image_only", "clinical_only"})


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
