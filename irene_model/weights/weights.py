"""A model's weights as named arrays, and a study's model."""

import json
import math
from collections.abc import Iterable, Mapping
from pathlib import Path

import numpy as np
import torch
from safetensors import SafetensorError
from safetensors.numpy import load_file as load_numpy
from safetensors.torch import load_file

from irene_model.errors import CheckpointError
from irene_model.exchange import WIRE_DTYPE, Array, Arrays
from irene_model.inputs import vocabulary
from irene_model.methods import model_of, sized
from irene_model.network import PRESETS, DiagnosticModel, IreneConfig, IreneModel
from irene_model.study import LowRank, Study, TextShape
from irene_model.weights.subsets import choose_trained

_FROM_THE_DATA = (
    *("image_size", "patch_size", "num_channels", "image_width"),
    *("text_length", "text_width", "vocab_size", "num_labs", "panels", "sound_grid"),
)


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
        image_width=study.image.width or 0,
        text_length=study.text.max_tokens,
        text_width=study.text.width,
        vocab_size=_vocab_size(study.text),
        num_labs=len(study.labs),
        panels={panel.name: (len(panel.values), panel.per_token) for panel in study.panels},
        sound_grid=[] if (sounds := study.sounds) is None else [*sounds.grid, sounds.width],
        id2label=dict(enumerate(study.labels)),
        label2id={label: index for index, label in enumerate(study.labels)},
    )
    return sized(irene, study.model.method, prior=study.model.prior)


def _vocab_size(text: TextShape) -> int:
    """Rows of the model's table of token vectors; 0 where a frozen encoder gives the vectors."""
    if text.encoder.kind == "wordpiece":
        return len(vocabulary(text.vocabulary))
    return text.encoder.vocab_size or 0


def new_model(study: Study, *, seed: int) -> DiagnosticModel:
    """A freshly initialised model, frozen where the study does not train it.

    The global random state is left as it was.
    """
    config = config_of(study)
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(seed)  # of the CPU alone: it is built there
        model = model_of(config)
    prior = study.model.prior
    for head in model.heads:
        if head.bias is not None:
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


def stored_arrays(folder: Path, names: Iterable[str]) -> Arrays:
    """The float32 weights that a run wrote into `folder`, by `names` and in their order.

    No model is built for it, as transformers' reader does.

    Raises:
        CheckpointError: weights are missing, damaged or of a model without these `names`.
    """
    path = folder / "model.safetensors"
    try:
        stored = load_numpy(path)
        return {name: stored[name].astype(WIRE_DTYPE) for name in names}
    except (OSError, SafetensorError, KeyError):
        raise CheckpointError(f"{path}: is missing, damaged, or of another model") from None


def read_model(folder: Path, study: Study) -> IreneModel:
    """The model that `save_pretrained` or a run wrote into `folder`, in evaluation mode.

    Raises:
        CheckpointError: no model is there, it is damaged, or it is not of this study.
    """
    weights = folder / "model.safetensors"
    for path in (folder / "config.json", weights):
        if not path.is_file():
            raise CheckpointError(
                f"{folder}: holds no model: {path.name} is missing; name a folder like a run's "
                "checkpoints/round-0003"
            )
    try:
        document = json.loads((folder / "config.json").read_text(encoding="utf-8"))
        config = IreneConfig.from_dict(document)
    except (ValueError, TypeError, AttributeError, RecursionError):
        raise CheckpointError(f"{folder / 'config.json'}: is no configuration of IRENE") from None
    needed = config_of(study)
    for field in _FROM_THE_DATA:
        found, asked = getattr(config, field), getattr(needed, field)
        if found != asked:
            raise CheckpointError(
                f"{folder}: its {field} is {found}, the study '{study.name}' needs {asked}"
            )
    labels = tuple(config.id2label[index] for index in range(config.num_labels))
    if labels != study.labels:
        raise CheckpointError(f"{folder}: its labels are not those of the study '{study.name}'")
    with torch.device("meta"):  # no initial weights: all of them are read
        model = IreneModel(config)
    try:
        state = load_file(weights)
        model.load_state_dict(state, strict=True, assign=True)
    except (SafetensorError, RuntimeError, OSError):
        raise CheckpointError(
            f"{weights}: is damaged, or does not fit the config.json beside it; copy it again"
        ) from None
    if not all(bool(tensor.isfinite().all()) for tensor in state.values()):
        raise CheckpointError(f"{weights}: holds numbers that are not finite")
    model.float().eval()
    return model
