"""What a study's model takes of a machine: parameters, tokens, memory, bytes on the wire. Pure.

Everything is known before the model is built. `least_parameters` and `tokens` are arithmetic on the
study's numbers, for sizes at which even counting would take too long; `footprint` counts exactly,
on torch's meta device, which takes no memory for the numbers themselves.
"""

from dataclasses import dataclass
from functools import lru_cache

import torch

from irene_model.errors import ConfigError
from irene_model.methods import TOLERANCE, LinearProbe
from irene_model.network import PRESETS
from irene_model.study import Encoding, LowRank, Study, shape_bytes
from irene_model.weights.weights import config_of, new_model

_COUNTABLE = 10**12  # parameters; no machine that takes part holds as many
_BYTES = 4
# Of each parameter in training: itself, its gradient, the noised one in float64, AdamW's two.
_COPIES = 6


@dataclass(frozen=True, kw_only=True)
class Footprint:
    """parameters: of the whole model. trained: those that are trained, noised and sent.

    blocks, width, mlp, heads and tokens are those of its attention, for `memory`.
    down and up: bytes of the weights that come in a round, and of the update that leaves.
    """

    parameters: int
    trained: int
    tokens: int
    blocks: int
    width: int
    mlp: int
    heads: int
    down: int
    up: int

    def memory(self, patients: int) -> int:
        """Bytes of training with `patients` at a time, within a factor of about two.

        Activations follow Korthikanti et al. 2022, eq. 2, in float32: of each block some vectors
        of each token, the MLP's, and two maps of each head's attention.
        """
        a_block = self.tokens * (9 * self.width + 3 * self.mlp) + 2 * self.heads * self.tokens**2
        return _BYTES * (_COPIES * self.parameters + patients * self.blocks * a_block)


def tokens(study: Study) -> int:
    """Tokens of one record that has everything."""
    panels = sum(-(-len(panel.values) // panel.per_token) for panel in study.panels)
    further = sum(shape.tokens for _, shape in study.further)
    return study.image.tokens + study.text.max_tokens + len(study.labs) + 2 + panels + further


def least_parameters(study: Study) -> int:
    """A number below that of the model's parameters, from the study's own sizes alone.

    Each block has at least four square projections and an MLP; adapters have two low-rank pairs.
    """
    if study.model.method == "linear_probe":  # it has no blocks
        return len(study.labels)
    sizes = {**PRESETS[study.model.preset], **study.model.model_dump(exclude_none=True)}
    width, mlp, blocks = (
        int(sizes[name]) for name in ("hidden_size", "intermediate_size", "num_hidden_layers")
    )
    a_block = 4 * width**2 + 2 * width * mlp
    if isinstance(study.training.parameters, LowRank):
        a_block += 4 * width * study.training.parameters.rank
    table = (study.text.encoder.vocab_size or 0) * study.text.width
    return int((blocks * a_block + table) * (1 - TOLERANCE))


def footprint(study: Study) -> Footprint:
    """The footprint of the study's model.

    Raises ConfigError for sizes that make no model, or one that nobody can count.
    """
    least = least_parameters(study)
    if least > _COUNTABLE:
        raise ConfigError(f"the study '{study.name}': its model has at least {least} parameters")
    return _footprint(study.canonical)


@lru_cache(maxsize=8)
def _footprint(canonical: str) -> Footprint:
    study = Study.from_canonical(canonical)
    try:
        config = config_of(study)
        with torch.device("meta"):
            model = new_model(study, seed=0)
    except (ValueError, RuntimeError, OverflowError) as error:
        raise ConfigError(f"the study '{study.name}': its sizes make no model ({error})") from None
    every = [tuple(p.shape) for p in model.parameters()]
    trained = [tuple(p.shape) for p in model.parameters() if p.requires_grad]
    probe = isinstance(model, LinearProbe)
    return Footprint(
        parameters=sum(p.numel() for p in model.parameters()),
        trained=sum(p.numel() for p in model.parameters() if p.requires_grad),
        tokens=tokens(study),
        blocks=0 if probe else config.num_hidden_layers + config.num_bidirectional_layers,
        width=config.hidden_size,
        mlp=config.intermediate_size,
        heads=config.num_attention_heads,
        down=_travelling(every, study.federation.wire_down),
        up=_travelling(trained, study.federation.wire),
    )


def _travelling(shapes: list[tuple[int, ...]], encoding: Encoding) -> int:
    return sum(shape_bytes(shape, encoding) for shape in shapes)
