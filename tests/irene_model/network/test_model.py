import json
import logging
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from opacus.grad_sample import GradSampleModule
from safetensors.torch import load_file
from torch import Tensor, nn
from transformers import AutoConfig, AutoModel

import client.private.opacus_engines  # noqa: F401  registers the samplers of ClassToken and PositionTable
from irene_model.errors import CheckpointError
from irene_model.network.attention import BidirectionalAttention, SelfAttention, attend
from irene_model.network.model import PRESETS, IreneConfig, IreneModel, per_sample_loss

GOLDEN = Path(__file__).parents[2] / "golden"
B, T, L, K, VOCABULARY = 5, 6, 4, 3, 11
MODALITY_MASKS = {
    "image": ["image_mask"],
    "text": ["text_mask"],
    "labs": ["lab_mask"],
    "demographics": ["demographics_mask"],
    "clinical": ["text_mask", "lab_mask", "demographics_mask"],
    "everything": ["image_mask", "text_mask", "lab_mask", "demographics_mask"],
}
VALUE_OF_MASK = {"image_mask": "pixel_values", "lab_mask": "lab_values"}


def small_config(**changes: Any) -> IreneConfig:
    sizes = {
        "hidden_size": 16,
        "num_hidden_layers": 3,
        "num_bidirectional_layers": 2,
        "num_attention_heads": 2,
        "intermediate_size": 24,
        "image_size": 8,
        "patch_size": 4,
        "num_channels": 1,
        "text_length": T,
        "text_width": 7,
        "vocab_size": VOCABULARY,
        "num_labs": L,
        "num_labels": K,
        "hidden_dropout_prob": 0.0,
        "attention_probs_dropout_prob": 0.0,
    }
    return IreneConfig(**{**sizes, **changes})


def small_model(seed: int = 0, **changes: Any) -> IreneModel:
    torch.manual_seed(seed)
    return IreneModel(small_config(**changes)).eval()


def inputs(seed: int = 0, *, records: int = B, own_vocabulary: bool = True) -> dict[str, Tensor]:
    g = torch.Generator().manual_seed(seed)
    batch = {
        "pixel_values": torch.randn(records, 1, 8, 8, generator=g),
        "lab_values": torch.randn(records, L, generator=g),
        "age": torch.rand(records, generator=g),
        "sex": torch.randint(0, 2, (records,), generator=g).float(),
    }
    if own_vocabulary:
        batch["input_ids"] = torch.randint(0, VOCABULARY, (records, T), generator=g)
    else:
        batch["text_embeddings"] = torch.randn(records, T, 7, generator=g)
    return batch


def masks(seed: int = 0, *, records: int = B, share: float = 0.6) -> dict[str, Tensor]:
    g = torch.Generator().manual_seed(seed)
    shapes = {
        "image_mask": (records,),
        "text_mask": (records, T),
        "lab_mask": (records, L),
        "demographics_mask": (records, 2),
    }
    return {name: torch.rand(shape, generator=g) < share for name, shape in shapes.items()}


def labelled(seed: int = 0, *, records: int = B) -> dict[str, Tensor]:
    g = torch.Generator().manual_seed(seed)
    return {
        "labels": torch.randint(0, 2, (records, K), generator=g).float(),
        "label_mask": torch.rand(records, K, generator=g) < 0.7,
    }


# --- the authors' model ------------------------------------------------------------------------


@pytest.fixture(scope="module")
def authors_weights() -> dict[str, Tensor]:
    return load_file(GOLDEN / "weights.safetensors")


@pytest.fixture(scope="module")
def authors_io() -> dict[str, Tensor]:
    return load_file(GOLDEN / "io.safetensors")


def from_golden(weights: dict[str, Tensor]) -> IreneModel:
    sizes = json.loads((GOLDEN / "config.json").read_text())
    return IreneModel.from_authors(
        weights,
        image_size=sizes["image_size"],
        patch_size=sizes["patch_size"],
        num_attention_heads=sizes["heads"],
    )


def authors_inputs(io: dict[str, Tensor]) -> dict[str, Tensor]:
    return {
        "pixel_values": io["image"],
        "text_embeddings": io["text"],
        "lab_values": io["lab"].squeeze(-1),
        "age": io["age"].flatten(),
        "sex": io["sex"].flatten(),
    }


