"""Nothing of a step is made in the wrong place: what a GPU would refuse, without one.

PyTorch's device `meta` computes shapes alone and refuses tensors of another device as a GPU does.
"""

from pathlib import Path
from typing import Any

import pytest
import torch

from benchmarks.gpu.cases import VARIANTS, Silence, Steps, new_model, patients
from benchmarks.gpu.section import Asked

ASKED = Asked(device="meta", preset="tiny", seconds=0.01, most=3, folder=Path())


@pytest.fixture(autouse=True)
def _meta_has_autocast_and_no_truth(monkeypatch: pytest.MonkeyPatch) -> None:
    real = torch.autocast

    def autocast(_device: str, **settings: Any) -> torch.autocast:
        return real("cpu", **settings)

    monkeypatch.setattr(torch, "autocast", autocast)
    monkeypatch.setattr(torch.Tensor, "__bool__", lambda _: False)


# Opacus' ghost norm of a table asks for unique rows, which a shape does not tell.
@pytest.mark.parametrize("variant", [name for name in VARIANTS if name != "ghost"])
@pytest.mark.parametrize("part", ["forward", "whole"])
def test_no_part_of_a_step_leaves_the_device(variant: str, part: str) -> None:
    model = new_model(ASKED)
    steps = Steps(variant, model, patients(ASKED, model.config, 3), noise=Silence())
    getattr(steps, part)()
    gradients = [p.grad for p in model.parameters() if p.grad is not None]
    assert len(gradients) == (len(list(model.parameters())) if part == "whole" else 0)
    assert all(each.device.type == "meta" for each in gradients)


def test_a_tensor_of_another_device_is_refused() -> None:
    model = new_model(ASKED)
    batch = patients(ASKED, model.config, 3)
    batch["lab_values"] = torch.zeros_like(batch["lab_values"], device="cpu")
    with pytest.raises(RuntimeError, match="device"):
        Steps("irene", model, batch).forward()
