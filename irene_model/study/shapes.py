"""The part of study.yaml that says what the model reads: image, text, numbers, demographics."""

import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any, ClassVar, Literal, Self

from pydantic import (
    Field,
    model_serializer,
    model_validator,
)

from irene_model.errors import ConfigError
from irene_model.modalities import ALWAYS
from irene_model.study.names import Language, Name, PanelName, Unit
from irene_model.study.settings import GrownSettings, Settings

Demographic = Literal["age", "sex"]


_ENCODER_NAME = r"^[A-Za-z0-9][\w.-]*(/[A-Za-z0-9][\w.-]*)?$"
_SHA256 = r"^[0-9a-f]{64}$"


class ImageEncoder(Settings):
    """A frozen encoder of images: its vector of each patch is computed once a record.

    `name` says where each site finds its folder (see `irene_model.inputs.image_encoder`), and
    `sha256` that its files are the same at all sites. With `interpolate` its position encodings are
    fitted to a size that is not its own.
    """

    kind: Literal["frozen"]
    name: str = Field(max_length=120, pattern=_ENCODER_NAME)
    sha256: str = Field(pattern=_SHA256)
    interpolate: bool = False


class ImageShape(GrownSettings):
    """The square radiograph that the model reads; `size` and `patch` in pixels.

    Where an encoder reads it instead, `patch` is the square that each of its vectors of `width`
    numbers is of, and `channels` are its own.
    """

    size: int = Field(ge=8, le=1024)
    patch: int = Field(ge=2, le=64)
    channels: Literal[1, 3] = 1
    later: ClassVar[frozenset[str]] = frozenset({"encoder", "width"})
    encoder: ImageEncoder | None = None
    width: int | None = Field(default=None, ge=1, le=4096)

    @model_validator(mode="after")
    def _patches_tile_the_image(self) -> "ImageShape":
        if self.size % self.patch:
            raise ValueError(f"size {self.size} must be a multiple of patch {self.patch}")
        return self

    @model_validator(mode="after")
    def _width_is_an_encoders(self) -> "ImageShape":
        if (self.encoder is None) != (self.width is None):
            raise ValueError("encoder and width (of one of its vectors) go together")
        return self

    @property
    def tokens(self) -> int:
        """One of the whole image, and one of each patch."""
        return 1 + (self.size // self.patch) ** 2


class TextEncoder(Settings):
    """What reads the text; `encoder: wordpiece` in YAML is short for `{kind: wordpiece}`.

    wordpiece: the tokenizer that ships with the package, and a table of token vectors.
    tokenizer: a BERT-family encoder's `tokenizer.json`, and a table of `vocab_size` vectors.
    frozen: the encoder itself gives each token's vector, once a record; nothing of it is trained.

    `name` says where each site finds the files (see `irene_model.inputs.text_encoder`), and
    `sha256` that they are the same at all sites.
    """

    kind: Literal["wordpiece", "tokenizer", "frozen"] = "wordpiece"
    name: str | None = Field(default=None, max_length=120, pattern=_ENCODER_NAME)
    sha256: str | None = Field(default=None, pattern=_SHA256)
    vocab_size: int | None = Field(default=None, ge=1, le=1_000_000)

    @model_validator(mode="before")
    @classmethod
    def _kind_alone(cls, document: Any) -> Any:
        return {"kind": document} if isinstance(document, str) else document

    @model_validator(mode="after")
    def _keys_fit_the_kind(self) -> "TextEncoder":
        needed = {
            "wordpiece": set(),
            "tokenizer": {"name", "sha256", "vocab_size"},
            "frozen": {"name", "sha256"},
        }[self.kind]
        given = {key for key in ("name", "sha256", "vocab_size") if getattr(self, key) is not None}
        if missing := sorted(needed - given):
            raise ValueError(f"kind '{self.kind}' needs {', '.join(missing)}")
        if idle := sorted(given - needed):
            raise ValueError(f"kind '{self.kind}' has no {', '.join(idle)}")
        return self


class TextShape(GrownSettings):
    """How the chief complaint becomes at most `max_tokens` tokens of `width` numbers.

    `vocabulary` is the shipped one that `encoder: wordpiece` cuts words by: `basic` has a few
    hundred words, `clinical` is made of public lists of English and of diagnoses. `windows` says
    how many times `max_tokens` of a longer text are read: neighbouring tokens then share a place of
    the model, as the mean of their vectors. `width` is the frozen encoder's own, where there is
    one. With `trainable: false` the table of token vectors stays as it was drawn or loaded and only
    its projection learns: a large table that each record touches in a few rows costs much noise.
    """

    later: ClassVar[frozenset[str]] = frozenset({"vocabulary", "windows"})
    encoder: TextEncoder = TextEncoder()
    vocabulary: Literal["basic", "clinical"] = "basic"
    max_tokens: int = Field(default=40, ge=1, le=512)
    windows: int = Field(default=1, ge=1, le=16)
    width: int = Field(default=64, ge=1, le=4096)
    trainable: bool = True
    language: Language = "en"

    @model_validator(mode="after")
    def _vocabulary_is_read(self) -> Self:
        if self.vocabulary != "basic" and self.encoder.kind != "wordpiece":
            raise ValueError(
                f"vocabulary '{self.vocabulary}' is for encoder 'wordpiece'; "
                f"kind '{self.encoder.kind}' brings its own"
            )
        return self


class Measurement(GrownSettings):
    """One number of a panel; `low` and `high` bound the reference interval, in `unit`.

    What is known of its substance lets sites convert more of their units: `molar_mass` in g/mol
    (mg to mmol), `charge` of the ion (mEq to mmol), and whether U and IU are the same.
    """

    later: ClassVar[frozenset[str]] = frozenset({"molar_mass", "charge", "international_units"})
    name: Name
    unit: Unit
    low: float
    high: float
    molar_mass: float | None = Field(default=None, gt=0, le=1e7)
    charge: int | None = Field(default=None, ge=1, le=6)
    international_units: bool | None = None

    @model_validator(mode="after")
    def _interval_has_width(self) -> Self:
        if self.high <= self.low:
            raise ValueError("high must be above low: they bound the reference interval")
        return self


class LabTest(Measurement):
    """One laboratory value."""

    loinc: str = Field(pattern=r"^\d{1,7}-\d$")


class Panel(Settings):
    """Further numbers beside the laboratory's: vital signs, gene expression, variants.

    `per_token` values after each other share one token: a panel of 5,000 with 64 a token is 79
    tokens. A token is absent where all of its values are.

    In YAML `unit`, `low` and `high` beside `values` hold for each value that has none of its own,
    and a value may then be its name alone, as `{name: expression, unit: '1', low: -2, high: 2,
    per_token: 64, values: [TP53, EGFR]}`. `values_file` names a text file with one such name a
    line in their place, seen from the study's own folder.
    """

    name: PanelName
    values: tuple[Measurement, ...] = Field(min_length=1, max_length=100_000)
    per_token: int = Field(default=1, ge=1, le=4096)

    @model_validator(mode="before")
    @classmethod
    def _with_what_all_share(cls, document: Any) -> Any:
        if not isinstance(document, dict) or not isinstance(document.get("values"), list | tuple):
            return document
        shared = {key: document[key] for key in ("unit", "low", "high") if key in document}
        values = [{"name": v} if isinstance(v, str) else v for v in document["values"]]
        rest = {key: value for key, value in document.items() if key not in shared}
        return {**rest, "values": [{**shared, **v} if isinstance(v, dict) else v for v in values]}

    @model_validator(mode="after")
    def _names_differ(self) -> "Panel":
        names = [value.name for value in self.values]
        if len(set(names)) < len(names):
            repeated = next(name for name in names if names.count(name) > 1)
            raise ValueError(f"value named twice: {repeated}")
        if self.name in _TAKEN:
            raise ValueError(f"'{self.name}' is a modality or a part of one; choose another name")
        if self.name in _OF_MODULES:
            raise ValueError(f"'{self.name}' can't name a part of a model; choose another name")
        return self

    @model_serializer
    def _short(self) -> dict[str, Any]:
        """What all values share is written once: a study of thousands travels in every message."""
        document: dict[str, Any] = {"name": self.name, "per_token": self.per_token}
        first = self.values[0]
        shared = {"unit": first.unit, "low": first.low, "high": first.high}
        common = (*shared.values(), None, None, None)
        if all(
            (v.unit, v.low, v.high, v.molar_mass, v.charge, v.international_units) == common
            for v in self.values
        ):
            return {**document, **shared, "values": [value.name for value in self.values]}
        return {**document, "values": [value.model_dump() for value in self.values]}

    @property
    def names(self) -> tuple[str, ...]:
        """Names of the values, in tensor order."""
        return tuple(value.name for value in self.values)

    @property
    def tokens(self) -> int:
        """How many tokens the model reads it as."""
        return math.ceil(len(self.values) / self.per_token)


RESERVED = tuple(each.name for each in ALWAYS)
_TAKEN = frozenset(
    name
    for each in ALWAYS
    for name in (each.name, *each.tokens, *(part.name for part in each.parts))
)  # a panel stands beside them wherever tokens and records are told apart by name
# What torch's containers of modules have, also once transformers is there.
_OF_MODULES = frozenset({
    "add_module", "apply", "bfloat16", "buffers", "call_super_init", "children", "clear",
    "compile", "cpu", "cuda", "double", "dump_patches", "eval", "extra_repr", "float", "forward",
    "get_buffer", "get_extra_state", "get_parameter", "get_submodule", "half", "ipu", "items",
    "keys", "load_state_dict", "modules", "mtia", "named_buffers", "named_children",
    "named_modules", "named_parameters", "parameters", "pop", "register_backward_hook",
    "register_buffer", "register_forward_hook", "register_forward_pre_hook",
    "register_full_backward_hook", "register_full_backward_pre_hook",
    "register_load_state_dict_post_hook", "register_load_state_dict_pre_hook", "register_module",
    "register_parameter", "register_state_dict_post_hook", "register_state_dict_pre_hook",
    "requires_grad_", "set_extra_state", "set_submodule", "share_memory", "smart_apply",
    "state_dict", "to", "to_empty", "train", "training", "type", "update", "values",
    "xpu", "zero_grad",
})  # fmt: skip


def with_values_files(study: Any, folder: Path) -> Any:
    """A study's document with the names in each panel's `values_file`, if it has any, in place.

    A file that can't be read is a ConfigError.
    """
    if not isinstance(study, dict) or not isinstance(study.get("panels"), list | tuple):
        return study
    panels = []
    for index, panel in enumerate(study["panels"]):
        if isinstance(panel, dict) and isinstance(panel.get("values_file"), str):
            path, key = folder / panel["values_file"], f"panels.{index}.values_file"
            if "values" in panel:
                raise ConfigError(f"{key}: give `values` or `values_file`, not both")
            try:
                lines = path.read_text(encoding="utf-8").splitlines()
            except (OSError, UnicodeDecodeError) as error:
                raise ConfigError(
                    f"{key}: {path}: can't be read as UTF-8 text ({type(error).__name__})"
                ) from None
            panel = {k: v for k, v in panel.items() if k != "values_file"}
            panel["values"] = [line.strip() for line in lines if line.strip()]
        panels.append(panel)
    return {**study, "panels": panels}


def places(panels: tuple[Panel, ...]) -> Iterator[tuple[Panel, slice]]:
    """Each panel and where its values stand among those of all panels, side by side."""
    start = 0
    for panel in panels:
        stop = start + len(panel.values)
        yield panel, slice(start, stop)
        start = stop
