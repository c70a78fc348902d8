"""Clipped sums of per-patient gradients by any engine, and by a plain loop over single patients."""

from collections.abc import Callable
from types import SimpleNamespace

import torch
from torch import Tensor, nn

from client.private.clipping import ClippedSum
from irene_model.inputs.tensors import Batch
from irene_model.network.model import IreneModel, per_sample_loss
from irene_model.study.study import Study
from irene_model.weights.weights import new_model

STUDY = Study.model_validate(
    {
        "name": "tiny",
        "labels": ["a", "b", "c"],
        "image": {"size": 16, "patch": 8},
        "text": {"max_tokens": 6, "width": 8},
        "labs": [
            {"name": "CRP", "loinc": "1988-5", "unit": "mg/L", "low": 0, "high": 5},
            {"name": "LDH", "loinc": "2532-0", "unit": "U/L", "low": 120, "high": 248},
        ],
        "model": {"hidden_size": 16, "num_attention_heads": 2, "intermediate_size": 24},
        "federation": {"rounds": 1, "local_steps": 1},
        "privacy": {"epsilon": 8},
    }
)


def batch_of(size: int, seed: int = 0) -> Batch:
    """Random records with every kind of gap."""
    g = torch.Generator().manual_seed(seed)

    def some(*shape: int) -> torch.Tensor:
        return torch.rand(*shape, generator=g) < 0.6

    return {
        "pixel_values": torch.randn(size, 1, 16, 16, generator=g),
        "image_mask": some(size),
        "input_ids": torch.randint(0, 400, (size, 6), generator=g),
        "text_mask": some(size, 6),
        "lab_values": torch.randn(size, 2, generator=g),
        "lab_mask": some(size, 2),
        "age": torch.rand(size, generator=g),
        "sex": some(size).float(),
        "demographics_mask": some(size, 2),
        "labels": some(size, 3).float(),
        "label_mask": some(size, 3),
    }


def rows(batch: Batch, index: slice) -> Batch:
    return {name: tensor[index] for name, tensor in batch.items()}


def clipped_sum_by_loop(model: nn.Module, batch: Batch, clip_norm: float) -> list[torch.Tensor]:
    """One backward pass a patient: slow, and plainly right."""
    parameters = [p for p in model.parameters() if p.requires_grad]
    totals = [torch.zeros_like(p) for p in parameters]
    for index in range(len(batch["age"])):
        model.zero_grad()
        model(**rows(batch, slice(index, index + 1))).losses.sum().backward()
        gradients = [p.grad if p.grad is not None else torch.zeros_like(p) for p in parameters]
        norm = torch.sqrt(sum((g**2).sum() for g in gradients))  # type: ignore[arg-type]
        factor = min(1.0, clip_norm / max(float(norm), 1e-12))
        for total, gradient in zip(totals, gradients, strict=True):
            total += factor * gradient
    return totals


Engines = Callable[..., ClippedSum]


def everything(_: IreneModel) -> None:
    pass


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
