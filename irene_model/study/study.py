"""study.yaml: the contract that all sites of a study share, and its fingerprint.

Everything that must be the same at every hospital is here and nothing else: labels, the shape of
the inputs, the laboratory and further panels with units and reference intervals, the model, the
federation and the privacy that is asked for. What a hospital calls its columns is in its own
`site.yaml`.
"""

import hashlib
import json
from collections.abc import Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal, Self

from pydantic import Field, field_validator, model_validator

from irene_model.modalities import ALWAYS, FURTHER, Modality, of_panel
from irene_model.study.federation import Federation
from irene_model.study.names import MOST_LABELS, MOST_PANELS, Name
from irene_model.study.recipe import ModelShape, Training
from irene_model.study.records import HeldOut
from irene_model.study.secure import with_roster
from irene_model.study.settings import GrownSettings, Settings, override, parse, read_mapping
from irene_model.study.shapes import (
    Demographic,
    ImageShape,
    LabTest,
    Panel,
    TextShape,
    places,
    with_values_files,
)
from irene_model.study.sounds import SoundShape

LARGEST_NOISE = 1e4  # a noise multiplier; calibration looks no further
Engine = Literal["fused", "opacus"]
_LEAST_CLIP_NORM, _LARGEST_CLIP_NORM = 1e-6, 1e6


class Privacy(Settings):
    """Patient-level (epsilon, delta) for the whole run.

    With `epsilon` each site finds the noise multiplier that spends it over all rounds. A
    `noise_multiplier`, where given, is used as it is and `epsilon` is then not a target;
    0 means training without privacy, which only a site without a budget accepts.

    `engine` is how the clipped sums are computed, with equal results: `fused` in one backward pass
    near the speed of training without privacy; `opacus` by Opacus' per-sample gradients, for
    layers that `fused` has no rule for.
    """

    unit: Literal["patient"] = "patient"
    clip_norm: float = 1.0
    epsilon: float | None = Field(default=None, gt=0)
    noise_multiplier: float | None = Field(default=None, ge=0, le=LARGEST_NOISE)
    delta: float = Field(default=1e-5, gt=0, lt=0.1)
    engine: Engine = "fused"

    @field_validator("clip_norm")
    @classmethod
    def _float32_holds_it(cls, value: float) -> float:
        if not _LEAST_CLIP_NORM <= value <= _LARGEST_CLIP_NORM:
            raise ValueError(
                f"must be from {_LEAST_CLIP_NORM:g} to {_LARGEST_CLIP_NORM:g}: beyond, the squares"
                " of clipped gradients leave what float32 can hold, and the clip is no bound"
            )
        return value

    @model_validator(mode="after")
    def _noise_is_determined(self) -> "Privacy":
        if self.epsilon is None and self.noise_multiplier is None:
            raise ValueError("give epsilon (for the whole run) or noise_multiplier")
        return self

    @property
    def enabled(self) -> bool:
        """Whether the study asks for any noise at all."""
        return self.noise_multiplier is None or self.noise_multiplier > 0


_Specificity = Annotated[float, Field(gt=0, lt=1)]


class Evaluation(GrownSettings):
    """The noise on the score histograms of held-out patients.

    With `epsilon` each of them, in validation or test, spends at most that over the whole run, at
    the delta of `privacy`. A `noise_multiplier`, where given, is that of each evaluation instead;
    0 asks for exact histograms, which lie outside the guarantee and which only a site with
    `metrics: exact` sends. Where neither is given they are those of `privacy`: held-out patients
    are other people than training patients, so this adds nothing to any one's epsilon.

    With `start` the first weights are evaluated on the test patients too, before round 1: what a
    run starts from is not its merit. Both evaluations of them share the epsilon.

    `specificities` are those at which a comparison tells sensitivity; the first one is where it
    compares groups of patients.
    """

    later: ClassVar[frozenset[str]] = frozenset({"start", "specificities"})
    epsilon: float | None = Field(default=None, gt=0)
    noise_multiplier: float | None = Field(default=None, ge=0, le=LARGEST_NOISE)
    start: bool = False
    specificities: tuple[_Specificity, ...] = Field(default=(0.9, 0.95), min_length=1, max_length=8)

    @field_validator("specificities")
    @classmethod
    def _differ(cls, specificities: tuple[float, ...]) -> tuple[float, ...]:
        if len(set(specificities)) < len(specificities):
            raise ValueError("a specificity is named twice")
        return specificities


