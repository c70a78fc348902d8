"""The fused engine against Opacus and a plain loop over single patients."""

from collections.abc import Callable

import numpy as np
import pytest
import torch

from client.private import contributions
from client.private.clipping import forward_losses
from client.private.contributions import Factors, PerPatient, Rows
from client.private.dp import PrivateGradient
from client.private.fused import FusedSum
from client.private.opacus_engines import HookSum
from irene_model.network.model import IreneModel
from irene_model.study.study import Engine
from irene_model.weights.weights import new_model
from tests.helpers.models.clipped_sums import (
    STUDY,
    Engines,
    assert_equal,
    batch_of,
    clipped_sum_by_loop,
    everything,
    model_of,
    rows,
    sums_of,
)


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
