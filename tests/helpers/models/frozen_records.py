"""Records that frozen encoders have read, and a study of them."""

import torch

from irene_model.inputs.tensors import Batch
from irene_model.study.study import Study
from tests.helpers.hospital_folder import STUDY
from tests.helpers.image_encoders import TINY_WIDTH as F

LABELS, LABS, PATCHES, WORDS = 2, 2, 4, 6
PANEL = {
    "name": "vitals", "unit": "1", "low": -1, "high": 1, "values": ["a", "b", "c"],
}  # fmt: skip


def probe_study(**changes: object) -> Study:
    encoder = {"kind": "frozen", "name": "x", "sha256": "0" * 64}
    document = {
        **STUDY,
        "image": {**STUDY["image"], "encoder": encoder, "width": F},
        "text": {"encoder": encoder, "max_tokens": WORDS, "width": F},
        "model": {"method": "linear_probe"},
        **changes,
    }
    return Study.model_validate(document)


def records(size: int, *, panels: int = 0, seed: int = 0) -> Batch:
    """Records with gaps, whose first label follows from the image and the laboratory."""
    generator = torch.Generator().manual_seed(seed)

    def normal(*shape: int) -> torch.Tensor:
        return torch.randn(*shape, generator=generator)

    def mask(*shape: int) -> torch.Tensor:
        return torch.rand(*shape, generator=generator) > 0.2

    batch: Batch = {
        "image_embeddings": normal(size, 1 + PATCHES, F),
        "image_mask": mask(size),
        "text_embeddings": normal(size, WORDS, F),
        "text_mask": mask(size, WORDS) & mask(size, 1),
        "lab_values": normal(size, LABS),
        "lab_mask": mask(size, LABS),
        "age": torch.rand(size, generator=generator),
        "sex": mask(size).float(),
        "demographics_mask": mask(size, 2),
        "label_mask": torch.ones(size, LABELS, dtype=torch.bool),
    }
    if panels:
        batch["panel_values"], batch["panel_mask"] = normal(size, panels), mask(size, panels)
    image = batch["image_embeddings"][:, 0]
    drive = 2 * (image[:, 0] - image[:, 1]) * batch["image_mask"] + batch["lab_values"][:, 0]
    labels = torch.stack([drive, normal(size)], dim=1) + normal(size, LABELS)
    batch["labels"] = (labels > 0.5).float()
    return batch
