"""Which parameters a site trains, given the modalities and labels that it maps at all.

A site without text sends no text embedding: what it would send is noise, and would dilute what the
others learnt. Which columns a hospital has is in its site.yaml and says nothing of any patient, so
that what is left out needs no noise. The names are those of `IreneModel`, `FusionModel` and
`LinearProbe`.

A head has one row a label. The row of a label that a site does not have gets no gradient there;
its noise is thrown away after it was drawn, which is post-processing, and zeros are sent.
"""

from collections.abc import Collection

import numpy as np
import numpy.typing as npt

from irene_model.exchange import Array
from irene_model.modalities import ALWAYS, EVERY, PANELS, panel_modality
from irene_model.network import DiagnosticModel
from irene_model.study import Method, Study

MODALITIES = tuple(part.name for each in ALWAYS for part in each.parts)
Labels = npt.NDArray[np.bool_]  # (K,)
Group = frozenset[str]

_PARTS = [(each.stream, part) for each in EVERY for part in each.parts]
_STREAMS = {of: Group(part.name for stream, part in _PARTS if stream == of) for of, _ in _PARTS}
_EMBEDDINGS = {name: Group({part.name}) for _, part in _PARTS for name in part.weights}
_IMAGE, _SHARED = _STREAMS["image"], Group()
_PANEL = PANELS.parts[0].name  # any of them
_CLINICAL = Group().union(*_STREAMS.values()) - _IMAGE
_OF_ONE_METHOD = {"encoder": _IMAGE, "squeeze": _CLINICAL}  # of GIT; of early fusion of data
_OF_A_PROBE = {f"{stream}_head": group - {_PANEL} for stream, group in _STREAMS.items()}


def modalities_of(study: Study) -> tuple[str, ...]:
    """Whatever a site may map of `study`, what not every study asks for last."""
    asked = study.reads[len(ALWAYS) :]
    return (*MODALITIES, *(part.name for each in asked for part in each.parts))


def needed_for(name: str, method: Method) -> Group:
    """The modalities of which a site must map one to train the parameter `name`; empty: none."""
    group = _SHARED
    match name.split("."):
        case ["embeddings", "class_token" | "image_positions", *_] if method == "early_data":
            pass  # without an image the class token carries the clinical data
        case ["embeddings", "panels", panel, *_]:
            group = Group({panel_modality(panel)})
        case ["embeddings", part, *_]:
            group = _EMBEDDINGS.get(part, _SHARED)
        case ["encoder", "bidirectional", _, *parts]:
            streams = {part.partition("_")[0] for part in parts}
            group = (
                _IMAGE if "image" in streams else _CLINICAL if "clinical" in streams else _SHARED
            )
        case ["fusion", "encoders", "stacks", stream, *_] | ["fusion", "heads", stream, *_]:
            group = _STREAMS[stream.removesuffix("_head")]
        case [head, *_] if head in _OF_A_PROBE:
            group = _OF_A_PROBE[head]
        case ["linear", *parts]:  # as those of a linear probe
            group = needed_for(".".join(parts), method)
        case ["panel_heads", head, *_]:
            group = Group({panel_modality(head.removesuffix("_head"))})
        case ["fusion", part, *_]:
            group = _OF_ONE_METHOD.get(part, _SHARED)
    return group


def is_trained(name: str, modalities: Collection[str], method: Method) -> bool:
    """Whether a site that maps `modalities` trains the parameter `name` of a study's `method`."""
    needed = needed_for(name, method)
    return not needed or any(
        each in needed or (each.startswith(_PANEL) and _PANEL in needed) for each in modalities
    )


def choose_mapped(model: DiagnosticModel, modalities: Collection[str], method: Method) -> None:
    """Freeze what a site that maps `modalities` can't train, besides what is frozen already."""
    for name, parameter in model.named_parameters():
        if not is_trained(name, modalities, method):
            parameter.requires_grad_(False)


def is_head(name: str) -> bool:
    """Whether the parameter's first axis counts labels."""
    return name.rpartition(".")[0].endswith("head")


def without_rows(name: str, array: Array, labels: Labels) -> Array:
    """`array` with zeros in a head's rows of labels that are not in `labels`."""
    if not is_head(name) or labels.all():
        return array
    result = array.copy()
    result[~labels] = 0
    return result


def labels_to_text(labels: Collection[bool]) -> str:
    """As it travels: a 1 or a 0 for each label of the study."""
    return "".join("01"[bool(label)] for label in labels)


def labels_from_text(text: str) -> Labels:
    """The inverse of `labels_to_text`."""
    return np.array([letter == "1" for letter in text], dtype=np.bool_)
