"""Which layers the fused engine has rules for, and what it says of the others."""

from types import SimpleNamespace

import pytest
import torch
from torch import Tensor, nn

from client.private.clipping import forward_losses
from client.private.contributions import Factors, PerPatient, weight_contribution
from client.private.fused import FusedSum
from client.private.opacus_engines import HookSum
from irene_model.network.tokens import PositionTable
from tests.helpers.models.clipped_sums import (
    Toy,
    assert_equal,
    batch_of,
    clipped_sum_by_loop,
    model_of,
    output,
    sums_of,
)


def test_autograd_computes_no_gradient_of_a_weight() -> None:
    model = model_of()
    with torch.autocast("cpu", dtype=torch.bfloat16):
        forward_losses(model, batch_of(3))  # fills autocast's cache of weights
        sums_of(FusedSum, model, batch_of(3), clip_norm=1.0)
    assert all(p.grad is None for p in model.parameters())


class Twice(nn.Linear):
    pass


def test_any_convolution_and_a_padded_embedding() -> None:
    class Words(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.table = nn.Embedding(5, 3, padding_idx=0)
            nn.init.ones_(self.table.weight)  # the padding's row too, which starts at zero

        def forward(
            self, *, input_ids: Tensor, labels: Tensor, label_mask: Tensor, **_: Tensor
        ) -> SimpleNamespace:
            return output(self.table(input_ids % 5).pow(2).sum(dim=1), labels, label_mask)

    torch.manual_seed(0)
    convolutions = nn.Sequential(
        nn.Conv2d(1, 4, 5, stride=3, padding=2),
        nn.ReLU(),
        nn.Conv2d(4, 2, 3, dilation=2, bias=False),
        nn.Flatten(),
        nn.Linear(8, 3),
    )
    for model in (Toy(convolutions), Words()):
        fused = sums_of(FusedSum, model, batch_of(5), clip_norm=0.1)
        assert_equal(fused, clipped_sum_by_loop(model, batch_of(5), 0.1))


def test_learned_latents_are_positions_of_nothing() -> None:
    """Queries that no record gives, as a Perceiver's: a table added to zeros, for each record."""

    class Latents(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.latents = PositionTable(4, 16)

        def forward(self, tokens: Tensor) -> Tensor:
            keys = tokens.flatten(1, 2)
            queries = self.latents(keys.new_zeros(len(keys), 4, 16))
            return torch.nn.functional.scaled_dot_product_attention(queries, keys, keys)

    torch.manual_seed(0)
    model = Toy(nn.Sequential(Latents(), nn.LayerNorm(16), nn.Flatten(), nn.Linear(64, 3)))
    nn.init.normal_(model.body[0].latents.table)  # type: ignore[index,union-attr,arg-type]
    expected = clipped_sum_by_loop(model, batch_of(5), 0.1)
    assert bool(expected[0].any())
    for engine in (FusedSum, HookSum):
        assert_equal(sums_of(engine, model, batch_of(5), clip_norm=0.1), expected)


def test_what_has_no_rule_is_refused_by_name() -> None:
    shared = nn.Linear(16, 16)
    tied = nn.Linear(16, 16)
    tied.weight = shared.weight
    for body, said in [
        (nn.Sequential(nn.BatchNorm2d(1)), r"body\.0 is of the kind BatchNorm2d"),
        (nn.Sequential(Twice(16, 16)), r"body\.0 is of the kind Twice"),
        (nn.Sequential(nn.Conv2d(2, 2, 3, groups=2)), r"body\.0 has groups"),
        (nn.Embedding(3, 3, max_norm=1.0), r"body couples the records"),
        (nn.Sequential(shared, tied), r"body\.1 shares a parameter with body\.0"),
        (nn.Flatten(), "every parameter of the model is frozen"),
    ]:
        with pytest.raises(ValueError, match=said):
            FusedSum(Toy(body), clip_norm=1.0)


def test_layers_whose_patients_cannot_be_told_apart_are_refused() -> None:
    linear = nn.Linear(16, 16)
    twice = Toy(nn.Sequential(linear, linear, nn.Flatten(), nn.Linear(256, 3)))
    with pytest.raises(ValueError, match=r"body\.0 runs twice in one forward pass"):
        sums_of(FusedSum, twice, batch_of(2), clip_norm=1.0)
    folded = Toy(
        nn.Sequential(nn.Flatten(0, 2), nn.Linear(16, 3), nn.Unflatten(0, (2, 16)), nn.Flatten(),
                      nn.Linear(48, 3))
    )  # fmt: skip
    with pytest.raises(ValueError, match=r"first axis of body\.1's output"):
        sums_of(FusedSum, folded, batch_of(2), clip_norm=1.0)
    assert all(p.requires_grad for p in folded.parameters())


def test_the_choice_for_a_weight_is_by_size() -> None:
    wide, long = torch.zeros(2, 3, 64), torch.zeros(2, 30, 64)
    assert isinstance(weight_contribution(wide, wide), Factors)
    assert isinstance(weight_contribution(long, long), PerPatient)