class Study(GrownSettings):
    """The whole contract; equal fingerprints mean equal contracts."""

    later: ClassVar[frozenset[str]] = frozenset(each.name for each in FURTHER)

    name: Name
    labels: tuple[Name, ...] = Field(min_length=1, max_length=MOST_LABELS)
    image: ImageShape
    text: TextShape = TextShape()
    labs: tuple[LabTest, ...] = ()
    panels: tuple[Panel, ...] = Field(default=(), max_length=MOST_PANELS)
    demographics: tuple[Demographic, ...] = ("age", "sex")
    sounds: SoundShape | None = None
    model: ModelShape = ModelShape()
    training: Training = Training()
    federation: Federation
    privacy: Privacy
    evaluation: Evaluation = Evaluation()

    @field_validator("labels")
    @classmethod
    def _labels_differ(cls, labels: tuple[str, ...]) -> tuple[str, ...]:
        _refuse_repeats("label", labels)
        return labels

    @field_validator("labs")
    @classmethod
    def _labs_differ(cls, labs: tuple[LabTest, ...]) -> tuple[LabTest, ...]:
        _refuse_repeats("laboratory value", [lab.name for lab in labs])
        _refuse_repeats("LOINC code", [lab.loinc for lab in labs])
        return labs

    @field_validator("panels")
    @classmethod
    def _panels_differ(cls, panels: tuple[Panel, ...]) -> tuple[Panel, ...]:
        _refuse_repeats("panel", [panel.name for panel in panels])
        return panels

    @model_validator(mode="after")
    def _dropout_knows_the_panels(self) -> "Study":
        known = [panel.name for panel in self.panels]
        if odd := sorted(set(self.training.modality_dropout.panels) - set(known)):
            raise ValueError(
                f"training.modality_dropout.panels: the study has no panel '{odd[0]}'; "
                f"it has {', '.join(known) or 'none'}"
            )
        return self

    @model_validator(mode="after")
    def _further_modalities_are_declared(self) -> "Study":
        for name in (each.name for each in FURTHER):
            declared = getattr(self, name) is not None
            if not declared and getattr(self.training.modality_dropout, name):
                raise ValueError(f"training.modality_dropout.{name}: the study has no {name}")
            if declared and any(panel.name == name for panel in self.panels):
                raise ValueError(
                    f"panels: '{name}' is a modality of this study; choose another name"
                )
        return self

    @model_validator(mode="after")
    def _secure_sums_are_of_gradients(self) -> "Study":
        secure = self.federation.secure
        if secure is None:
            return self
        if self.training.optimizer != "sgd":
            raise ValueError(
                "training.optimizer: must be sgd under secure sums: what is summed is one step's "
                "clipped gradients; let the server be adaptive (federation.strategy: fedadam)"
            )
        if self.training.expected_batch > secure.patients:
            raise ValueError(
                "training.expected_batch: is that of all sites together under secure sums, and "
                "can't be above federation.secure.patients"
            )
        return self

    @model_validator(mode="after")
    def _a_linear_path_has_what_to_read(self) -> "Study":
        if self.model.linear_path and not self.has_frozen_features:
            raise ValueError(
                "model.linear_path: reads frozen features; give the study an image.encoder or a "
                "text.encoder of the kind 'frozen', or set text.trainable to false, or leave it out"
            )
        return self

    @property
    def has_frozen_features(self) -> bool:
        """Whether vectors of the image, the text or its words are given and never trained."""
        text = self.text.encoder.kind == "frozen" or not self.text.trainable
        return text or self.image.encoder is not None

    @property
    def further(self) -> tuple[tuple[Modality, SoundShape], ...]:
        """The further modalities that the study declares, each with the shape of its patches."""
        return tuple((each, shape) for each in FURTHER if (shape := getattr(self, each.name)))

    @property
    def reads(self) -> tuple[Modality, ...]:
        """What a record may have or lack as a whole, the panels and then the further ones last."""
        panels = (of_panel(panel.name, place) for panel, place in places(self.panels))
        return (*ALWAYS, *panels, *(each for each, _ in self.further))

    @property
    def modalities(self) -> tuple[str, ...]:
        """The names of what is read."""
        return tuple(each.name for each in self.reads)

    @property
    def lab_names(self) -> tuple[str, ...]:
        """Names of the laboratory panel, in tensor order."""
        return tuple(lab.name for lab in self.labs)

    @cached_property
    def canonical(self) -> str:
        """The study as JSON with sorted keys: what is sent and what is hashed."""
        return json.dumps(self.model_dump(mode="json"), sort_keys=True, separators=(",", ":"))

    @cached_property
    def fingerprint(self) -> str:
        """sha256 of the canonical JSON, in hex."""
        return hashlib.sha256(self.canonical.encode()).hexdigest()

    def model_copy(self, *, update: Mapping[str, Any] | None = None, deep: bool = False) -> Self:
        """As pydantic's, without what was computed of the original."""
        copied = super().model_copy(update=update, deep=deep)
        for name in ("canonical", "fingerprint"):
            copied.__dict__.pop(name, None)
        return copied

    @property
    def total_steps(self) -> int:
        """Noised steps that one site takes in the whole run."""
        return self.federation.rounds * self.federation.local_steps

    @property
    def evaluation_noise(self) -> Evaluation:
        """`evaluation`, or what it takes over from `privacy`."""
        own = self.evaluation
        if (own.epsilon, own.noise_multiplier) != (None, None):
            return own
        return Evaluation(
            epsilon=self.privacy.epsilon, noise_multiplier=self.privacy.noise_multiplier
        )

    def evaluates(self, split: HeldOut, round: int) -> bool:
        """Whether the study has an evaluation of `split` after `round`; 0 is before the first."""
        if round == 0:
            return split == "test" and self.evaluation.start
        return self.federation.named(split, round)

    def evaluations(self, split: HeldOut) -> int:
        """How often a whole run evaluates the patients of `split`."""
        if split == "test":
            return 1 + self.evaluation.start
        return -(-self.federation.rounds // self.federation.evaluate_every)  # the last one always

    @classmethod
    def read(cls, path: Path, overrides: Sequence[str] = ()) -> "Study":
        """Read study.yaml; a mistake is a ConfigError naming file and key."""
        document = with_values_files(override(read_mapping(path), overrides), path.parent)
        return parse(cls, with_roster(document, path.parent), path)

    @classmethod
    def from_canonical(cls, text: str) -> "Study":
        """The inverse of `canonical`, for studies that arrive in a message."""
        return parse(cls, json.loads(text), "the study that the server sent")


def _refuse_repeats(kind: str, names: Sequence[str]) -> None:
    repeated = sorted({name for name in names if list(names).count(name) > 1})
    if repeated:
        raise ValueError(f"{kind} named twice: {', '.join(repeated)}")
