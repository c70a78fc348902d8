"""What is missing: nothing behind a mask is read, and no record reads another."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

import client.private.opacus_engines  # noqa: F401  registers the samplers of ClassToken and PositionTable
from irene_model.network.attention import BidirectionalAttention, SelfAttention, Streams, attend
from tests.helpers.models.small_irene import (
    MODALITY_MASKS,
    VALUE_OF_MASK,
    VOCABULARY,
    B,
    L,
    T,
    inputs,
    labelled,
    masks,
    small_model,
)


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
    actual, _, _ = both(Streams(image, clinical, None, nothing), with_maps=False)
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
