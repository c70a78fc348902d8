"""Integrated gradients: the axioms of the paper, and a slow sum with plain finite steps."""

import pytest
import torch
from torch import Tensor

from irene_model.explain.integrated_gradients import integrated_gradients
from tests.helpers.models.small_irene import B, L, T, inputs, masks, small_model


@pytest.mark.parametrize("own_vocabulary", [True, False])
def test_attributions_add_up_to_the_difference_of_logits(own_vocabulary: bool) -> None:
    model = small_model() if own_vocabulary else small_model(vocab_size=0)
    batch = inputs(own_vocabulary=own_vocabulary) | masks(1)
    with torch.no_grad():
        logits = model(**batch).logits
    for label in range(logits.shape[1]):
        found = integrated_gradients(model, batch, label=label, steps=128)
        torch.testing.assert_close(found.logit, logits[:, label])
        difference = found.logit - found.baseline_logit
        assert difference.abs().max() > 0.05
        torch.testing.assert_close(found.total, difference, atol=1e-4, rtol=1e-3)


def test_what_is_absent_has_no_part_whatever_lies_there() -> None:
    model, present = small_model(), masks(2)
    present["image_mask"][0] = False
    batch = inputs()
    dirty = {name: tensor.clone() for name, tensor in batch.items()}
    dirty["pixel_values"][~present["image_mask"]] = torch.nan
    dirty["lab_values"][~present["lab_mask"]] = torch.nan
    dirty["age"][~present["demographics_mask"][:, 0]] = torch.nan
    dirty["sex"][~present["demographics_mask"][:, 1]] = torch.inf
    dirty["input_ids"][~present["text_mask"]] = -100
    clean = integrated_gradients(model, batch | present, label=0)
    found = integrated_gradients(model, dirty | present, label=0)
    for name, part in vars(clean).items():
        assert torch.equal(getattr(found, name), part), name
    assert not found.pixels[~present["image_mask"]].any()
    assert not found.text[~present["text_mask"]].any()
    assert not found.labs[~present["lab_mask"]].any()
    assert not found.age[~present["demographics_mask"][:, 0]].any()
    assert found.pixels[present["image_mask"]].any()
    assert found.text[present["text_mask"]].all()
    assert found.labs[present["lab_mask"]].all()


def test_an_input_at_its_baseline_explains_nothing() -> None:
    batch = inputs()
    batch["lab_values"][:, 1] = 0.0
    batch["age"][:] = batch["sex"][:] = 0.5
    batch["pixel_values"] = torch.full_like(batch["pixel_values"], 0.3)
    found = integrated_gradients(small_model(), batch, label=1)
    assert found.labs[:, 0].all()
    assert not found.labs[:, 1].any()
    assert not found.age.any()
    assert not found.sex.any()
    # The mean of equal float32 numbers is that number but for rounding.
    torch.testing.assert_close(found.pixels, torch.zeros_like(found.pixels), atol=1e-6, rtol=0)


def test_it_is_the_slow_sum_of_small_steps() -> None:
    """Walk from baseline to input in 400 steps; each coordinate gets what its own gradient adds."""
    model, batch = small_model(vocab_size=0), inputs(own_vocabulary=False, records=1)
    names = ("pixel_values", "text_embeddings", "lab_values", "age", "sex")
    starts = {name: torch.zeros_like(batch[name]) for name in names}
    starts["pixel_values"] += batch["pixel_values"].mean()
    starts["age"] += 0.5
    starts["sex"] += 0.5
    steps = 400
    expected = {name: torch.zeros_like(batch[name]) for name in names}
    for k in range(steps):
        points: dict[str, Tensor] = {}
        for name in names:
            points[name] = starts[name] + (k + 0.5) / steps * (batch[name] - starts[name])
            points[name].requires_grad_()
        model(**points).logits[0, 2].backward()
        for name, point in points.items():
            assert point.grad is not None
            expected[name] += point.grad * (batch[name] - starts[name]) / steps
    found = integrated_gradients(model, batch, label=2)
    assert (found.pixels.shape, found.text.shape, found.labs.shape) == ((1, 8, 8), (1, T), (1, L))
    for part, slow in (
        (found.pixels, expected["pixel_values"].sum(1)),
        (found.text, expected["text_embeddings"].sum(2)),
        (found.labs, expected["lab_values"]),
        (found.age, expected["age"]),
        (found.sex, expected["sex"]),
    ):
        torch.testing.assert_close(part, slow, atol=1e-5, rtol=1e-3)


def test_a_record_is_explained_alike_in_any_batch() -> None:
    model, batch = small_model(), inputs() | masks(3)
    together = integrated_gradients(model, batch, label=0)
    for i in range(B):
        alone = integrated_gradients(model, {n: t[i : i + 1] for n, t in batch.items()}, label=0)
        torch.testing.assert_close(alone.pixels[0], together.pixels[i], atol=1e-6, rtol=1e-4)
        torch.testing.assert_close(alone.text[0], together.text[i], atol=1e-6, rtol=1e-4)


def test_a_model_without_text_and_labs() -> None:
    model = small_model(text_length=0, num_labs=0)
    batch = {name: inputs()[name] for name in ("pixel_values", "age", "sex")}
    found = integrated_gradients(model, batch, label=0)
    assert (found.text.shape, found.labs.shape) == ((B, 0), (B, 0))
    torch.testing.assert_close(
        found.total, found.logit - found.baseline_logit, atol=1e-4, rtol=1e-3
    )


def test_neither_model_nor_batch_is_changed() -> None:
    model, batch = small_model(), inputs() | masks(1)
    kept = {name: tensor.clone() for name, tensor in batch.items()}
    with torch.no_grad():
        before = model(**batch).logits
    integrated_gradients(model, batch, label=0, steps=4)
    assert all(parameter.grad is None for parameter in model.parameters())
    with torch.no_grad():
        assert torch.equal(model(**batch).logits, before)
    assert all(torch.equal(batch[name], tensor) for name, tensor in kept.items())


def test_training_mode_is_refused() -> None:
    with pytest.raises(ValueError, match=r"model\.eval\(\)"):
        integrated_gradients(small_model().train(), inputs(), label=0)
