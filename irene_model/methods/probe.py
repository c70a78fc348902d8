"""The linear probe: logistic regression on what frozen encoders found, and on the numbers.

Legend: B records, F, E, L, K as in `irene_model.network`. What is small data for IRENE is plenty
for a few thousand weights, so a small cohort's model has to be compared with this one. The loss is
convex, and a patient's gradient is that of linear layers: exact in every engine.

Features of a record, 0 where it lacks them:

- image: the encoder's vector of the whole image (F); text: the mean of its vectors of the words
  (E), as sentence encoders pool. Each is centred and has length `_LENGTH`, so that an encoder's own
  scale and width change neither the clipping nor the step.
- numbers (2L+4): scaled laboratory values, and for each whether it was measured; likewise age and
  sex. Each further panel has its own, as the laboratory.
- sounds: of each position and mel band the mean level over time, and whether there is any.
- presence: whether there is an image, and whether there is a text.
"""

import math
from collections.abc import Sequence
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from transformers import AutoConfig, AutoModel
from transformers import initialization as init

from irene_model.network import (
    DiagnosticModel,
    IreneConfig,
    IreneOutput,
    mean_loss,
    mean_present,
    per_sample_loss,
)

_LENGTH = 4.0
_MIDDLE = 0.5  # of age in years / 100, and of sex
_OF_DEMOGRAPHICS = 4


class ProbeConfig(IreneConfig):
    """Of a `LinearProbe`: what it reads is IRENE's, and it has none of the other sizes."""

    model_type = "irene_probe"

    def __init__(self, **kwargs: Any) -> None:
        """transformers gives a configuration without an `__init__` of its own another one."""
        super().__init__(**kwargs)


class LinearProbe(DiagnosticModel):
    """Logistic regression, from zero weights. Each kind of features has its own part of them.

    A site that lacks the kind trains no weight of it. The bias is that of `head`, which reads
    presence.
    """

    config_class = ProbeConfig
    base_model_prefix = "irene_probe"

    def __init__(self, config: ProbeConfig) -> None:
        super().__init__(config)
        labels = config.num_labels
        self.head = nn.Linear(2, labels)
        if config.reads_image:
            self.image_head = nn.Linear(config.image_width, labels, bias=False)
        if config.text_length:
            self.text_head = nn.Linear(config.text_width, labels, bias=False)
        numbers = 2 * config.num_labs + _OF_DEMOGRAPHICS
        self.numbers_head = nn.Linear(numbers, labels, bias=False)
        self.panel_heads = nn.ModuleDict(
            {
                f"{name}_head": nn.Linear(2 * values, labels, bias=False)
                for name, (values, _) in config.panels.items()
            }
        )
        if config.sound_grid:
            positions, bands, _, width = config.sound_grid
            self.sounds_head = nn.Linear(positions * bands * (width + 1), labels, bias=False)
        self.post_init()

    def forward(
        self, *, labels: Tensor | None = None, label_mask: Tensor | None = None, **inputs: Tensor
    ) -> IreneOutput:
        """Inputs as in `IreneModel.forward`. `features` (B,·) are all of them side by side."""
        features = frozen_features(self.config, inputs)
        heads = dict(self.named_modules())
        parts = [heads[name](values) for name, values in features.items()]
        logits = torch.stack(parts).sum(dim=0)
        losses = None if labels is None else per_sample_loss(logits.float(), labels, label_mask)
        side_by_side = torch.cat(list(features.values()), dim=1)
        return IreneOutput(
            loss=mean_loss(losses), losses=losses, logits=logits, features=side_by_side
        )

    def _init_weights(self, module: nn.Module) -> None:
        """All weights at zero: the loss is convex, and a patient of whom nothing is known has the
        bias alone."""
        if isinstance(module, nn.Linear):
            init.zeros_(module.weight)
            if module.bias is not None:
                init.zeros_(module.bias)


