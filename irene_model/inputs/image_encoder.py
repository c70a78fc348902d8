"""A frozen image encoder that a study names: where its folder is, and its vectors of a radiograph.

The study names the encoder and the sha256 of its files; every site has a copy in a folder of its
own, or downloaded it from the hub before. Nothing is fetched here, nothing is unpickled, no code
that comes with a model is run, and nothing beside the three hashed files is opened.

The encoder reads the same grey square that a model of pixels would, by the mean and deviation of
its own preprocessor_config.json. An image's vectors are computed alone and in float32 on the CPU,
and kept as float16: they are the same bytes at a site as at inference. Behind a last norm numbers
are some tens at most, and float16's relative error of 2⁻¹¹ is far below the noise of training.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Self

import numpy as np
import numpy.typing as npt
import torch
from pydantic import Field
from torch import Tensor

from irene_model.errors import CheckpointError, ConfigError
from irene_model.inputs.external_files import find_encoder, read_json, read_tensors, sha256_of_files
from irene_model.inputs.image_families import Family, Sizes, family_of, grid_step
from irene_model.inputs.pixels import Pixels
from irene_model.study import ImageShape, Settings, parse

Vectors = npt.NDArray[np.float16]
IMAGE_FILES = ("config.json", "model.safetensors", "preprocessor_config.json")
_LARGEST_FILE = 8 * 2**30  # bytes; DINOv2's giant has 4.5 GB
_UNUSED = ("pooler", "mask_token")  # what no vector follows from, and some files lack


class FrozenImageEncoder:
    """The encoder in `folder`; one that does not fit `shape` is a ConfigError.

    width: of one vector, F.
    """

    def __init__(self, folder: Path, shape: ImageShape) -> None:
        assert shape.encoder is not None
        self._folder, self._shape = folder, shape
        self._family, sizes = family_of(folder / "config.json", read_json(folder / "config.json"))
        self._mean, self._deviation, own = _preprocessing(folder, sizes.num_channels)
        self._model = _load(folder, self._family, sizes)
        own |= {self._model.config.image_size}
        self.width: int = getattr(self._model.config, "hidden_sizes", [0])[-1] or (
            self._model.config.hidden_size
        )
        self._check(own)

    @classmethod
    def open(cls, shape: ImageShape, folders: Mapping[str, Path]) -> Self | None:
        """The study's encoder from `folders` by name, or the hub's cache; None if it has none.

        A missing file, or one that differs from the study's, is a ConfigError.
        """
        if shape.encoder is None:
            return None
        name, sha256 = shape.encoder.name, shape.encoder.sha256
        folder = find_encoder("image.encoder", name, sha256, folders, sha256_of_image_encoder)
        return cls(folder, shape)

    @torch.no_grad()
    def vectors(self, pixels: Pixels) -> Vectors:
        """Vectors (1+N,F) of one square (size, size): of the whole image, then of each patch."""
        grey = torch.from_numpy(np.array(pixels)).float()  # a copy: it may be a read-only map
        normed = (grey - self._mean) / self._deviation
        fitted = self._shape.size != self._model.config.image_size
        tokens = self._family.read(self._model, normed[None], fitted)
        half = tokens.half()
        if not torch.isfinite(half).all():
            raise ConfigError("image.encoder: gives vectors that are beyond float16's range")
        return half.numpy()

    @property
    def folder(self) -> Path:
        """Where its files were found."""
        return self._folder

    def _check(self, own_sizes: set[int]) -> None:
        shape, step = self._shape, grid_step(self._model)
        assert shape.encoder is not None
        name, asked = shape.encoder.name, shape.encoder.interpolate
        if self.width != shape.width:
            raise ConfigError(
                f"image.width: is {shape.width}, but the vectors of the encoder '{name}' are "
                f"{self.width} wide"
            )
        if step != shape.patch:
            raise ConfigError(
                f"image.patch: is {shape.patch}, but each vector of the encoder '{name}' is of "
                f"{step} x {step} pixels"
            )
        if not (asked or self._family.any_size or shape.size in own_sizes):
            listed = " or ".join(str(size) for size in sorted(own_sizes))
            raise ConfigError(
                f"image.size: is {shape.size}, but the encoder '{name}' reads {listed}; choose "
                "that, or write `interpolate: true` into image.encoder"
            )


def sha256_of_image_encoder(folder: Path) -> str:
    """The sha256 of an image encoder's files, in the order of `IMAGE_FILES`."""
    try:
        return sha256_of_files([folder / name for name in IMAGE_FILES])
    except CheckpointError as error:
        raise ConfigError(
            f"{error}; an image encoder is a folder with {', '.join(IMAGE_FILES)}"
        ) from None


