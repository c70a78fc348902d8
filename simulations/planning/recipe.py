"""What a cohort of its size should train and what it should keep frozen. Pure.

Noise grows with the root of the number of trained parameters and a clipped gradient does not: what
few patients can't teach under noise is better left as it is.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from irene_model.privacy import LITTLE
from irene_model.study import Study
from irene_model.weights import footprint
from simulations.planning.prospect import prospect_of
from simulations.planning.public import Public
from simulations.planning.rule import hidden
from simulations.planning.settings import with_settings

_PARTS: tuple[Mapping[str, Any], ...] = (
    {"kind": "all"},
    {"kind": "lora", "rank": 8, "alpha": 8.0},
    {"kind": "biases"},
    {"kind": "head"},
)
_AMPLE = 2 * LITTLE
_MUCH = 4 * LITTLE  # a linear path helped at a ratio of 29, and costs where there is no noise


@dataclass(frozen=True, kw_only=True)
class Choice:
    """One decision of a proposal: its settings, dotted key -> value, and the reason."""

    name: str
    settings: Mapping[str, Any]
    why: str


def recipe(study: Study, public: Public, *, started: bool) -> tuple[Choice, ...]:
    """What to train of a study that spends its epsilon as proposed, and what to hide in training.

    started: whether first weights were trained before; a part of random weights alone teaches
    nothing worth its noise.
    """
    text = _text(study, public)
    study = with_settings(study, text.settings)
    path = _linear_path(study, public, started=started)
    study = with_settings(study, path.settings)
    found = [text, path, *([_part(study, public)] if started else []), *_hidden(study, public)]
    return tuple(choice for choice in found if choice.settings)


def _text(study: Study, public: Public) -> Choice:
    """Word vectors are most of a small model, and each patient touches a few of them."""
    frozen = {"text.trainable": False}
    own = study.text.encoder.kind != "frozen" and study.text.trainable
    ratio = prospect_of(study, public).ratio
    if not own or ratio >= _AMPLE:
        return Choice(name="word vectors", settings={}, why="")
    less = footprint(study).trained - footprint(with_settings(study, frozen)).trained
    return Choice(
        name="word vectors",
        settings=frozen,
        why=f"frozen: {less} parameters less to hide (the ratio with them is {ratio:.2g}, and it "
        f"takes {_AMPLE:g})",
    )


def _linear_path(study: Study, public: Public, *, started: bool) -> Choice:
    """What much noise or few patients leave to be taught is a line through what is frozen."""
    on = {"model.linear_path": True}
    # A start has a path or has none, and first weights must fit.
    ours = study.model.method in ("irene", "irene_unidirectional") and not started
    little = prospect_of(study, public).ratio < _MUCH
    if not (study.has_frozen_features and ours and little) or study.model.linear_path:
        return Choice(name="linear path", settings={}, why="")
    more = footprint(with_settings(study, on)).trained - footprint(study).trained
    return Choice(
        name="linear path",
        settings=on,
        why="the model begins as logistic regression on what is frozen, vectors of an encoder or "
        f"of words: {more} weights, few enough to be learned under much noise",
    )


def _part(study: Study, public: Public) -> Choice:
    """The largest part that the patients can teach, of a model that knows something already."""
    for part in _PARTS:
        trying = with_settings(study, {"training.parameters": part})
        ratio = prospect_of(trying, public).ratio
        if ratio >= LITTLE or part is _PARTS[-1]:
            break
    return Choice(
        name="trained part",
        settings={"training.parameters": dict(part)},
        why=f"the largest of all, LoRA, biases and head with a ratio of {LITTLE:g} or the head "
        f"alone; its {footprint(trying).trained} parameters have {ratio:.2g}",
    )


def _hidden(study: Study, public: Public) -> list[Choice]:
    """Each modality that patients may lack is hidden in training somewhat more often."""
    found = []
    for modality, share in public.missing.items():
        panel = modality not in type(study.training.modality_dropout).model_fields
        key = f"panels.{modality}" if panel else modality
        found.append(
            Choice(
                name=f"{modality} hidden",
                settings={f"training.modality_dropout.{key}": hidden(share)},
                why=f"above the {share:.0%} of patients who may lack it, at most half",
            )
        )
    return found
