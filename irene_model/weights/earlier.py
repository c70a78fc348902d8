"""An earlier model of IRENE from its folder: of a public archive, or of another run.

The folder holds `model.safetensors`, `config.json` and the `study.yaml` that names what the model
reads and tells. It may come from anywhere. Nothing in it is unpickled, no path in it is followed,
and what its files hold is compared with the study's sizes before it is read.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor

from irene_model.errors import CheckpointError
from irene_model.inputs import sha256_of_files
from irene_model.methods import model_of
from irene_model.network import IreneConfig
from irene_model.study import Study, one_line, parse, read_mapping
from irene_model.weights.provenance import (
    LARGEST_TEXT,
    UNFINISHED,
    Provenance,
    check_size,
    read_object,
)
from irene_model.weights.weights import config_of

_WEIGHTS = "model.safetensors"
_HEADER = 2**20  # bytes; that of the full-size model has a thirtieth
_ARCHITECTURE = (
    *("hidden_size", "num_hidden_layers", "num_bidirectional_layers", "num_attention_heads"),
    *("intermediate_size", "patch_size", "attention_direction", "layer_norm_eps", "model_type"),
    "linear_path",
)


@dataclass(frozen=True, kw_only=True)
class Earlier:
    """An earlier model, whole: the study that it is of, and its weights without adapters."""

    folder: Path
    study: Study
    weights: Mapping[str, Tensor]
    provenance: Provenance | None

    @property
    def origin(self) -> dict[str, Any]:
        """What a run should say of it; `trained` is the folder's own word."""
        told = self.provenance
        return {
            "name": one_line(self.folder.resolve().name, 100),
            "sha256": start_sha256(self.folder),
            "study": self.study.name,
            "fingerprint": self.study.fingerprint,
            "trained": None if told is None else told.model_dump(mode="json"),
        }


def start_sha256(folder: Path | None) -> str | None:
    """The sha256 of the weights in `folder`, by which a start is known; None for none."""
    return None if folder is None else sha256_of_files([folder / _WEIGHTS])


def read_earlier(folder: Path, study: Study) -> Earlier:
    """The model in `folder`, whose blocks must be those of `study`'s model.

    Raises:
        CheckpointError: no model is there, it is damaged, or of other sizes.
        ConfigError: its study.yaml is wrong.
    """
    if not folder.is_dir():
        raise CheckpointError(
            f"{folder}: is no folder; name one that irene-sim pretrain wrote, or a run's "
            "checkpoints/round-0003"
        )
    if (folder / UNFINISHED).exists():
        # What it is stands in its provenance, which is written last: it may be a hospital's own.
        raise CheckpointError(
            f"{folder}: its training is not finished; give the command that began it again"
        )
    theirs = _study_of(folder)
    config = config_of(theirs)
    _same_blocks(folder, config, config_of(study), theirs, study)
    _check_config(folder, config)
    with torch.device("meta"):  # sizes alone
        model = model_of(config)
    state = _read_weights(folder / _WEIGHTS, model.state_dict())
    if config.lora_rank:
        model = model.to_empty(device="cpu")
        model.load_state_dict(state, strict=True)
        state = model.merged().state_dict()
    return Earlier(folder=folder, study=theirs, weights=state, provenance=Provenance.read(folder))


def _study_of(folder: Path) -> Study:
    path = folder / "study.yaml"
    if not path.is_file():
        raise CheckpointError(
            f"{folder}: study.yaml is missing, which names the model's labels and laboratory "
            "values; it lies in a run's checkpoints and in what irene-sim pretrain writes"
        )
    check_size(path, LARGEST_TEXT)
    return parse(Study, read_mapping(path), path)  # without `values_file`: no path is followed


def _same_blocks(
    folder: Path, theirs: IreneConfig, ours: IreneConfig, their_study: Study, study: Study
) -> None:
    encoder, needed = their_study.text.encoder, study.text.encoder
    pairs: list[tuple[str, object, object]] = [
        ("model.method", their_study.model.method, study.model.method),
        *((f, getattr(theirs, f), getattr(ours, f)) for f in _ARCHITECTURE),
        ("image.encoder.sha256", _sha256_of(their_study), _sha256_of(study)),
        ("text.encoder.kind", encoder.kind, needed.kind),
        ("text.encoder.sha256", encoder.sha256, needed.sha256),
        ("text.vocabulary", their_study.text.vocabulary, study.text.vocabulary),
        ("text.width", theirs.text_width, ours.text_width),
        ("text.encoder.vocab_size", theirs.vocab_size, ours.vocab_size),
    ]
    for what, found, asked in pairs:
        if found != asked:
            raise CheckpointError(
                f"{folder}: its {what} is {found}, that of the study '{study.name}' is {asked}; "
                "they must agree"
            )
    if theirs.lora_rank > theirs.hidden_size:
        raise CheckpointError(
            f"{folder}: its adapters' rank is {theirs.lora_rank}, above its hidden_size; no "
            "correction needs more"
        )
    if theirs.text_length < ours.text_length:
        raise CheckpointError(
            f"{folder}: has positions for {theirs.text_length} tokens of text; lower the study's "
            f"text.max_tokens, {ours.text_length}, to that"
        )


def _sha256_of(study: Study) -> str | None:
    """Of the frozen encoder that reads the image; None where the model does."""
    return None if study.image.encoder is None else study.image.encoder.sha256


def _check_config(folder: Path, config: IreneConfig) -> None:
    """config.json must tell what study.yaml tells: the number of heads is in no weight's shape."""
    path = folder / "config.json"
    document = read_object(path)
    for field in _ARCHITECTURE:
        expected = getattr(config, field)
        if document.get(field, expected) != expected:
            raise CheckpointError(f"{path}: its {field} is not that of the study.yaml beside it")


def _read_weights(path: Path, expected: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The tensors of `path`, float32; names and shapes must be those of `expected`, on meta."""
    check_size(path, _HEADER + 8 * sum(tensor.numel() for tensor in expected.values()))
    try:
        with safe_open(path, framework="pt") as file:
            found = {name: tuple(file.get_slice(name).get_shape()) for name in file.keys()}  # noqa: SIM118 (no mapping)
            _same_shapes(path, found, {n: tuple(t.shape) for n, t in expected.items()})
            state = {name: file.get_tensor(name) for name in found}
    except (SafetensorError, OSError):
        raise CheckpointError(f"{path}: is damaged, or no safetensors file") from None
    for name, tensor in state.items():
        if not tensor.is_floating_point():
            raise CheckpointError(f"{path}: '{name}' holds {tensor.dtype}, no floating point")
        if not bool(tensor.isfinite().all()):
            raise CheckpointError(f"{path}: '{name}' holds numbers that are not finite")
    return {name: tensor.float() for name, tensor in state.items()}


def _same_shapes(
    path: Path, found: Mapping[str, tuple[int, ...]], expected: Mapping[str, tuple[int, ...]]
) -> None:
    if missing := sorted(expected.keys() - found.keys()):
        raise CheckpointError(f"{path}: has no {missing[0]}, which its study.yaml asks for")
    if sorted(found.keys() - expected.keys()):
        raise CheckpointError(f"{path}: holds arrays that its study.yaml does not ask for")
    for name, shape in found.items():
        if shape != expected[name]:
            raise CheckpointError(
                f"{path}: {name} is {shape}; its study.yaml asks for {expected[name]}"
            )
