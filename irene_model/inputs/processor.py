"""What stands beside a model in one folder: raw findings of one patient to the model's inputs.

It is the study itself, saved as `study.yaml`, and the code that training uses: image transform,
tokens, frozen encoders' vectors, and scaling by the study's reference intervals. Nothing in it
follows from patients, so there is nothing to fit and nothing to leak.

.. code-block:: python

    processor = IreneProcessor.from_pretrained(folder)
    model = IreneModel.from_pretrained(folder)
    case = Case(image=Image.open("a.png"), text="cough", labs={"CRP": 80.0}, age_years=63)
    (probabilities,) = processor.by_label(model(**processor([case])).logits)
"""

import difflib
import math
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any, Self, get_args

import numpy as np
import numpy.typing as npt
import torch
from PIL import Image
from torch import Tensor

from irene_model.errors import CheckpointError, DataError
from irene_model.inputs.image_encoder import IMAGE_FILES, FrozenImageEncoder
from irene_model.inputs.pictures import levels_of_picture
from irene_model.inputs.pixels import Levels, NoPicture, Pixels, from_channels, square
from irene_model.inputs.spectrogram import (
    FASTEST_HZ,
    SLOWEST_HZ,
    Wave,
    resampled,
    sound_patches,
)
from irene_model.inputs.tensors import Batch, decode, encode_pixels, encode_records
from irene_model.inputs.text import TextReader
from irene_model.inputs.text_encoder import encoder_files
from irene_model.study import OLDEST_YEARS, Record, Sex, SoundShape, Study, dump

_STUDY, _ENCODER, _IMAGE_ENCODER = "study.yaml", "encoder", "image_encoder"


@dataclass(frozen=True, kw_only=True)
class Case:
    """What is known of one patient; what is missing is left out.

    image: a Pillow image, or grey levels (H, W) of any range, or (H, W, 3) of 8 bits; white is
        dense. It goes the way of training's images: see `irene_model.inputs.pixels`.
    pixels: in its place the finished square (size, size) of uint8, as `client.images.load_image`
        makes it of a DICOM file.
    labs: the study's names -> values in the study's units; -inf and +inf are below and above the
        detection limits. panels: the same of each further panel, by its name.
    sounds: the study's positions on the chest -> samples (n,) from -1 to 1, and their rate in Hz.
    """

    image: Image.Image | npt.NDArray[Any] | None = field(default=None, repr=False)
    pixels: Pixels | None = field(default=None, repr=False)
    text: str | None = field(default=None, repr=False)
    labs: Mapping[str, float] = field(default_factory=dict, repr=False)
    panels: Mapping[str, Mapping[str, float]] = field(default_factory=dict, repr=False)
    sounds: Mapping[str, tuple[Wave, int]] = field(default_factory=dict, repr=False)
    age_years: float | None = field(default=None, repr=False)
    sex: Sex | None = field(default=None, repr=False)