@pytest.mark.parametrize("output_attentions", [False, True])
def test_authors_outputs_are_reproduced(
    authors_weights: dict[str, Tensor], authors_io: dict[str, Tensor], output_attentions: bool
) -> None:
    model = from_golden(authors_weights)
    out = model(**authors_inputs(authors_io), output_attentions=output_attentions)
    torch.testing.assert_close(out.logits, authors_io["logits"], atol=1e-5, rtol=0)
    torch.testing.assert_close(out.features, authors_io["features"], atol=1e-5, rtol=0)
    if output_attentions:
        first, last = out.attentions[0].image_to_image, out.attentions[-1]
        golden_first = authors_io["attention_first_block_image"]
        torch.testing.assert_close(first, golden_first, atol=1e-5, rtol=0)
        torch.testing.assert_close(last, authors_io["attention_last_block"], atol=1e-5, rtol=0)
    else:
        assert out.attentions is None


def test_authors_weights_round_trip_without_out_text(
    authors_weights: dict[str, Tensor], caplog: pytest.LogCaptureFixture
) -> None:
    prefixed = {f"module.{name}": tensor for name, tensor in authors_weights.items()}
    with caplog.at_level(logging.INFO, logger="irene_model.network.checkpoints"):
        back = from_golden(prefixed).to_authors()
    unused = {name for name in authors_weights if "out_text" in name}
    assert len(unused) == 4
    assert all(name in caplog.text for name in unused)
    assert back.keys() == authors_weights.keys() - unused
    assert all(torch.equal(back[name], authors_weights[name]) for name in back)


@pytest.mark.parametrize(
    "key",
    [
        "head.weight",
        "transformer.embeddings.pe_lab",
        "transformer.encoder.layer.1.ffn_text.fc2.bias",
        "transformer.encoder.layer.0.ffn.fc1.weight",
    ],
)
def test_missing_entry_is_named(authors_weights: dict[str, Tensor], key: str) -> None:
    weights = {name: tensor for name, tensor in authors_weights.items() if name != key}
    with pytest.raises(CheckpointError, match=key):
        from_golden(weights)


def test_unknown_entry_is_named(authors_weights: dict[str, Tensor]) -> None:
    with pytest.raises(CheckpointError, match=r"transformer\.novelty"):
        from_golden({**authors_weights, "transformer.novelty": torch.zeros(1)})


@pytest.mark.parametrize(
    "key", ["transformer.embeddings.pe_age", "transformer.encoder.layer.3.attn.out.weight"]
)
def test_wrong_shape_is_named(authors_weights: dict[str, Tensor], key: str) -> None:
    wrong = authors_weights[key][..., :-1]
    with pytest.raises(CheckpointError, match=key):
        from_golden({**authors_weights, key: wrong})


def test_wrong_kinds_of_entry_are_named(authors_weights: dict[str, Tensor]) -> None:
    with pytest.raises(CheckpointError, match=r"head\.bias is a list"):
        from_golden({**authors_weights, "head.bias": [0.0]})  # type: ignore[dict-item]
    with pytest.raises(CheckpointError, match=r"head\.weight has shape"):
        from_golden({**authors_weights, "head.weight": torch.zeros(3)})
    with pytest.raises(CheckpointError, match="not the authors'"):
        from_golden({"bert.pooler.bias": torch.zeros(3)})


def test_model_that_the_authors_code_cannot_hold_is_refused() -> None:
    with pytest.raises(CheckpointError, match="vocab_size 11"):
        small_model().to_authors()


# --- what is missing ---------------------------------------------------------------------------


@settings(max_examples=20, deadline=None)
@given(seed=st.integers(0, 10_000), own_vocabulary=st.booleans())
def test_values_behind_masks_change_nothing(seed: int, own_vocabulary: bool) -> None:
    model = small_model(vocab_size=VOCABULARY if own_vocabulary else 0)
    batch, present = inputs(seed, own_vocabulary=own_vocabulary), masks(seed)
    spoilt = dict(batch)
    hidden = ~present["image_mask"]
    spoilt["pixel_values"] = batch["pixel_values"].clone()
    spoilt["pixel_values"][hidden] = torch.nan
    spoilt["lab_values"] = torch.where(present["lab_mask"], batch["lab_values"], torch.inf)
    known = present["demographics_mask"]
    spoilt["age"] = torch.where(known[:, 0], batch["age"], torch.nan)
    spoilt["sex"] = torch.where(known[:, 1], batch["sex"], -7.0)
    if own_vocabulary:
        spoilt["input_ids"] = torch.where(present["text_mask"], batch["input_ids"], 10**6)
    else:
        text_mask = present["text_mask"][..., None]
        spoilt["text_embeddings"] = torch.where(text_mask, batch["text_embeddings"], torch.nan)
    expected = model(**batch, **present).logits
    assert torch.equal(model(**spoilt, **present).logits, expected)
    assert torch.isfinite(expected).all()


