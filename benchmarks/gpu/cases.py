"""What is measured: a model, patients at random, and one training step of each variant."""

from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from benchmarks.engines.candidates import BuiltTwice, TensorCores
from benchmarks.engines.ghost import GhostSum
from benchmarks.engines.steps import new_batch
from benchmarks.engines.transcription import transcribed_logits
from benchmarks.gpu.section import PLAIN, Asked
from client.private import (
    FusedSum,
    HookSum,
    KeystreamNoise,
    NewEngine,
    NoiseSource,
    PrivateGradient,
    trained_parameters,
)
from irene_model.inputs import Batch, take
from irene_model.network import PRESETS, IreneConfig, IreneModel, per_sample_loss

TRANSCRIPTION = "transcription"
# What a study can ask for, and beside it what no study can: benchmarks/engines.
PRODUCT: dict[str, NewEngine] = {"fused": FusedSum, "opacus": HookSum}
ENGINES: dict[str, NewEngine] = {
    **PRODUCT,
    "ghost": GhostSum,
    "tensor cores": TensorCores,
    "built twice": BuiltTwice,
}
VARIANTS = (PLAIN, TRANSCRIPTION, *ENGINES)
_DIFFERENT = 16  # patients; more of them are these again


class Silence:
    """A source of noise that gives zeros at once: where memory is asked for, and not time."""

    def standard_normal(self, size: tuple[int, ...], /) -> npt.NDArray[np.float64]:
        """Zeros."""
        return np.zeros(size)


def new_model(asked: Asked, *, dropout: bool = True) -> IreneModel:
    """A model of the preset's size that reads what the authors' reads, in training mode."""
    torch.manual_seed(0)
    config = IreneConfig(
        **PRESETS[asked.preset],  # type: ignore[arg-type]
        num_labels=8,
        vocab_size=2000,
        text_width=64,
    )
    with torch.device(asked.device):
        model = IreneModel(config)
    for module in model.modules():
        if isinstance(module, torch.nn.Dropout) and not dropout:
            module.p = 0.0
    model.train()
    return model


def patients(asked: Asked, config: IreneConfig, count: int, *, gaps: bool = True) -> Batch:
    """`count` random patients on the device; with gaps a fifth of what they have is missing."""
    few = {
        name: tensor.to(asked.device)
        for name, tensor in new_batch(config, min(count, _DIFFERENT)).items()
        if gaps or not name.endswith("_mask") or name == "label_mask"
    }
    return take(few, torch.arange(count, device=asked.device) % min(count, _DIFFERENT))


class Steps:
    """The steps of one variant on one batch: passes, gradients, and all of a training step.

    bf16: autocast, as training does on a GPU. A private gradient is the clipped sum; the whole step
    adds its noise and the optimizer's work, at a rate of 0, so that all steps do the same work.
    """

    def __init__(
        self,
        variant: str,
        model: IreneModel,
        batch: Batch,
        *,
        bf16: bool = True,
        noise: NoiseSource | None = None,
        called: Callable[..., Any] | None = None,
    ) -> None:
        """`called` is what is called in the model's place, as what torch.compile made of it."""
        self._model, self._batch, self._bf16 = model, batch, bf16
        self._inputs = {n: t for n, t in batch.items() if not n.startswith("label")}
        self._transcribed = variant == TRANSCRIPTION
        self._called: Callable[..., Any] = model if called is None else called
        self._records = len(batch["labels"])
        self._parameters = trained_parameters(model)
        self._optimizer = torch.optim.AdamW(self._parameters, lr=0.0)
        self._noise = noise or KeystreamNoise.of_the_operating_system()
        self._private = None
        if variant in ENGINES:
            self._private = PrivateGradient(model, clip_norm=1.0, engine=ENGINES[variant])

    def forward(self) -> None:
        """As inference does it: in evaluation mode, without gradients."""
        self._model.eval()
        with torch.no_grad():
            self._logits()
        self._model.train()

    def gradient(self) -> None:
        """Forward and backward: the gradient of the batch, or its clipped sum."""
        if self._private is None:
            for parameter in self._parameters:
                parameter.grad = None
            torch.autograd.backward(self._loss())
            return
        with self._autocast():
            self._private.accumulate(self._batch)

    def whole(self) -> None:
        """All of one step."""
        self._optimizer.zero_grad(set_to_none=True)
        self.gradient()
        if self._private is not None:
            expected = float(self._records)
            self._private.release(noise_multiplier=1.0, expected_batch=expected, rng=self._noise)
        self._optimizer.step()

    def _loss(self) -> Tensor:
        labels, known = self._batch["labels"], self._batch["label_mask"]
        return per_sample_loss(self._logits().float(), labels, known).mean()

    def _logits(self) -> Tensor:
        with self._autocast():
            if self._transcribed:
                return transcribed_logits(self._model, self._inputs)
            logits: Tensor = self._called(**self._inputs).logits
            return logits

    def _autocast(self) -> torch.autocast:
        device = self._batch["labels"].device.type
        return torch.autocast(device, dtype=torch.bfloat16, enabled=self._bf16)