class IreneProcessor:
    """The inputs of a study's model.

    encoders: folders of the encoders by name that the study has and the saved folder has not.
    """

    def __init__(self, study: Study, encoders: Mapping[str, Path] | None = None) -> None:
        self.study = study
        self._encoders = dict(encoders or {})

    @classmethod
    def from_pretrained(
        cls, folder: str | Path, *, encoders: Mapping[str, Path] | None = None
    ) -> Self:
        """The processor that was saved into `folder`.

        Raises:
            CheckpointError: there is none in it.
            ConfigError: it is damaged, or an encoder of the study is not at hand.
        """
        folder = Path(folder)
        if not (folder / _STUDY).exists():
            raise CheckpointError(f"{folder}: no processor was saved here: {_STUDY} is missing")
        study = Study.read(folder / _STUDY)
        found = dict(encoders or {})
        image = None if study.image.encoder is None else study.image.encoder.name
        for name, saved in ((study.text.encoder.name, _ENCODER), (image, _IMAGE_ENCODER)):
            if name is not None and (folder / saved).is_dir():
                found.setdefault(name, folder / saved)
        processor = cls(study, found)
        _ = processor.reader, processor.image_encoder  # a missing encoder is better known now
        return processor

    def save_pretrained(self, folder: str | Path) -> None:
        """Write the processor into `folder`, which may hold the model already.

        With it go the encoders that were opened: from `from_pretrained` all were. A server, which
        reads no patients, saves none.
        """
        folder = Path(folder)
        folder.mkdir(parents=True, exist_ok=True)
        (folder / _STUDY).write_text(self._study_text, encoding="utf-8")
        if "reader" in self.__dict__ and self.reader.folder is not None:
            files = encoder_files(self.study.text.encoder.kind)
            _copy(self.reader.folder, folder / _ENCODER, files)
        if "image_encoder" in self.__dict__ and self.image_encoder is not None:
            _copy(self.image_encoder.folder, folder / _IMAGE_ENCODER, IMAGE_FILES)

    @cached_property
    def _study_text(self) -> str:
        """Written once: YAML takes longer than a small model's weights, and a run saves many."""
        return dump(self.study)

    @cached_property
    def reader(self) -> TextReader:
        """How the study's texts are read."""
        return TextReader.open(self.study.text, self._encoders)

    @cached_property
    def image_encoder(self) -> FrozenImageEncoder | None:
        """What reads the study's images before the model, if anything does."""
        return FrozenImageEncoder.open(self.study.image, self._encoders)

    def __call__(self, cases: Sequence[Case]) -> Batch:
        """The model's inputs for `cases`, in order: see `irene_model.inputs.tensors`.

        A name that the study does not have, or an impossible value, is a DataError that names the
        case by its number.
        """
        records = [_record(case, number, self.study) for number, case in enumerate(cases)]
        size, shape = self.study.image.size, self.study.sounds
        squares = [_square(case, size, number) for number, case in enumerate(cases)]
        heard = [_waves(case, number, shape) if shape else {} for number, case in enumerate(cases)]
        batch = self.encoded(records, squares, heard)
        del batch["labels"], batch["label_mask"]
        return batch

    def encoded(
        self,
        records: Sequence[Record],
        squares: Sequence[Pixels | None],
        heard: Sequence[Mapping[str, Wave]],
    ) -> Batch:
        """The model's inputs for `records` and what was read of their files, labels among them.

        squares: (size, size) each. heard: position -> samples at the study's rate.
        """
        batch = encode_records(records, self.study, self.reader)
        batch["image_mask"] = torch.tensor([s is not None for s in squares], dtype=torch.bool)
        pixels = np.zeros((len(squares), *[self.study.image.size] * 2), dtype=np.uint8)
        for number, made in enumerate(squares):
            if made is not None:
                pixels[number] = made
        if self.image_encoder is None:
            batch["pixel_values"] = encode_pixels(pixels, self.study)
        else:
            batch["image_embeddings"] = self._image_vectors(pixels, batch["image_mask"])
        if self.study.sounds is not None:
            parts = zip(*(sound_patches(waves, self.study.sounds) for waves in heard), strict=True)
            levels, there = (torch.from_numpy(np.stack(part)) for part in parts)
            batch |= decode({"sound_values": levels, "sound_mask": there}, self.study)
        if self.reader.encoder is not None:
            ids = batch.pop("input_ids")
            batch["text_embeddings"] = self.reader.encoder.vectors(ids, batch["text_mask"]).float()
        return batch

    def _image_vectors(self, pixels: Pixels, shown: Tensor) -> Tensor:
        """The encoder's vectors (B,1+N,F) of squares (B,size,size); zeros where none is shown."""
        encoder = self.image_encoder
        assert encoder is not None
        vectors = torch.zeros(len(pixels), self.study.image.tokens, encoder.width)
        for row in shown.nonzero().flatten().tolist():
            vectors[row] = torch.from_numpy(encoder.vectors(pixels[row])).float()
        return vectors

    def by_label(self, logits: Tensor) -> list[dict[str, float]]:
        """Probabilities by label of logits (B, K), a mapping for each case."""
        rows = torch.sigmoid(logits.detach().float()).tolist()
        return [dict(zip(self.study.labels, row, strict=True)) for row in rows]


