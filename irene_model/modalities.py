"""What a record may have or lack as a whole: the one list that all else goes by.

Explanations, modality dropout, `--without`, `check`, the data set's tensors of presence and which
weights a site trains are derived from it. What a modality alone knows (how it becomes tokens, how a
site reads it, how it is drawn) is where it belongs: CONTRIBUTING.md names the files.
"""

from dataclasses import dataclass, field, replace

_EVERYTHING = slice(None)
_PANEL = "panel:"


@dataclass(frozen=True, kw_only=True)
class Part:
    """What a site maps by itself.

    name: as a site's answers have it. field: of a `Record`, and `key` in that field where it holds
    several. weights: its modules in `IreneEmbeddings`.
    """

    name: str
    field: str
    key: str | None = None
    weights: tuple[str, ...] = ()

    @property
    def shown(self) -> str:
        """As people call it."""
        return self.key or self.name


@dataclass(frozen=True, kw_only=True)
class Modality:
    """One of the study's, by the key that it has there.

    words: one of it, in a sentence. stream: which encoder reads it where a method has several.
    mask, place: a batch's tensor of presence, and which part of its last axis. inputs: the numbers
    in a batch that are behind the mask. tokens: its groups of tokens, in the model's order.
    """

    name: str
    words: str
    stream: str
    mask: str
    place: slice = field(default_factory=lambda: _EVERYTHING)
    inputs: tuple[str, ...]
    tokens: tuple[str, ...]
    parts: tuple[Part, ...]


IMAGE = Modality(
    name="image",
    words="image",
    stream="image",
    mask="image_mask",
    inputs=("pixel_values", "image_embeddings"),
    tokens=("class", "patches"),
    parts=(
        Part(
            name="image",
            field="image_path",
            weights=("patches", "class_token", "image", "image_positions"),
        ),
    ),
)
TEXT = Modality(
    name="text",
    words="text",
    stream="text",
    mask="text_mask",
    inputs=("text_embeddings",),
    tokens=("text",),
    parts=(Part(name="text", field="text", weights=("text_tokens", "text", "text_positions")),),
)
LABS = Modality(
    name="labs",
    words="laboratory value",
    stream="numbers",
    mask="lab_mask",
    inputs=("lab_values",),
    tokens=("labs",),
    parts=(Part(name="labs", field="labs", weights=("labs", "lab_positions")),),
)
DEMOGRAPHICS = Modality(
    name="demographics",
    words="age or sex",
    stream="numbers",
    mask="demographics_mask",
    inputs=("age", "sex"),
    tokens=("sex", "age"),
    parts=(
        Part(name="age", field="age_years", weights=("age", "age_position")),
        Part(name="sex", field="sex", weights=("sex", "sex_position")),
    ),
)
PANELS = Modality(  # each of a study's is one of its own: see `of_panel`
    name="panels",
    words="panel",
    stream="numbers",
    mask="panel_mask",
    inputs=("panel_values",),
    tokens=(),
    parts=(Part(name=_PANEL, field="panels"),),
)
SOUNDS = Modality(
    name="sounds",
    words="recording",
    stream="sounds",
    mask="sound_mask",
    inputs=("sound_values",),
    tokens=("sounds",),
    parts=(Part(name="sounds", field="sound_paths", weights=("sounds",)),),
)

ALWAYS = (IMAGE, TEXT, LABS, DEMOGRAPHICS)
"""Those that every study has."""
FURTHER = (SOUNDS,)
"""Those that a study asks for under their own keys, with the shape of their patches: S patches of W
numbers, each one token, uint8 on disk. In a batch (B,S,W), with a mask (B,S)."""
EVERY = (*ALWAYS, PANELS, *FURTHER)
"""All, in the order of their tokens and draws."""


def panel_modality(name: str) -> str:
    """A further panel, as a site's answers have it."""
    return _PANEL + name


def of_panel(name: str, place: slice = _EVERYTHING) -> Modality:
    """A study's further panel, whose values stand at `place` among those of all panels."""
    part = replace(PANELS.parts[0], name=panel_modality(name), key=name)
    return replace(PANELS, name=name, place=place, tokens=(name,), parts=(part,))
