"""Per-patient gradients of patches of sound, by every engine, beside a loop over patients."""

import pytest

from client.private.fused import FusedSum
from client.private.opacus_engines import HookSum
from irene_model.weights.weights import new_model
from tests.helpers.models.clipped_sums import (
    Engines,
    assert_equal,
    clipped_sum_by_loop,
    rows,
    sums_of,
)
from tests.helpers.sites.sounds import batch_of, study_with


@pytest.mark.parametrize("engine", [FusedSum, HookSum])
@pytest.mark.parametrize("clip_norm", [1e-2, 1e3])
@pytest.mark.parametrize("method", ["irene", "late_mean"])
def test_clipped_sums_match_single_samples(engine: Engines, clip_norm: float, method: str) -> None:
    study = study_with(model={"hidden_size": 16, "num_attention_heads": 2, "method": method,
                              "intermediate_size": 48})  # fmt: skip
    model, batch = new_model(study, seed=1), batch_of(6)
    batch["sound_mask"][2] = False  # one that was not recorded
    slowly = clipped_sum_by_loop(model, batch, clip_norm)
    parts = [rows(batch, slice(0, 4)), rows(batch, slice(4, None))]
    assert_equal(sums_of(engine, model, *parts, clip_norm=clip_norm), slowly)
    names = [name for name, _ in model.named_parameters()]
    heard = slowly[names.index("embeddings.sounds.time.table")]
    assert heard.abs().sum() > 0
