"""Tokens that share a place of the model: their gradients are a patient's own, by both engines."""

import pytest
import torch

from client.private.fused import FusedSum
from client.private.opacus_engines import HookSum
from irene_model.inputs.tensors import Batch
from tests.helpers.models.clipped_sums import (
    Engines,
    assert_equal,
    batch_of,
    clipped_sum_by_loop,
    model_of,
    sums_of,
)


def by_windows(size: int) -> Batch:
    """Each place has up to three tokens, and one at least."""
    batch, g = batch_of(size), torch.Generator().manual_seed(3)
    ids = torch.randint(0, 400, (size, 6, 3), generator=g)
    gone = torch.rand(size, 6, 3, generator=g) < 0.4
    gone[..., 0] = False
    return {**batch, "input_ids": ids.masked_fill(gone, -1)}


@pytest.mark.parametrize("clip_norm", [0.05, 1e3])
@pytest.mark.parametrize("engine", [FusedSum, HookSum])
def test_clipped_sums_equal_a_loop_over_patients(engine: Engines, clip_norm: float) -> None:
    batch = by_windows(5)
    expected = clipped_sum_by_loop(model_of(), batch, clip_norm)
    assert_equal(sums_of(engine, model_of(), batch, clip_norm=clip_norm), expected)
