"""One training step of each engine on random patients: what the benchmarks time."""

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal, NamedTuple

import torch

from benchmarks.engines.ghost import GhostSum
from benchmarks.engines.unguarded import UnguardedSum
from client.private import (
    FusedSum,
    HookSum,
    KeystreamNoise,
    NewEngine,
    PrivateGradient,
    forward_losses,
    trained_parameters,
)
from irene_model.inputs import Batch
from irene_model.network import PRESETS, IreneConfig, IreneModel
from irene_model.study import LowRank, NamedSubset, Parameters, Settings
from irene_model.weights import choose_trained

Variant = Literal["plain", "unguarded", "fused", "opacus", "ghost"]
Preset = Literal["tiny", "small", "base"]
ENGINES: tuple[Variant, ...] = ("unguarded", "fused", "opacus", "ghost")
_BUILT: dict[Variant, NewEngine] = {
    "unguarded": UnguardedSum,
    "fused": FusedSum,
    "opacus": HookSum,
    "ghost": GhostSum,
}
SUBSETS = (
    {"kind": "head"},
    {"kind": "biases"},
    {"kind": "last_blocks", "blocks": 2},
    {"kind": "lora", "rank": 8},
)


class Group(Settings):
    """What is trained, and how activations are kept; the same for all variants of a group."""

    parameters: Parameters = NamedSubset()
    checkpointing: bool = False

    @property
    def title(self) -> str:
        """As a table calls it."""
        named = self.parameters.model_dump(exclude={"alpha"}).values()
        return " ".join(map(str, named)) + (", checkpointed" if self.checkpointing else "")


@dataclass(frozen=True, kw_only=True)
class Size:
    """The model's preset, and the patients and the precision of a micro-batch."""

    preset: Preset
    batch: int
    bf16: bool


class Seconds(NamedTuple):
    """Of one step: its gradient without noise, on the clock and on the processor, and all of it."""

    gradient: float
    gradient_cpu: float
    step_cpu: float


def device() -> torch.device:
    """The GPU where there is one."""
    return torch.device("cuda" if torch.cuda.is_available() else "cpu")


def new_batch(config: IreneConfig, size: int) -> Batch:
    """Random patients of whom some lack a modality."""
    g = torch.Generator().manual_seed(0)

    def some(*shape: int) -> torch.Tensor:
        return torch.rand(*shape, generator=g) < 0.8

    side = config.image_size
    batch = {
        "pixel_values": torch.randn(size, config.num_channels, side, side, generator=g),
        "image_mask": some(size),
        "input_ids": torch.randint(0, config.vocab_size, (size, config.text_length), generator=g),
        "text_mask": some(size, config.text_length),
        "lab_values": torch.randn(size, config.num_labs, generator=g),
        "lab_mask": some(size, config.num_labs),
        "age": torch.rand(size, generator=g),
        "sex": some(size).float(),
        "demographics_mask": some(size, 2),
        "labels": some(size, config.num_labels).float(),
        "label_mask": some(size, config.num_labels),
    }
    return {name: tensor.to(device()) for name, tensor in batch.items()}


def new_model(group: Group, preset: Preset) -> IreneModel:
    """A model of the preset's size, frozen as `group` says."""
    torch.manual_seed(0)
    adapted = group.parameters if isinstance(group.parameters, LowRank) else None
    config = IreneConfig(
        **PRESETS[preset],  # type: ignore[arg-type]
        num_labels=8,
        vocab_size=2000,
        text_width=64,
        lora_rank=adapted.rank if adapted else 0,
    )
    model = IreneModel(config)
    choose_trained(model, group.parameters)
    if group.checkpointing:
        model.activation_checkpointing_enable()
    model.to(device()).train()
    return model


def new_step(variant: Variant, group: Group, size: Size) -> Callable[[], Seconds]:
    """A function that takes one step, noise included."""
    model = new_model(group, size.preset)
    optimizer = torch.optim.SGD(trained_parameters(model), lr=1e-3)
    batch = new_batch(model.config, size.batch)
    rng = KeystreamNoise.of_the_operating_system()
    private = None
    if variant != "plain":
        private = PrivateGradient(model, clip_norm=1.0, engine=_BUILT[variant])

    def step() -> Seconds:
        optimizer.zero_grad(set_to_none=True)
        started, cpu = time.perf_counter(), time.process_time()
        with torch.autocast(device().type, dtype=torch.bfloat16, enabled=size.bf16):
            if private is not None:
                private.accumulate(batch)
            else:
                torch.autograd.backward(forward_losses(model, batch)[1].sum() / size.batch)
        _finish()
        gradient, gradient_cpu = time.perf_counter() - started, time.process_time() - cpu
        if private is not None:
            private.release(noise_multiplier=1.0, expected_batch=float(size.batch), rng=rng)
        optimizer.step()
        _finish()
        return Seconds(gradient, gradient_cpu, time.process_time() - cpu)

    return step


def _finish() -> None:
    if device().type == "cuda":
        torch.cuda.synchronize()
