"""A model's weights as named arrays, and a study's model."""

import math
from collections.abc import Mapping

import numpy as np
import torch

from irene_model.config import PRESETS, IreneConfig
from irene_model.model import IreneModel
from irene_model.protocol import WIRE_DTYPE, Array, Arrays
from irene_model.study import Study, TextEncoder
from irene_model.text import vocabulary


def config_of(study: Study) -> IreneConfig:
    """The model's sizes: capacity from the preset and its replacements, the rest from the data."""
    replaced = study.model.model_dump(exclude={"preset", "prior"}, exclude_none=True)
    return IreneConfig(
        **{**PRESETS[study.model.preset], **replaced},
        image_size=study.image.size,
        patch_size=study.image.patch,
        num_channels=study.image.channels,
        text_length=study.text.max_tokens,
        text_width=study.text.width,
        vocab_size=_vocab_size(study.text.encoder),
        num_labs=len(study.labs),
        id2label=dict(enumerate(study.labels)),
        label2id={label: index for index, label in enumerate(study.labels)},
    )


def _vocab_size(encoder: TextEncoder) -> int:
    """Rows of the model's table of token vectors; 0 where a frozen encoder gives the vectors."""
    if encoder.kind == "wordpiece":
        return len(vocabulary())
    return encoder.vocab_size or 0


def new_model(study: Study, *, seed: int) -> IreneModel:
    """A freshly initialised model; the global random state is left as it was."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        model = IreneModel(config_of(study))
    prior = study.model.prior
    torch.nn.init.constant_(model.head.bias, math.log(prior / (1 - prior)))
    if model.config.vocab_size:
        model.embeddings.text_tokens.requires_grad_(study.text.trainable)
    return model


def to_arrays(model: IreneModel) -> Arrays:
    """Copies of the weights, float32 on the CPU, by parameter name."""
    return {
        name: tensor.detach().cpu().numpy().astype(WIRE_DTYPE, copy=True)
        for name, tensor in model.state_dict().items()
    }


def load_arrays(model: IreneModel, arrays: Mapping[str, Array]) -> None:
    """Put `arrays` into `model`; names and shapes must be exactly the model's."""
    state = {name: torch.from_numpy(np.array(array)) for name, array in arrays.items()}
    model.load_state_dict(state, strict=True)