@settings(max_examples=10, deadline=None)
@given(seed=st.integers(0, 10_000), share=st.sampled_from([0.1, 0.5, 0.9]))
def test_a_record_does_not_depend_on_its_batch(seed: int, share: float) -> None:
    model = small_model()
    batch = inputs(seed) | masks(seed, share=share)
    together = model(**batch).logits
    for i in range(B):
        alone = model(**{name: tensor[i : i + 1] for name, tensor in batch.items()}).logits
        torch.testing.assert_close(alone, together[i : i + 1], atol=1e-6, rtol=1e-5)


def test_full_masks_are_the_same_as_none() -> None:
    model = small_model()
    full = {name: torch.ones_like(mask) for name, mask in masks().items()}
    for some in (full, {"lab_mask": full["lab_mask"]}, {"image_mask": full["image_mask"].float()}):
        torch.testing.assert_close(
            model(**inputs(), **some).logits, model(**inputs()).logits, atol=1e-6, rtol=1e-5
        )


def test_masked_tokens_act_as_if_removed() -> None:
    """An independent way to the same logits: a model that never had the last three tokens."""
    model, shorter = small_model(), small_model(text_length=T - 3)
    weights = model.state_dict()
    weights["embeddings.text_positions.table"] = weights["embeddings.text_positions.table"][:-3]
    shorter.load_state_dict(weights)
    batch = inputs()
    text_mask = torch.arange(T).expand(B, -1) < T - 3
    expected = shorter(**{**batch, "input_ids": batch["input_ids"][:, :-3]}).logits
    actual = model(**batch, text_mask=text_mask).logits
    torch.testing.assert_close(actual, expected, atol=1e-6, rtol=1e-5)


@pytest.mark.parametrize("missing", MODALITY_MASKS)
@pytest.mark.parametrize("output_attentions", [False, True])
def test_missing_modality_is_finite_forward_and_backward(
    missing: str, output_attentions: bool
) -> None:
    model = small_model()
    present = {name: torch.ones_like(mask) for name, mask in masks().items()}
    for name in MODALITY_MASKS[missing]:
        present[name] = torch.zeros_like(present[name])
    out = model(**inputs(), **present, **labelled(), output_attentions=output_attentions)
    out.loss.backward()
    assert torch.isfinite(out.logits).all()
    for name, parameter in model.named_parameters():
        assert parameter.grad is not None, name
        assert torch.isfinite(parameter.grad).all(), name


def test_no_gradient_reaches_behind_a_mask() -> None:
    model, present = small_model(), masks(3)
    batch = inputs()
    for name in VALUE_OF_MASK.values():
        batch[name].requires_grad_()
    model(**batch, **present, **labelled()).loss.backward()
    for mask, name in VALUE_OF_MASK.items():
        gradient = batch[name].grad
        assert gradient is not None
        assert (gradient[~present[mask]] == 0).all()
        assert (gradient[present[mask]] != 0).any()


def test_record_with_nothing_gets_the_heads_bias() -> None:
    model = small_model()
    nn.init.normal_(model.head.bias)
    nothing = {name: torch.zeros_like(mask) for name, mask in masks().items()}
    assert torch.equal(model(**inputs(), **nothing).logits, model.head.bias.expand(B, -1))


@pytest.mark.parametrize("with_map", [False, True])
def test_attention_without_keys_is_zero(with_map: bool) -> None:
    query, key, value = torch.randn(3, 2, 4, 6).unbind(0)
    query.requires_grad_()
    present = torch.tensor([[False] * 4, [True, False, True, False]])
    mixed, weights = attend(query, key, value, present, num_heads=2, dropout=0.0, with_map=with_map)
    mixed.square().sum().backward()
    assert (mixed[0] == 0).all()
    assert (mixed[1] != 0).any()
    assert query.grad is not None
    assert torch.isfinite(query.grad).all()
    if weights is not None:
        assert (weights[0] == 0).all()
        assert (weights[1, :, :, ~present[1]] == 0).all()
        torch.testing.assert_close(weights[1].sum(-1), torch.ones(2, 4))


