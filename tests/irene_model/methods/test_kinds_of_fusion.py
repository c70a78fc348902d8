"""What each method is: who reads whom, who learns from whom, and what none of them can learn."""

import pytest
import torch
from sklearn.metrics import roc_auc_score
from torch import Tensor

from irene_model.inputs.tensors import Batch, take
from irene_model.methods.fusion import PrincipalComponents
from irene_model.network.attention import Streams
from irene_model.network.config import IreneConfig
from irene_model.network.model import IreneModel, per_sample_loss
from irene_model.weights.weights import config_of
from tests.helpers.models.small_methods import ALL, LATE, MASKS, changed, model_of, study_of, whole


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
