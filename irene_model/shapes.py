"""The part of study.yaml that says what the model reads: image, text, laboratory, demographics."""

from typing import Annotated, Any, Literal

from pydantic import Field, model_validator

from irene_model.settings import Settings

Name = Annotated[str, Field(min_length=1, max_length=80, pattern=r"^[\w][\w .,()/+%-]*$")]
Demographic = Literal["age", "sex"]


class ImageShape(Settings):
    """The square radiograph that the model reads; `size` and `patch` in pixels."""

    size: int = Field(ge=8, le=1024)
    patch: int = Field(ge=2, le=64)
    channels: Literal[1, 3] = 1

    @model_validator(mode="after")
    def _patches_tile_the_image(self) -> "ImageShape":
        if self.size % self.patch:
            raise ValueError(f"size {self.size} must be a multiple of patch {self.patch}")
        return self


class TextEncoder(Settings):
    """What reads the text; `encoder: wordpiece` in YAML is short for `{kind: wordpiece}`.

    wordpiece: the tokenizer that ships with the package, and a table of token vectors.
    tokenizer: a BERT-family encoder's `tokenizer.json`, and a table of `vocab_size` vectors.
    frozen: the encoder itself gives each token's vector, once a record; nothing of it is trained.

    `name` says where each site finds the files (see `irene_model.text_encoder`), and `sha256` that
    they are the same at all sites.
    """

    kind: Literal["wordpiece", "tokenizer", "frozen"] = "wordpiece"
    name: str | None = Field(
        default=None, max_length=120, pattern=r"^[A-Za-z0-9][\w.-]*(/[A-Za-z0-9][\w.-]*)?$"
    )
    sha256: str | None = Field(default=None, pattern=r"^[0-9a-f]{64}$")
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


class TextShape(Settings):
    """How the chief complaint becomes at most `max_tokens` tokens of `width` numbers.

    `width` is the frozen encoder's own, where there is one. With `trainable: false` the table of
    token vectors stays as it was drawn or loaded and only its projection learns: a large table
    that each record touches in a few rows costs much noise.
    """

    encoder: TextEncoder = TextEncoder()
    max_tokens: int = Field(default=40, ge=1, le=512)
    width: int = Field(default=64, ge=1, le=4096)
    trainable: bool = True
    language: str = "en"


class LabTest(Settings):
    """One laboratory value; `low` and `high` bound the reference interval, in `unit`."""

    name: Name
    loinc: str = Field(pattern=r"^\d{1,7}-\d$")
    unit: str = Field(min_length=1)
    low: float
    high: float

    @model_validator(mode="after")
    def _interval_has_width(self) -> "LabTest":
        if self.high <= self.low:
            raise ValueError("high must be above low: they bound the reference interval")
        return self
