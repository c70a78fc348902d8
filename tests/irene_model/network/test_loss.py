"""The loss of a record, and gradients of single records."""

from collections import Counter

import pytest
import torch
from opacus.grad_sample import GradSampleModule
from torch import Tensor

import client.private.opacus_engines  # noqa: F401  registers the samplers of ClassToken and PositionTable
from irene_model.network.model import per_sample_loss
from tests.helpers.models.small_irene import VOCABULARY, B, K, inputs, labelled, masks, small_model


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
