"""Between micro-batches nothing waits for the device: no number of a tensor is asked for."""

from typing import Any

import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode

from client.private.clipping import Clip
from client.private.dp import PrivateGradient
from tests.helpers.models.clipped_sums import batch_of, model_of

_ASKS = {torch.ops.aten._local_scalar_dense.default, torch.ops.aten.nonzero.default}


class Asked(TorchDispatchMode):
    """Counts what would have a processor wait for a GPU."""

    def __init__(self) -> None:
        super().__init__()
        self.times = 0

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        self.times += func in _ASKS
        return func(*args, **(kwargs or {}))


@pytest.mark.parametrize("engine", ["fused", "opacus"])
def test_a_micro_batch_asks_a_processor_once_and_a_gpu_never(engine: Any) -> None:
    """Once: whether any patient is left out, by `Clip.to`."""
    gradient = PrivateGradient(model_of(), clip_norm=0.1, engine=engine)
    gradient.accumulate(batch_of(3))
    with Asked() as asked:
        for _ in range(2):
            gradient.accumulate(batch_of(4))
    gradient.close()
    assert asked.times == 2


def test_who_is_left_out_is_not_asked_of_a_device_that_works_by_itself() -> None:
    """A tensor on the device `meta` has no numbers: to ask for one is an error."""
    norms = torch.empty(4, dtype=torch.float64, device="meta")
    clip = Clip.to(0.1, norms)
    assert clip.left_out is not None and clip.factors.shape == (4,)
    with pytest.raises(RuntimeError):
        bool(clip.left_out.any())


def test_with_nobody_left_out_the_mask_changes_nothing() -> None:
    known = Clip.to(0.1, torch.tensor([1.0, 0.01], dtype=torch.float64))
    assert known.left_out is None
    unknown = Clip(known.factors, torch.zeros(2, dtype=torch.bool))
    numbers = torch.randn(2, 3)
    assert torch.equal(unknown.without_left_out(numbers), known.without_left_out(numbers))
