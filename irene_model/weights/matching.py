"""What the studies of two models share, by name: an earlier model's weights for a new study.

Both models have the same blocks. Labels are matched by the rows of the head, laboratory values by
their positions, further panels by their modules; positions in the image are interpolated to the
study's size. A label that the earlier model does not know starts at the study's prior, the same for
every patient. Whatever else the study's model needs and the earlier one lacks is refused by its
name: nothing starts from chance unsaid.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from irene_model.errors import CheckpointError
from irene_model.network import DiagnosticModel, adapters, probe_columns
from irene_model.study import Study
from irene_model.weights.earlier import Earlier
from irene_model.weights.groups import is_head
from irene_model.weights.vit import for_channels, resize_positions


@dataclass(frozen=True, kw_only=True)
class _Match:
    """The study and the earlier model, and where the study's names stand there; None: nowhere."""

    earlier: Earlier
    study: Study
    labels: Sequence[int | None]
    labs: Sequence[int]

    def fitted(self, name: str, current: Tensor) -> Tensor:
        """The earlier model's parameter `name` for the study's labels, values and sizes."""
        value = self.earlier.weights.get(name)
        if value is None:
            raise CheckpointError(
                f"{self.earlier.folder}: has no {name}, which the study's model needs"
            )
        match name:
            case "embeddings.patches.weight":
                value = for_channels(value, self.study.image.channels)
            case "embeddings.image_positions.table":
                value = resize_positions(value, self.study.image.size // self.study.image.patch)
            case "embeddings.text_positions.table":
                value = value[: len(current)]
            case "embeddings.lab_positions.table":
                value = value[list(self.labs)]
            case "numbers_head.weight" | "linear.numbers_head.weight":
                value = value[:, probe_columns(self.labs, len(self.earlier.study.labs))]
        if is_head(name) and value.shape[1:] == current.shape[1:]:
            # A new label's weights are 0: its logit is that of the prior, whoever the patient is.
            fresh = current if name.endswith("bias") else torch.zeros_like(current)
            rows = enumerate(self.labels)
            value = torch.stack([fresh[row] if old is None else value[old] for row, old in rows])
        if value.shape != current.shape:
            raise CheckpointError(
                f"{self.earlier.folder}: {name} becomes {tuple(value.shape)}; the study's model "
                f"needs {tuple(current.shape)}"
            )
        return value


def start_from_earlier(model: DiagnosticModel, study: Study, earlier: Earlier) -> dict[str, Any]:
    """Put `earlier`'s weights into `model`, the study's own; returns what became of the names.

    Adapters of `model` stay as they begin, at no correction. CheckpointError, with `model` as it
    was, names what the study needs and the earlier model lacks.
    """
    _check_panels(earlier, study)
    known, own = set(earlier.study.labels), model.state_dict()
    if not known & set(study.labels):
        raise CheckpointError(
            f"{earlier.folder}: knows none of the study's labels; it knows "
            f"{', '.join(earlier.study.labels)}"
        )
    places = {name: place for place, name in enumerate(earlier.study.labels)}
    match = _Match(
        earlier=earlier,
        study=study,
        labels=[places.get(label) for label in study.labels],
        labs=_lab_places(earlier, study),
    )
    corrections = {f"{n}.{half}.weight" for n in adapters(model) for half in ("down", "up")}
    values = {n: match.fitted(n, value) for n, value in own.items() if n not in corrections}
    for name, value in values.items():
        own[name].copy_(value)
    return {
        "labels": [label for label in study.labels if label in known],
        "new_labels": [label for label in study.labels if label not in known],
        "unused_labels": [label for label in earlier.study.labels if label not in study.labels],
        "unused_labs": [lab for lab in earlier.study.lab_names if lab not in study.lab_names],
    }


def _check_panels(earlier: Earlier, study: Study) -> None:
    for name, shape in ((each.name, shape) for each, shape in study.further):
        if shape != getattr(earlier.study, name):
            said = f"reads no {name} as the study's are (`{name}`); pretrain with them"
            raise CheckpointError(f"{earlier.folder}: {said}")
    known = {panel.name: panel for panel in earlier.study.panels}
    for panel in study.panels:
        if panel.name not in known:
            raise CheckpointError(
                f"{earlier.folder}: knows no panel '{panel.name}'; pretrain with it"
            )
        if panel != known[panel.name]:
            raise CheckpointError(
                f"{earlier.folder}: its panel '{panel.name}' has other values, units, reference "
                "intervals or tokens than the study's"
            )


def _lab_places(earlier: Earlier, study: Study) -> list[int]:
    """Where each of the study's laboratory values stands in the earlier model."""
    known = {lab.name: place for place, lab in enumerate(earlier.study.labs)}
    places = []
    for lab in study.labs:
        if lab.name not in known:
            raise CheckpointError(
                f"{earlier.folder}: knows no laboratory value '{lab.name}'; pretrain with it, or "
                "leave it out of the study"
            )
        if lab != earlier.study.labs[known[lab.name]]:
            raise CheckpointError(
                f"{earlier.folder}: its laboratory value '{lab.name}' has another LOINC code, unit "
                "or reference interval than the study's, so its numbers mean something else"
            )
        places.append(known[lab.name])
    return places