def test_an_absent_stream_does_not_halve_the_other() -> None:
    """With no clinical token the image stream is plain self-attention, not half of it."""
    both = BidirectionalAttention(hidden_size=8, num_heads=2, dropout=0.0)
    alone = SelfAttention(hidden_size=8, num_heads=2, dropout=0.0)
    for name in ("query", "key", "value"):
        getattr(alone, name).load_state_dict(getattr(both, f"image_{name}").state_dict())
    alone.out.load_state_dict(both.out.state_dict())
    image, clinical = torch.randn(3, 5, 8), torch.randn(3, 4, 8)
    nothing = torch.zeros(3, 4, dtype=torch.bool)
    actual, _, _ = both(image, clinical, None, nothing, with_maps=False)
    torch.testing.assert_close(actual, alone(image, None, with_map=False)[0])


def test_attention_maps() -> None:
    model, present = small_model(), masks(1)
    out = model(**inputs(), **present, output_attentions=True)
    plain = model(**inputs(), **present)
    torch.testing.assert_close(out.logits, plain.logits, atol=1e-6, rtol=1e-5)
    image, clinical = 5, T + L + 2
    first, second, last = out.attentions
    for maps in (first, second):
        assert maps.image_to_image.shape == (B, 2, image, image)
        assert maps.image_to_clinical.shape == (B, 2, image, clinical)
        assert maps.clinical_to_clinical.shape == (B, 2, clinical, clinical)
        assert maps.clinical_to_image.shape == (B, 2, clinical, image)
    assert last.shape == (B, 2, image + clinical, image + clinical)
    hidden_texts = ~present["text_mask"]
    for record in range(B):
        text_columns = last[record, :, :, image : image + T]
        assert (text_columns[..., hidden_texts[record]] == 0).all()


# --- loss and per-sample gradients -------------------------------------------------------------


def test_per_sample_loss_by_hand() -> None:
    logits = torch.tensor([[0.0, 2.0], [0.0, 5.0], [1.0, 1.0]])
    labels = torch.tensor([[1.0, 0.0], [0.0, torch.nan], [torch.nan, torch.nan]])
    valid = torch.tensor([[1, 1], [1, 0], [0, 0]])
    half, two = torch.tensor(2.0).log(), torch.tensor(2.0).exp().add(1).log()
    expected = torch.stack([(half + two) / 2, half, torch.tensor(0.0)])
    torch.testing.assert_close(per_sample_loss(logits, labels, valid), expected)


def test_loss_is_the_mean_over_records() -> None:
    model, answers = small_model(), labelled()
    out = model(**inputs(), **answers)
    expected = per_sample_loss(out.logits, **answers).mean()
    torch.testing.assert_close(out.loss, expected)
    assert model(**inputs()).loss is None


def test_empty_batch_has_zero_loss() -> None:
    out = small_model()(**inputs(records=0), **masks(records=0), **labelled(records=0))
    assert out.logits.shape == (0, K)
    assert out.loss == 0


def test_every_layer_is_called_once() -> None:
    """Ghost clipping and hooks on a layer called twice would be wrong."""
    model = small_model()
    calls: Counter[str] = Counter()
    layers = {n: m for n, m in model.named_modules() if list(m.parameters(recurse=False))}
    for name, layer in layers.items():
        layer.register_forward_hook(lambda *_, name=name: calls.update([name]))
    model(**inputs(), **masks())
    assert calls == dict.fromkeys(layers, 1)


def test_bare_parameters_live_in_one_input_leaves() -> None:
    allowed = {"Linear", "LayerNorm", "Conv2d", "Embedding", "ClassToken", "PositionTable"}
    for name, module in small_model().named_modules():
        if list(module.parameters(recurse=False)):
            assert type(module).__name__ in allowed, name
            assert not list(module.children()), name


@pytest.mark.filterwarnings("ignore:Full backward hook is firing")
@pytest.mark.parametrize("own_vocabulary", [True, False])
def test_per_sample_gradients_match_a_loop(own_vocabulary: bool) -> None:
    model = small_model(vocab_size=VOCABULARY if own_vocabulary else 0).train()
    batch = inputs(own_vocabulary=own_vocabulary) | masks(2)
    batch["image_mask"][0] = False
    batch["text_mask"][1] = batch["lab_mask"][1] = batch["demographics_mask"][1] = False
    answers = labelled(1)
    expected: list[dict[str, Tensor]] = []
    for i in range(B):
        model.zero_grad()
        out = model(**{name: tensor[i : i + 1] for name, tensor in batch.items()})
        one = {name: tensor[i : i + 1] for name, tensor in answers.items()}
        per_sample_loss(out.logits, **one).sum().backward()
        expected.append({n: p.grad.clone() for n, p in model.named_parameters()})
    model.zero_grad()
    hooked = GradSampleModule(model, batch_first=True, loss_reduction="sum")
    per_sample_loss(hooked(**batch).logits, **answers).sum().backward()
    for name, parameter in model.named_parameters():
        loop = torch.stack([gradients[name] for gradients in expected])
        torch.testing.assert_close(parameter.grad_sample, loop, atol=1e-5, rtol=1e-5, msg=name)