def frozen_features(config: IreneConfig, inputs: dict[str, Tensor]) -> dict[str, Tensor]:
    """Name of a head -> what it reads (B,·), float32."""
    age, sex = inputs["age"], inputs["sex"]
    seen = _known(inputs, "image_mask", age).unsqueeze(1)  # (B,1)
    features: dict[str, Tensor] = {}
    read = torch.zeros_like(seen)
    if config.reads_image:
        features["image_head"] = _of_one_length(inputs["image_embeddings"][:, 0], seen)
    if config.text_length:
        vectors = inputs["text_embeddings"]
        words = _known(inputs, "text_mask", vectors[..., 0])
        read = words.any(dim=1, keepdim=True)
        # What is behind the mask may be anything, NaN included.
        vectors = torch.where(words[..., None], vectors, 0)
        features["text_head"] = _of_one_length(mean_present(vectors, words), read)
    known = _known(inputs, "demographics_mask", torch.stack([age, sex], dim=1))
    people = torch.stack([age - _MIDDLE, sex - _MIDDLE], dim=1) / _MIDDLE
    numbers = [_with_presence(people, known)]
    if config.num_labs:
        values = inputs["lab_values"]
        numbers.insert(0, _with_presence(values, _known(inputs, "lab_mask", values)))
    features["numbers_head"] = torch.cat(numbers, dim=1)
    if config.panels:
        values = inputs["panel_values"]
        measured = _known(inputs, "panel_mask", values)
        sizes = [size for size, _ in config.panels.values()]
        halves = (torch.split(each, sizes, dim=1) for each in (values, measured))
        parts = zip(*halves, strict=True)
        for name, (part, there) in zip(config.panels, parts, strict=True):
            features[f"panel_heads.{name}_head"] = _with_presence(part, there)
    if config.sound_grid:
        features["sounds_head"] = _over_time(config, inputs)
    features["head"] = torch.cat([seen, read], dim=1).float()
    return features


def _over_time(config: IreneConfig, inputs: dict[str, Tensor]) -> Tensor:
    """The mean patch (B,W) of each position and band over time, and whether it was recorded."""
    patches = inputs["sound_values"]
    there = _known(inputs, "sound_mask", patches[..., 0])
    rows = (len(patches) * math.prod(config.sound_grid[:2]), config.sound_grid[2])
    patches = torch.where(there[..., None], patches, 0).float().reshape(*rows, -1)
    mean = mean_present(patches, there.reshape(rows))
    whole = torch.cat([mean, there.reshape(rows).any(dim=1, keepdim=True).float()], dim=1)
    return whole.reshape(len(there), -1)


def probe_columns(labs: Sequence[int], of: int) -> list[int]:
    """Where the numbers' features of the chosen `labs` stand in a probe that reads `of` of them."""
    demographics = range(2 * of, 2 * of + _OF_DEMOGRAPHICS)
    return [*labs, *(of + place for place in labs), *demographics]


def _known(inputs: dict[str, Tensor], mask: str, values: Tensor) -> Tensor:
    """The mask, bool; one that was not given means everything."""
    given = inputs.get(mask)
    return torch.ones_like(values, dtype=torch.bool) if given is None else given.bool()


def _of_one_length(vectors: Tensor, there: Tensor) -> Tensor:
    """Vectors (B,F), centred, of length `_LENGTH`; zeros where `there` (B,1) is False."""
    vectors = torch.where(there, vectors.float(), 0)
    centred = vectors - vectors.mean(dim=1, keepdim=True)
    return _LENGTH * F.normalize(centred, dim=1)


def _with_presence(values: Tensor, known: Tensor) -> Tensor:
    """Values (B,N), 0 where unknown, and beside them (B,2N) whether each is known."""
    return torch.cat([torch.where(known, values.float(), 0), known.float()], dim=1)


AutoConfig.register(ProbeConfig.model_type, ProbeConfig, exist_ok=True)
AutoModel.register(ProbeConfig, LinearProbe, exist_ok=True)
