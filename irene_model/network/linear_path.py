"""Logistic regression on what is frozen, encoders' vectors or those of words, and on the numbers.

Legend: B records, F, E, L, K as in `irene_model.network.embeddings`. A few thousand weights, of
which a patient's gradient is that of linear layers: exact in every engine.

Features of a record, 0 where it lacks them:

- image: the encoder's vector of the whole image (F); text: the mean of the vectors of the words
  (E), as sentence encoders pool, be they an encoder's or of the model's own table. Each is centred
  and has length `_LENGTH`, so that an encoder's own scale and width change neither the clipping nor
  the step.
- numbers (2L+4): scaled laboratory values, and for each whether it was measured; likewise age and
  sex. Each further panel has its own, as the laboratory.
- sounds: of each position and mel band the mean level over time, and whether there is any.
- presence: whether there is an image, and whether there is a text.
"""

import math
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager

import torch
from torch import Tensor, nn

from irene_model.network.attention import mean_present
from irene_model.network.config import IreneConfig
from irene_model.network.low_rank import starting_at_zero

_LENGTH = 4.0
_MIDDLE = 0.5  # of age in years / 100, and of sex
_OF_DEMOGRAPHICS = 4
_LEAST_LENGTH = 1e-12  # of a vector that is brought to another
PRESENCE = "head"

Inputs = Mapping[str, Tensor]
Factors = Mapping[str, Tensor]


class LinearPath(nn.Module):
    """Logits from frozen features straight to the labels, added to those of a model beside it.

    Weights start at zero; the bias is that of the model's own head.
    """

    def __init__(self, config: IreneConfig) -> None:
        super().__init__()
        self.config = config
        self.presence_head = starting_at_zero(nn.Linear(2, config.num_labels, bias=False))
        for name, head in linear_heads(config).items():
            self.add_module(name, head)
        self._factors: Factors | None = None

    def forward(self, inputs: Inputs) -> Tensor:
        """Inputs as in `IreneModel.forward`, to logits (B,K)."""
        features = frozen_features(self.config, inputs, self._factors)
        presence = features.pop(PRESENCE)
        return linear_logits(self, {"presence_head": presence, **features})

    @contextmanager
    def linear_around(self, inputs: Inputs) -> Iterator[None]:
        """Within, vectors are multiplied by what brings those of `inputs` to the common length.

        So the path is linear in its inputs, as an attribution of its logits asks for: a vector of
        zero has no length to be brought to.
        """
        self._factors = {
            name: _factor(vectors) for name, vectors in _vectors(self.config, inputs).items()
        }
        try:
            yield
        finally:
            self._factors = None


def linear_heads(config: IreneConfig) -> dict[str, nn.Module]:
    """The heads of all features but presence, by name, at zero.

    Each kind of features has its own, so that a site that lacks the kind trains no weight of it.
    """
    labels = config.num_labels

    def head(features: int) -> nn.Module:
        return starting_at_zero(nn.Linear(features, labels, bias=False))

    heads: dict[str, nn.Module] = {}
    if _reads_image(config):
        heads["image_head"] = head(config.image_width)
    if _reads_text(config):
        heads["text_head"] = head(config.text_width)
    heads["numbers_head"] = head(2 * config.num_labs + _OF_DEMOGRAPHICS)
    panels = {f"{name}_head": head(2 * values) for name, (values, _) in config.panels.items()}
    heads["panel_heads"] = nn.ModuleDict(panels)
    if config.sound_grid:
        positions, bands, _, width = config.sound_grid
        heads["sounds_head"] = head(positions * bands * (width + 1))
    return heads


def linear_logits(model: nn.Module, features: Mapping[str, Tensor]) -> Tensor:
    """The sum (B,K) of what `model`'s heads make of the features that bear their names."""
    parts = [model.get_submodule(name)(values) for name, values in features.items()]
    return torch.stack(parts).sum(dim=0)


def frozen_features(
    config: IreneConfig, inputs: Inputs, factors: Factors | None = None
) -> dict[str, Tensor]:
    """Name of a head -> what it reads (B,·), float32; `PRESENCE` last.

    factors: of the encoders' vectors, instead of those that bring each to its length.
    """
    age, sex = inputs["age"], inputs["sex"]
    features = {
        name: vectors * (_factor(vectors) if factors is None else factors[name])
        for name, vectors in _vectors(config, inputs).items()
    }
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
    features[PRESENCE] = torch.stack([_seen(inputs), _read(config, inputs)], dim=1).float()
    return features


def _reads_image(config: IreneConfig) -> bool:
    return config.reads_image and config.image_width > 0


def _reads_text(config: IreneConfig) -> bool:
    return config.text_length > 0


def _seen(inputs: Inputs) -> Tensor:
    """Whether each record (B,) has an image."""
    return _known(inputs, "image_mask", inputs["age"])


def _read(config: IreneConfig, inputs: Inputs) -> Tensor:
    """Whether each record (B,) has a text."""
    if not _reads_text(config):
        return torch.zeros_like(inputs["age"], dtype=torch.bool)
    return _known(inputs, "text_mask", inputs["text_embeddings"][..., 0]).any(dim=1)


def _vectors(config: IreneConfig, inputs: Inputs) -> dict[str, Tensor]:
    """The centred vectors (B,·) of image and text, 0 where a record lacks them.

    What is behind a mask may be anything, NaN included.
    """
    vectors = {}
    if _reads_image(config):
        whole = inputs["image_embeddings"][:, 0].float()
        vectors["image_head"] = torch.where(_seen(inputs)[:, None], whole, 0)
    if _reads_text(config):
        of_words = inputs["text_embeddings"].float()
        there = _known(inputs, "text_mask", of_words[..., 0])
        vectors["text_head"] = mean_present(torch.where(there[..., None], of_words, 0), there)
    return {name: each - each.mean(dim=1, keepdim=True) for name, each in vectors.items()}


def _factor(vectors: Tensor) -> Tensor:
    """(B,1): what brings each of the vectors (B,F) to `_LENGTH`."""
    lengths = torch.linalg.vector_norm(vectors, dim=1, keepdim=True)
    factor: Tensor = _LENGTH / lengths.clamp(min=_LEAST_LENGTH)
    return factor


def _over_time(config: IreneConfig, inputs: Inputs) -> Tensor:
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


def _known(inputs: Inputs, mask: str, values: Tensor) -> Tensor:
    """The mask, bool; one that was not given means everything."""
    given = inputs.get(mask)
    return torch.ones_like(values, dtype=torch.bool) if given is None else given.bool()


def _with_presence(values: Tensor, known: Tensor) -> Tensor:
    """Values (B,N), 0 where unknown, and beside them (B,2N) whether each is known."""
    return torch.cat([torch.where(known, values.float(), 0), known.float()], dim=1)
