"""What every engine of the private gradient agrees on: the clipped sum of one micro-batch.

Each row of a batch is one patient. A patient's gradient g over all trained parameters together is
scaled to L2 norm at most C, which bounds what one patient adds to the sum (Abadi et al. 2016,
"Deep learning with differential privacy", Alg. 1).
"""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor, nn

from irene_model.inputs import Batch

# By how much a norm is taken for larger than it was computed. It covers the rounding of the norm's
# squares, added in float32 by blocks of 128, of the factor and of its product: docs/privacy.md.
_ALLOWANCE = 2.0**-17
_LEAST_FACTOR = 2.0**-100

Sums = dict[nn.Parameter, Tensor]  # float32, shaped as the parameter


class ClippedSum(Protocol):
    """An engine: adds the clipped gradients of a micro-batch to running sums."""

    def add(self, batch: Batch, sums: Sums) -> None:
        """Add one clipped gradient a row of `batch`; a non-finite one counts as zero."""

    def close(self) -> None:
        """Leave the model as it was before the engine was built."""


def trained_parameters(model: nn.Module) -> list[nn.Parameter]:
    """The parameters that are not frozen, in the model's order."""
    return [p for p in model.parameters() if p.requires_grad]


def forward_losses(model: nn.Module, batch: Batch) -> tuple[Tensor, Tensor]:
    """Logits (B, K) and each record's loss (B,), in float32."""
    output = model(**batch)
    return output.logits.float(), output.losses


@dataclass(frozen=True)
class Clip:
    """What each of B patients' gradients is multiplied by.

    factors: (B,) float32. left_out: (B,), whose factor is 0 and whose gradient may be anything;
    None where it is known that there is none. Only a processor is asked: to ask a GPU is to wait
    until it has done all that it was given.
    """

    factors: Tensor
    left_out: Tensor | None

    @classmethod
    def to(cls, clip_norm: float, norms: Tensor) -> "Clip":
        """min(1, C / norm) for each patient, whose `norms` (B,) are float64.

        A gradient whose norm can't be bounded may add nothing; that it was left out is told nobody.
        Nor does one so large that its factor is no normal float32, which has fewer digits.
        """
        factors = (clip_norm / (norms * (1 + _ALLOWANCE)).clamp(min=clip_norm)).float()
        left_out = ~(norms.isfinite() & (factors >= _LEAST_FACTOR))  # a NaN compares as False
        factors = factors.masked_fill(left_out, 0.0)
        nobody = left_out.device.type == "cpu" and not bool(left_out.any())
        return cls(factors, None if nobody else left_out)

    def of(self, part: slice) -> "Clip":
        """Of some of the patients."""
        left_out = None if self.left_out is None else self.left_out[part]
        return Clip(self.factors[part], left_out)

    def without_left_out(self, numbers: Tensor) -> Tensor:
        """`numbers` (B,...) with 0 for whom is left out: 0 times a NaN would be NaN."""
        if self.left_out is None:
            return numbers
        return numbers.masked_fill(self.left_out.view(-1, *[1] * (numbers.ndim - 1)), 0.0)


@contextmanager
def plain(device: torch.device) -> Iterator[None]:
    """No graph, which would keep every activation; no autocast, no TF32: float32 is float32."""
    products = (torch.backends.cuda.matmul, torch.backends.mkldnn.matmul)  # type: ignore[attr-defined]
    before = [each.fp32_precision for each in products]
    try:
        for each in products:
            each.fp32_precision = "ieee"
        with torch.no_grad(), torch.autocast(device.type, enabled=False):
            yield
    finally:
        for each, precision in zip(products, before, strict=True):
            each.fp32_precision = precision
