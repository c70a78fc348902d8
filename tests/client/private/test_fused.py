"""The fused engine against Opacus and a plain loop over single patients."""

from collections.abc import Callable
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from client.private import contributions
from client.private.clipping import ClippedSum, forward_losses
from client.private.contributions import Factors, PerPatient, Rows, weight_contribution
from client.private.dp import PrivateGradient
from client.private.fused import FusedSum
from client.private.opacus_engines import HookSum
from irene_model.inputs.tensors import Batch
from irene_model.network.embeddings import PositionTable
from irene_model.network.model import IreneModel, per_sample_loss
from irene_model.study.study import Engine
from irene_model.weights.weights import new_model
from tests.client.private.test_dp import STUDY, batch_of, clipped_sum_by_loop, rows

Engines = Callable[..., ClippedSum]


def everything(_: IreneModel) -> None:
    pass


def head_only(model: IreneModel) -> None:
    model.requires_grad_(False)
    model.head.requires_grad_(True)


def biases_only(model: IreneModel) -> None:
    for name, parameter in model.named_parameters():
        parameter.requires_grad_(name.endswith("bias"))


def last_block(model: IreneModel) -> None:
    model.requires_grad_(False)
    for part in (model.encoder.joint[-1], model.encoder.norm, model.head):
        part.requires_grad_(True)


def weights_and_positions(model: IreneModel) -> None:
    for name, parameter in model.named_parameters():
        parameter.requires_grad_(not name.endswith("bias"))


def frozen_tokens(model: IreneModel) -> None:
    model.embeddings.text_tokens.requires_grad_(False)


SUBSETS = [everything, head_only, biases_only, last_block, weights_and_positions, frozen_tokens]


def model_of(freeze: Callable[[IreneModel], None] = everything) -> IreneModel:
    model = new_model(STUDY, seed=1)
    freeze(model)
    return model


def sums_of(engine: Engines, model: nn.Module, *batches: Batch, clip_norm: float) -> list[Tensor]:
    sums = {p: torch.zeros_like(p) for p in model.parameters() if p.requires_grad}
    built = engine(model, clip_norm=clip_norm)
    for batch in batches:
        built.add(batch, sums)
    built.close()
    return list(sums.values())


def assert_equal(left: list[Tensor], right: list[Tensor], rtol: float = 1e-5) -> None:
    """Relative to the largest entry of each tensor: sums of opposite gradients cancel.

    A softmax does not see the keys' bias: its gradient is nothing but the rounding of the others.
    """
    assert len(left) == len(right)
    rounding = 1e-7 * max(float(other.abs().max()) for other in right)
    for one, other in zip(left, right, strict=True):
        scale = float(other.abs().max())
        torch.testing.assert_close(one, other, rtol=rtol, atol=rtol * scale + rounding)


