"""What a record may have or lack as a whole: the one list that all else goes by.

Explanations, modality dropout, `--without`, `check`, the data set and which weights a site trains
are derived from it. What a modality alone knows (how it becomes tokens, how a site reads it, how it
is drawn) is where it belongs: CONTRIBUTING.md names the files.
"""

from dataclasses import dataclass, replace


@dataclass(frozen=True, kw_only=True)
class Part:
    """What a site maps by itself.

    name: as a site's answers have it. field: of a `Record`, and the `key` in it of a panel, which
    people call it by. weights: its modules in `IreneEmbeddings`.
    """

    name: str
    field: str
    key: str | None = None
    weights: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True)
class Modality:
    """One of a study's, by the key that it has there.

    stream: the encoder that reads it where a method has several. mask, place: a batch's tensor of
    presence, and a part of its last axis. inputs: the numbers in a batch that the mask hides.
    tokens: its groups of tokens, in the model's order.
    """

    name: str
    stream: str
    mask: str
    place: slice | None = None
    inputs: tuple[str, ...]
    tokens: tuple[str, ...]
    parts: tuple[Part, ...]

    @property
    def patches(self) -> str:
        """The one input of a further modality."""
        return self.inputs[0]


IMAGE = Modality(
    name="image", stream="image", mask="image_mask", inputs=("pixel_values", "image_embeddings"),
    tokens=("class", "patches"), parts=(Part(name="image", field="image_path",
    weights=("patches", "class_token", "image", "image_positions")),),
)  # fmt: skip
TEXT = Modality(
    name="text", stream="text", mask="text_mask", inputs=("text_embeddings",), tokens=("text",),
    parts=(Part(name="text", field="text", weights=("text_tokens", "text", "text_positions")),),
)  # fmt: skip
LABS = Modality(
    name="labs", stream="numbers", mask="lab_mask", inputs=("lab_values",), tokens=("labs",),
    parts=(Part(name="labs", field="labs", weights=("labs", "lab_positions")),),
)  # fmt: skip
DEMOGRAPHICS = Modality(
    name="demographics", stream="numbers", mask="demographics_mask", inputs=("age", "sex"),
    tokens=("sex", "age"), parts=(
        Part(name="age", field="age_years", weights=("age", "age_position")),
        Part(name="sex", field="sex", weights=("sex", "sex_position")),
    ),
)  # fmt: skip
PANELS = Modality(  # each of a study's is a modality of its own: see `of_panel`
    name="panels", stream="numbers", mask="panel_mask", inputs=("panel_values",), tokens=(),
    parts=(Part(name="panel:", field="panels"),),
)  # fmt: skip
SOUNDS = Modality(
    name="sounds", stream="sounds", mask="sound_mask", inputs=("sound_values",),
    tokens=("sounds",), parts=(Part(name="sounds", field="sound_paths", weights=("sounds",)),),
)  # fmt: skip

ALWAYS = (IMAGE, TEXT, LABS, DEMOGRAPHICS)
"""Those that every study has."""
FURTHER = (SOUNDS,)
"""Those that a study declares with a shape, S patches of W numbers: in a batch (B,S,W) and a mask
(B,S), on a site's disk uint8, in the model a token each and a stream of its own."""
EVERY = (*ALWAYS, PANELS, *FURTHER)
"""All, in the order of their draws."""


def panel_modality(name: str) -> str:
    """A further panel, as a site's answers have it."""
    return PANELS.parts[0].name + name


def of_panel(name: str, place: slice) -> Modality:
    """A study's further panel, whose values stand at `place` among those of all panels."""
    part = replace(PANELS.parts[0], name=panel_modality(name), key=name)
    return replace(PANELS, name=name, place=place, tokens=(name,), parts=(part,))
