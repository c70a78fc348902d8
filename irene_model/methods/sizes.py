"""The sizes at which methods are compared: as many parameters as IRENE has in the same study.

A bidirectional block is about two ordinary ones, since only its output projection is shared. So a
rival is as deep as IRENE with each of them counted twice, however it shares that depth out among
its parts, and the width of its MLPs settles the rest. The linear probe is as large as its features.
"""

import copy
from typing import Any

import torch

from irene_model.errors import ConfigError
from irene_model.methods.fusion import FusionConfig
from irene_model.methods.methods import FUSIONS, FusionModel
from irene_model.methods.probe import LinearProbe, ProbeConfig
from irene_model.network import DiagnosticModel, IreneConfig, IreneModel

TOLERANCE = 0.2
_WIDE = 64
_IRENE = {"irene", "irene_unidirectional"}
_ALONE: dict[str, dict[str, Any]] = {  # one ordinary transformer over some of the tokens
    "irene_joint": {},
    "image_only": {
        **{"text_length": 0, "num_labs": 0, "panels": {}, "sound_grid": []},
        "reads_demographics": False,
    },
    "clinical_only": {"reads_image": False},
}
_PROBE = "linear_probe"
METHODS = (*sorted(_IRENE), *_ALONE, *FUSIONS, _PROBE)


def model_of(config: IreneConfig) -> DiagnosticModel:
    """The model, freshly initialised, that `config` is of."""
    if isinstance(config, ProbeConfig):
        return LinearProbe(config)
    return FusionModel(config) if isinstance(config, FusionConfig) else IreneModel(config)


def parameter_count(config: IreneConfig) -> int:
    """Numbers in the model of `config`, frozen ones included; no memory is taken for them."""
    with torch.device("meta"):
        return sum(parameter.numel() for parameter in model_of(config).parameters())


def sized(irene: IreneConfig, method: str, *, prior: float) -> IreneConfig:
    """The configuration of `method` beside `irene`: same inputs, as many parameters within 20 %.

    Raises ConfigError where IRENE is too small for the method to be built as small, and for a
    linear probe where no encoder is frozen.
    """
    if method in _IRENE:
        direction = "both" if method == "irene" else "clinical_to_image"
        return _changed(irene, attention_direction=direction)
    irene = _changed(irene, linear_path=False)
    if method == _PROBE:
        return _probe(irene)
    depth = irene.num_hidden_layers + irene.num_bidirectional_layers
    shape = {"num_hidden_layers": depth, "num_bidirectional_layers": 0, **_ALONE.get(method, {})}
    if method in FUSIONS:
        same = {k: v for k, v in irene.to_dict().items() if k not in {"model_type", *shape}}
        config: IreneConfig = FusionConfig(**same, **shape, fusion=method, prior=prior)
    else:
        config = _changed(irene, **shape)
    target = parameter_count(irene)
    # The count is linear in the width of the MLPs.
    one, two = (parameter_count(_changed(config, intermediate_size=width)) for width in (1, 2))
    width = max(1, 1 + round((target - one) / (two - one)))
    if width >= _WIDE:
        width = 8 * round(width / 8)  # tensor cores multiply in eights
    config = _changed(config, intermediate_size=width)
    count = parameter_count(config)
    if abs(count - target) > TOLERANCE * target:
        raise ConfigError(
            f"model.method: {method} has {count} parameters at its smallest, where IRENE has"
            f" {target} in this study; give model.num_hidden_layers or intermediate_size more"
        )
    return config


def _probe(irene: IreneConfig) -> ProbeConfig:
    """A probe of what is frozen: it has nothing that could read pixels or token ids."""
    if irene.vocab_size and not irene.image_width:
        raise ConfigError(
            "model.method: linear_probe reads frozen features; give the study an image.encoder or "
            "a text.encoder of the kind 'frozen'"
        )
    same = {k: v for k, v in irene.to_dict().items() if k not in {"model_type", "lora_rank"}}
    trained_text = {"text_length": 0, "vocab_size": 0} if irene.vocab_size else {}
    return ProbeConfig(**{**same, **trained_text, "reads_image": irene.image_width > 0})


def _changed(config: IreneConfig, **changes: Any) -> IreneConfig:
    changed = copy.deepcopy(config)
    for name, value in changes.items():
        setattr(changed, name, value)
    return changed
