"""A model's weights as named arrays, and a study's model."""

import math
from collections.abc import Mapping

import numpy as np
import torch

from irene_model.config import PRESETS, IreneConfig
from irene_model.model import DiagnosticModel
from irene_model.protocol import WIRE_DTYPE, Array, Arrays
from irene_model.sizes import model_of, sized
from irene_model.study import LowRank, Study
from irene_model.subsets import choose_trained
from irene_model.text import vocabulary


def config_of(study: Study) -> IreneConfig:
    """The model's sizes: capacity from the preset and its replacements, the rest from the data."""
    replaced = study.model.model_dump(exclude={"preset", "method", "prior"}, exclude_none=True)
    trained = study.training.parameters
    if isinstance(trained, LowRank):
        replaced |= {"lora_rank": trained.rank, "lora_alpha": trained.alpha}
    irene = IreneConfig(
        **{**PRESETS[study.model.preset], **replaced},
        image_size=study.image.size,
        patch_size=study.image.patch,
        num_channels=study.image.channels,
        text_length=study.text.max_tokens,
        text_width=study.text.width,
        vocab_size=len(vocabulary()),
        num_labs=len(study.labs),
        id2label=dict(enumerate(study.labels)),
        label2id={label: index for index, label in enumerate(study.labels)},
    )
    return sized(irene, study.model.method, prior=study.model.prior)


def new_model(study: Study, *, seed: int) -> DiagnosticModel:
    """A freshly initialised model, frozen where the study does not train it.

    The global random state is left as it was.
    """
    config = config_of(study)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        model = model_of(config)
    prior = study.model.prior
    for head in model.heads:
        torch.nn.init.constant_(head.bias, math.log(prior / (1 - prior)))
    choose_trained(model, study.training.parameters)
    if config.text_length and config.vocab_size and not study.text.trainable:
        model.embeddings.text_tokens.requires_grad_(False)
    return model


def trained_names(model: DiagnosticModel) -> tuple[str, ...]:
    """The parameters that are not frozen: an update holds these and no other."""
    return tuple(name for name, p in model.named_parameters() if p.requires_grad)


def to_arrays(model: DiagnosticModel) -> Arrays:
    """Copies of the weights, float32 on the CPU, by parameter name."""
    return {
        name: tensor.detach().cpu().numpy().astype(WIRE_DTYPE, copy=True)
        for name, tensor in model.state_dict().items()
    }


def load_arrays(model: DiagnosticModel, arrays: Mapping[str, Array]) -> None:
    """Put `arrays` into `model`; names and shapes must be exactly the model's."""
    state = {name: torch.from_numpy(np.array(array)) for name, array in arrays.items()}
    model.load_state_dict(state, strict=True)