class _Preprocessing(Settings):
    """What is read of preprocessor_config.json; sides are pixels."""

    do_normalize: bool = True
    do_rescale: bool = True
    do_center_crop: bool = False
    rescale_factor: float = Field(default=1 / 255, gt=0, le=1)
    image_mean: tuple[float, ...] | None = Field(default=None, max_length=3)
    image_std: tuple[float, ...] | None = Field(default=None, max_length=3)


def _preprocessing(folder: Path, channels: int) -> tuple[Tensor, Tensor, set[int]]:
    """Mean and deviation (C,1,1) of grey levels of 0..255, and the sides that images are cut to."""
    file = folder / "preprocessor_config.json"
    document = read_json(file)
    known = {key: document[key] for key in _Preprocessing.model_fields if key in document}
    plan = parse(_Preprocessing, known, file)
    factor = plan.rescale_factor if plan.do_rescale else 1.0
    mean, deviation = (0.0,) * channels, (1.0,) * channels
    if plan.do_normalize:
        if plan.image_mean is None or plan.image_std is None:
            raise ConfigError(f"{file}: image_mean and image_std are needed")
        mean, deviation = plan.image_mean, plan.image_std
    if not len(mean) == len(deviation) == channels:
        raise ConfigError(f"{file}: image_mean and image_std must have {channels} numbers each")
    if not all(1e-6 <= each <= 1e6 for each in deviation) or any(abs(each) > 1e6 for each in mean):
        raise ConfigError(f"{file}: image_mean or image_std holds a number that can't be one")
    cut = document.get("crop_size" if plan.do_center_crop else "size")
    sides = cut.values() if isinstance(cut, Mapping) else [cut]
    whole = {side for side in sides if isinstance(side, int) and not isinstance(side, bool)}
    as_column = [torch.tensor(each).view(-1, 1, 1) / factor for each in (mean, deviation)]
    return as_column[0], as_column[1], whole


def _load(folder: Path, family: Family, sizes: Sizes) -> Any:
    """The model, all of whose numbers come from the file; else a ConfigError."""
    file, config_file = folder / "model.safetensors", folder / "config.json"
    try:
        config, kind = family.build(sizes)
        with torch.device("meta"):  # its size alone, before any memory is taken
            asked = sum(parameter.numel() for parameter in kind(config).parameters())
    except (ValueError, TypeError, RuntimeError) as error:
        raise ConfigError(
            f"{config_file}: its sizes make no encoder ({type(error).__name__})"
        ) from None
    size = file.stat().st_size
    if size > _LARGEST_FILE:
        raise ConfigError(f"{file}: has more than {_LARGEST_FILE >> 30} GiB")
    if 2 * asked > size:  # at least float16
        raise ConfigError(f"{file}: is too small for the {asked} numbers that config.json asks for")
    state = read_tensors(file)
    if any(name.startswith(family.prefix) for name in state):
        state = {name: value for name, value in state.items() if name.startswith(family.prefix)}
    for name, value in state.items():
        if not value.is_floating_point() or not bool(value.isfinite().all()):
            raise ConfigError(f"{file}: '{name}' holds what is no finite floating point number")
    try:
        model, loading = kind.from_pretrained(
            None,
            config=config,
            state_dict={name: value.float() for name, value in state.items()},
            dtype=torch.float32,
            attn_implementation=family.attention,
            output_loading_info=True,
        )
    except (RuntimeError, ValueError) as error:
        raise ConfigError(
            f"{file}: does not fit the config.json beside it ({type(error).__name__})"
        ) from None
    # transformers draws what is missing at random.
    missing = sorted(k for k in loading["missing_keys"] if not any(u in k for u in _UNUSED))
    if missing:
        raise ConfigError(f"{file}: has no entry {missing[0]}")
    model.eval().requires_grad_(False)
    return model