def _copy(source: Path, target: Path, files: Sequence[str]) -> None:
    if source.resolve() == target.resolve():
        return
    target.mkdir(exist_ok=True)
    for name in files:
        shutil.copyfile(source / name, target / name)


def _record(case: Case, number: int, study: Study) -> Record:
    """The case as a record, checked as a hospital's tables are."""
    labs = _numbers(case.labs, study.lab_names, f"case {number}: labs")
    known = {panel.name: panel.names for panel in study.panels}
    panels = {}
    for panel, values in case.panels.items():
        if panel not in known:
            listed = ", ".join(known) or "none"
            raise DataError(f"case {number}: panels: the study has no '{panel}'; it has {listed}")
        given = _numbers(values, known[panel], f"case {number}: panels.{panel}")
        panels[panel] = np.array([given.get(name, math.nan) for name in known[panel]])
    age = case.age_years
    if age is not None:
        age = _number(age, f"case {number}: age_years")
        if not 0 <= age <= OLDEST_YEARS:
            raise DataError(f"case {number}: age_years: is outside 0 to {OLDEST_YEARS:.0f}")
    if case.sex not in (None, *get_args(Sex)):
        raise DataError(f"case {number}: sex: expected {' or '.join(get_args(Sex))}")
    if case.text is not None and not isinstance(case.text, str):
        raise DataError(f"case {number}: text: expected text, not {type(case.text).__name__}")
    return Record(
        patient_id="",
        record_id="",
        split="test",
        text=case.text,
        labs=labs,
        panels=panels,
        age_years=age,
        sex=case.sex,
        labels={},
    )


def _waves(case: Case, number: int, shape: SoundShape) -> dict[str, Wave]:
    """The recordings of a case at the study's rate."""
    waves = {}
    for position, (wave, rate) in case.sounds.items():
        place, given = f"case {number}: sounds.{position}", np.asarray(wave)
        if position not in shape.positions:
            raise DataError(f"{place}: the study has only {', '.join(shape.positions)}")
        if given.ndim != 1 or given.dtype.kind != "f" or not np.isfinite(given).all():
            raise DataError(f"{place}: expected finite samples (n,) from -1 to 1")
        if not SLOWEST_HZ <= rate <= FASTEST_HZ:
            raise DataError(f"{place}: a rate is {SLOWEST_HZ} to {FASTEST_HZ} Hz")
        waves[position] = resampled(given.astype(np.float32), rate, shape.sample_rate)
    return waves


def _numbers(given: Mapping[str, float], known: Sequence[str], place: str) -> dict[str, float]:
    names = set(known)
    for name in given:
        if name not in names:
            close = difflib.get_close_matches(name, known, n=3) or known[:20]
            raise DataError(f"{place}: the study has no '{name}'; it has {', '.join(close)}")
    return {name: _number(value, f"{place}.{name}") for name, value in given.items()}


def _number(value: float, place: str) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float | np.number):
        raise DataError(f"{place}: expected a number, not {type(value).__name__}")
    if math.isnan(value):
        raise DataError(f"{place}: is NaN; leave out what was not measured")
    return float(value)


def _square(case: Case, size: int, number: int) -> Pixels | None:
    if case.pixels is not None:
        made = np.asarray(case.pixels)
        if case.image is not None or made.shape != (size, size) or made.dtype != np.uint8:
            raise DataError(
                f"case {number}: pixels: expected ({size}, {size}) of uint8, and no image beside it"
            )
        return made
    if case.image is None:
        return None
    if isinstance(case.image, Image.Image):
        try:
            return square(levels_of_picture(case.image), size)
        except NoPicture as error:
            raise DataError(f"case {number}: image: {error}") from None
    levels = np.asarray(case.image)
    flat = levels.ndim == 2 and levels.dtype.kind in "uif"
    coloured = levels.ndim == 3 and levels.shape[2] == 3 and levels.dtype == np.uint8
    if not (flat or coloured) or not levels.size or not np.isfinite(levels).all():
        raise DataError(
            f"case {number}: image: expected finite grey levels (H, W), or (H, W, 3) of uint8"
        )
    values = levels.astype(np.float32) if flat else from_channels(levels)[0]
    return square(Levels(values=values), size)