@pytest.fixture(params=["mixed", "kept", "factored"])
def choice(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Every weight by the rule; every one kept whole; every one in factors."""
    if request.param != "mixed":
        slack = {"kept": 1e9, "factored": 0.0}[request.param]
        monkeypatch.setattr(contributions, "_MEMORY_FOR_TIME", slack)


@pytest.mark.usefixtures("choice")
@pytest.mark.parametrize("clip_norm", [0.05, 1e3])
@pytest.mark.parametrize("freeze", SUBSETS)
def test_sums_equal_opacus_and_a_loop(
    freeze: Callable[[IreneModel], None], clip_norm: float
) -> None:
    batch = batch_of(7)
    fused = sums_of(FusedSum, model_of(freeze), batch, clip_norm=clip_norm)
    assert_equal(fused, clipped_sum_by_loop(model_of(freeze), batch, clip_norm))
    assert_equal(fused, sums_of(HookSum, model_of(freeze), batch, clip_norm=clip_norm))


@pytest.mark.parametrize("engine", [FusedSum, HookSum])
def test_micro_batches_and_empty_ones_add_up(engine: Engines) -> None:
    batch = batch_of(7)
    parts = [rows(batch, slice(0, 3)), rows(batch, slice(0, 0)), rows(batch, slice(3, 7))]
    once = sums_of(FusedSum, model_of(), batch, clip_norm=0.05)
    assert_equal(sums_of(engine, model_of(), *parts, clip_norm=0.05), once)
    nothing = sums_of(engine, model_of(), rows(batch, slice(0, 0)), clip_norm=0.05)
    assert all(not total.any() for total in nothing)


@pytest.mark.usefixtures("choice")
@pytest.mark.parametrize("engine", [FusedSum, HookSum])
@pytest.mark.parametrize("broken", [float("nan"), float("inf"), 1e30])
def test_a_patient_without_a_finite_gradient_counts_as_zero(engine: Engines, broken: float) -> None:
    batch = batch_of(4, seed=2)
    batch["lab_mask"][:] = True
    kept = {name: tensor[[0, 2, 3]] for name, tensor in batch.items()}
    batch["lab_values"][1] = broken
    if broken == 1e30:  # finite, but its square is not
        batch["labels"][1], batch["label_mask"][1] = 1e30, True
    assert_equal(
        sums_of(engine, model_of(), batch, clip_norm=1.0),
        sums_of(engine, model_of(), kept, clip_norm=1.0),
    )


def test_bf16_autocast_is_near_and_its_norms_and_sums_are_not_bf16(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    batch = batch_of(5, seed=4)
    exact = torch.cat([t.flatten() for t in sums_of(FusedSum, model_of(), batch, clip_norm=0.1)])
    dtypes = set()
    for kind in (PerPatient, Factors, Rows):

        def squares(self, exactly=kind.squares):  # type: ignore[no-untyped-def]
            found = exactly(self)
            dtypes.add(found.dtype)
            return found

        monkeypatch.setattr(kind, "squares", squares)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        near = sums_of(FusedSum, model_of(), batch, clip_norm=0.1)
    assert dtypes == {torch.float64} and {total.dtype for total in near} == {torch.float32}
    difference = torch.cat([t.flatten() for t in near]) - exact
    assert 0 < float(difference.norm() / exact.norm()) < 0.05
    with torch.autocast("cpu", dtype=torch.bfloat16):
        alone = torch.cat([t.flatten() for t in clipped_sum_by_loop(model_of(), batch, 0.1)])
    difference = torch.cat([t.flatten() for t in near]) - alone
    assert float(difference.norm() / alone.norm()) < 0.02  # a gradient alone is rounded to bf16


def test_with_dropout_the_sum_is_of_the_same_masks() -> None:
    """With clipping out of reach, the fused sum is autograd's gradient under the same seed."""
    model_shape = STUDY.model.model_copy(
        update={"hidden_dropout_prob": 0.3, "attention_probs_dropout_prob": 0.2}
    )
    model = new_model(STUDY.model_copy(update={"model": model_shape}), seed=1).train()
    batch = batch_of(6)
    torch.manual_seed(5)
    fused = sums_of(FusedSum, model, batch, clip_norm=1e6)
    torch.manual_seed(5)
    forward_losses(model, batch)[1].sum().backward()
    assert_equal(fused, [p.grad for p in model.parameters()])  # type: ignore[misc]


@pytest.mark.parametrize("engine", ["fused", "opacus"])
def test_the_model_ends_as_it_was(engine: Engine) -> None:
    model = model_of(frozen_tokens)

    def state() -> list[object]:
        hooks = [
            (len(m._forward_hooks), len(m._backward_hooks), len(m._forward_pre_hooks))
            for m in model.modules()
        ]
        return [hooks, *((p.requires_grad, sorted(vars(p))) for p in model.parameters())]

    before = state()
    private = PrivateGradient(model, clip_norm=1.0, engine=engine)
    private.accumulate(batch_of(3))
    private.release(noise_multiplier=1.0, expected_batch=3.0, rng=np.random.default_rng(0))
    with pytest.raises(ValueError, match="pixel_values"):
        private.accumulate({**batch_of(3), "pixel_values": torch.zeros(3, 1, 8, 8)})
    private.close()
    assert state() == before


def test_an_exception_in_the_pass_leaves_no_hook_and_the_flags() -> None:
    model = model_of(last_block)
    flags = [p.requires_grad for p in model.parameters()]
    private = PrivateGradient(model, clip_norm=1.0)
    with pytest.raises(ValueError, match="pixel_values"):
        private.accumulate({**batch_of(3), "pixel_values": torch.zeros(3, 1, 8, 8)})
    assert [p.requires_grad for p in model.parameters()] == flags
    assert not any(m._forward_hooks for m in model.modules())


def output(logits: Tensor, labels: Tensor, mask: Tensor) -> SimpleNamespace:
    return SimpleNamespace(logits=logits, losses=per_sample_loss(logits.float(), labels, mask))


class Toy(nn.Module):
    """Logits (B,3) of pixels (B,1,16,16), through `body`."""

    def __init__(self, body: nn.Module) -> None:
        super().__init__()
        self.body = body

    def forward(
        self, *, pixel_values: Tensor, labels: Tensor, label_mask: Tensor, **_: Tensor
    ) -> SimpleNamespace:
        return output(self.body(pixel_values), labels, label_mask)


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