# --- configuration, files, learning ------------------------------------------------------------


def test_save_and_load_is_exact(tmp_path: Path) -> None:
    model = small_model(id2label={0: "pneumonia", 1: "effusion", 2: "COPD"}, num_labels=None)
    model.save_pretrained(tmp_path)
    assert (tmp_path / "model.safetensors").exists()
    for loaded in (IreneModel.from_pretrained(tmp_path), AutoModel.from_pretrained(tmp_path)):
        assert type(loaded) is IreneModel
        weights = loaded.state_dict()
        assert weights.keys() == model.state_dict().keys()
        assert all(torch.equal(weights[n], t) for n, t in model.state_dict().items())
        assert torch.equal(loaded(**inputs()).logits, model(**inputs()).logits)
        assert loaded.config.id2label == {0: "pneumonia", 1: "effusion", 2: "COPD"}


@pytest.mark.parametrize("labels", [1, 2, 8])
def test_config_round_trip(tmp_path: Path, labels: int) -> None:
    config = small_config(num_labels=labels, text_length=0)
    config.save_pretrained(tmp_path)
    loaded = AutoConfig.from_pretrained(tmp_path)
    assert type(loaded) is IreneConfig
    assert (loaded.num_labels, loaded.text_length, loaded.num_channels) == (labels, 0, 1)
    assert {**loaded.to_dict(), "_name_or_path": ""} == config.to_dict()


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("hidden_size", 15),
        ("num_hidden_layers", 0),
        ("num_bidirectional_layers", 4),
        ("num_attention_heads", 0),
        ("patch_size", 3),
        ("image_size", 8.0),
        ("num_channels", 0),
        ("text_length", -1),
        ("vocab_size", -1),
        ("num_labs", True),
        ("num_labels", 0),
        ("hidden_dropout_prob", 1.0),
        ("attention_probs_dropout_prob", -0.1),
        ("layer_norm_eps", 0.0),
    ],
)
def test_impossible_sizes_are_named(field: str, value: float) -> None:
    with pytest.raises(ValueError, match=field):
        small_config(**{field: value})


@pytest.mark.parametrize("field", ["pixel_values", "lab_values", "age", "input_ids", "text_mask"])
def test_wrong_input_shapes_are_named(field: str) -> None:
    batch = inputs() | masks()
    with pytest.raises(ValueError, match=field):
        small_model()(**{**batch, field: batch[field][..., None]})


def test_required_inputs_are_named() -> None:
    batch = inputs()
    del batch["lab_values"]
    with pytest.raises(ValueError, match="lab_values"):
        small_model()(**batch)


def test_a_study_without_text_or_labs() -> None:
    batch = inputs()
    model = small_model(text_length=0, num_labs=0)
    only = {name: batch[name] for name in ("pixel_values", "age", "sex")}
    assert torch.isfinite(model(**only).logits).all()
    assert not any("text" in name or "lab" in name for name in model.state_dict())


def test_presets() -> None:
    counts = {}
    for name, sizes in PRESETS.items():
        with torch.device("meta"):
            model = IreneModel(IreneConfig(**sizes, num_labels=8))
        counts[name] = sum(p.numel() for p in model.parameters())
    assert counts == {"tiny": 279_752, "small": 18_173_192, "base": 99_497_480}


def test_dropout_acts_in_training_only() -> None:
    model = small_model(hidden_dropout_prob=0.5, attention_probs_dropout_prob=0.5)
    assert torch.equal(model(**inputs()).logits, model(**inputs()).logits)
    model.train()
    assert not torch.equal(model(**inputs()).logits, model(**inputs()).logits)


def test_a_fresh_model_tells_labs_apart_quickly() -> None:
    """Guards the initialisation: with positions of 0.02 this loss stays above 0.5."""
    model = small_model(num_labels=1, num_labs=12).train()
    g = torch.Generator().manual_seed(0)
    values = torch.randn(256, 12, generator=g)
    labels = (values[:, 3:4] > 0).float()
    batch = {name: t[:1].expand(256, *t.shape[1:]) for name, t in inputs().items()}
    batch["lab_values"] = values
    optimizer = torch.optim.Adam(model.parameters(), lr=3e-3)
    for _ in range(40):
        optimizer.zero_grad()
        loss = model(**batch, labels=labels).loss
        loss.backward()
        optimizer.step()
    assert loss < 0.25
