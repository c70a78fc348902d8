"""What a folder with a model says of its making: counts and metrics, never anybody's id.

`provenance.json` lies beside the weights. A folder from elsewhere is believed in nothing: what it
says is held to bounds, and repeated as its own word.
"""

import json
import math
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any, Literal

import numpy as np
from pydantic import Field

from irene_model.errors import CheckpointError
from irene_model.metrics import Array, aurocs, macro_auroc
from irene_model.study import MOST_LABELS, Name, Reason, Settings, parse

PROVENANCE = "provenance.json"
UNFINISHED = "unfinished.safetensors"
"""Beside weights that are not whole yet, or do not say yet what they are."""
_FINE_TUNED: Literal["fine_tuned"] = "fine_tuned"
LARGEST_TEXT = 16 * 2**20  # bytes of a file of words that comes with weights
Share = Annotated[float, Field(ge=0, le=1)]
Sha256 = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
Count = Annotated[int, Field(ge=0, le=10**9)]


class Judged(Settings):
    """AUROC on the patients of one split: their number, the mean over labels, and each label's."""

    patients: Count
    auroc: Share | None
    by_label: dict[Name, Share | None] = Field(default_factory=dict, max_length=MOST_LABELS)

    @classmethod
    def of(cls, histograms: Array, labels: Sequence[str], *, patients: int) -> "Judged":
        """What exact histograms (K, 2, BINS) of so many patients tell."""
        values = aurocs(histograms.astype(np.float64)).tolist()
        return cls(
            patients=patients,
            auroc=macro_auroc([histograms]),
            by_label={
                label: None if math.isnan(value) else value
                for label, value in zip(labels, values, strict=True)
            },
        )


class Told(Settings):
    """What is written beside weights."""

    def write(self, folder: Path) -> None:
        """Write it into `folder`, beside the weights."""
        text = json.dumps(self.model_dump(mode="json"), indent=2) + "\n"
        (folder / PROVENANCE).write_text(text, encoding="utf-8")


class FineTuned(Told):
    """How a federation's model was trained on at one hospital, without privacy.

    model: sha256 of the weights that it began with. anew: how many of the epochs, the last ones, a
    second model had that began from fresh weights. kept_epoch: the one with the best mean AUROC on
    the validation patients, 0 being the federation's. before and after: of the test patients.
    """

    kind: Literal["fine_tuned"] = _FINE_TUNED
    site: Name
    study: Name
    fingerprint: Sha256
    privacy: Literal["none"] = "none"
    model: Sha256
    training_patients: Count
    epochs: Count
    anew: Count = 0
    kept_epoch: Count
    seed: Count
    before: Judged
    after: Judged


class Provenance(Told):
    """How a model was trained without privacy on public data.

    fingerprint: that of the study it was trained for. kept_epoch: the one with the best mean AUROC
    on the validation patients. validation and test: of the archive's own patients.
    """

    kind: Literal["pretrained"] = "pretrained"
    name: Reason
    study: Name
    fingerprint: Sha256
    privacy: Literal["none"] = "none"
    places: Count
    training_patients: Count
    training_records: Count
    epochs: Count
    kept_epoch: Count
    seed: Count
    validation: Judged
    test: Judged

    @classmethod
    def read(cls, folder: Path) -> "Provenance | None":
        """What `folder` says; None where it says nothing, or was written by a run.

        One that a hospital fine-tuned is a CheckpointError. One that is malformed is a
        CheckpointError or a ConfigError that names the file.
        """
        path = folder / PROVENANCE
        if not path.exists():
            return None
        document = read_object(path)
        if document.get("kind") == _FINE_TUNED:
            raise CheckpointError(
                f"{path}: this model was fine-tuned on a hospital's own patients, without privacy. "
                "It must not leave that hospital: start from the federation's model instead"
            )
        return parse(cls, document, path) if document.get("kind") == "pretrained" else None


def read_object(path: Path) -> dict[str, Any]:
    """The JSON object in `path`, which may come from anywhere; else a CheckpointError."""
    check_size(path, LARGEST_TEXT)
    try:
        document = json.loads(path.read_bytes().decode("utf-8"))
    except (ValueError, RecursionError):
        raise CheckpointError(f"{path}: is not valid JSON") from None
    if not isinstance(document, dict):
        raise CheckpointError(f"{path}: holds no JSON object")
    return document


def check_size(path: Path, most: int) -> None:
    """Refuse what is no file, and one of more than `most` bytes, before any of it is read."""
    if not path.is_file():
        raise CheckpointError(f"{path}: is missing, or no file")
    size = path.stat().st_size
    if size > most:
        raise CheckpointError(
            f"{path}: has {size} bytes; at most {most} are possible for this study's model"
        )
