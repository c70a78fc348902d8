"""Records to tensors. The legend of all shapes.

B records, C channels, H = W pixels, T text tokens, E numbers each, L laboratory values, K labels.

| key               | shape        | meaning                                               |
| ----------------- | ------------ | ----------------------------------------------------- |
| pixel_values      | (B, C, H, W) | float, -1 black to 1 white                             |
| image_mask        | (B,)         | bool, there is a radiograph                            |
| input_ids         | (B, T)       | int64, tokens of the complaint, or in their place      |
| text_embeddings   | (B, T, E)    | float, the study's frozen encoder's vectors of them    |
| text_mask         | (B, T)       | bool                                                   |
| lab_values        | (B, L)       | float, scaled by the reference interval                |
| lab_mask          | (B, L)       | bool, measured                                         |
| age, sex          | (B,)         | years / 100; 0 female, 1 male                          |
| demographics_mask | (B, 2)       | bool, age then sex                                     |
| labels            | (B, K)       | float 0 or 1                                           |
| label_mask        | (B, K)       | bool, annotated                                        |

True means present. What is behind a false mask is 0. Scaling uses the study's reference intervals
and never statistics of patients, so it leaks nothing and is the same at every site.
"""

import math
from collections.abc import Mapping, Sequence

import numpy as np
import numpy.typing as npt
import torch

from irene_model.records import Record
from irene_model.shapes import LabTest
from irene_model.study import Study
from irene_model.text import TextReader

Batch = dict[str, torch.Tensor]
_MASKS = {
    "image": "image_mask",
    "text": "text_mask",
    "labs": "lab_mask",
    "demographics": "demographics_mask",
}
LAB_CAP = 4.0  # sign(z)·ln(1+|z|) of a value 53 half-widths outside the reference interval


def scale_lab(value: float, test: LabTest) -> float:
    """A value in the study's unit, scaled so that the reference interval is [-ln 2, ln 2].

    z = (value - middle) / half-width, then sign(z)·ln(1+|z|), so that a hundredfold CRP does not
    drown the rest; capped at ±`LAB_CAP`. A censored value stands at its end of the scale: +inf
    (above the detection limit) at the cap, -inf (below it) where a value of 0 would be, since
    concentrations and counts are not negative.
    """
    if value == -math.inf:
        value = min(0.0, test.low)
    middle, half_width = (test.low + test.high) / 2, (test.high - test.low) / 2
    z = (value - middle) / half_width
    if math.isinf(z):
        return LAB_CAP
    return max(-LAB_CAP, min(LAB_CAP, math.copysign(math.log1p(abs(z)), z)))


def encode_records(
    records: Sequence[Record], study: Study, reader: TextReader | None = None
) -> Batch:
    """All tensors but pixels and text vectors, for `records` in order.

    `reader` reads the study's texts; by default it is opened here.
    """
    B, L, K = len(records), len(study.labs), len(study.labels)
    input_ids, text_mask = (reader or TextReader.open(study.text)).tokens(
        [record.text for record in records]
    )
    batch: Batch = {
        "input_ids": input_ids,
        "text_mask": text_mask,
        "lab_values": torch.zeros(B, L),
        "lab_mask": torch.zeros(B, L, dtype=torch.bool),
        "age": torch.zeros(B),
        "sex": torch.zeros(B),
        "demographics_mask": torch.zeros(B, 2, dtype=torch.bool),
        "image_mask": torch.tensor([r.image_path is not None for r in records], dtype=torch.bool),
        "labels": torch.zeros(B, K),
        "label_mask": torch.zeros(B, K, dtype=torch.bool),
    }
    for row, record in enumerate(records):
        for column, test in enumerate(study.labs):
            if test.name in record.labs:
                batch["lab_values"][row, column] = scale_lab(record.labs[test.name], test)
                batch["lab_mask"][row, column] = True
        for column, label in enumerate(study.labels):
            if label in record.labels:
                batch["labels"][row, column] = record.labels[label]
                batch["label_mask"][row, column] = True
        if record.age_years is not None and "age" in study.demographics:
            batch["age"][row] = record.age_years / 100
            batch["demographics_mask"][row, 0] = True
        if record.sex is not None and "sex" in study.demographics:
            batch["sex"][row] = float(record.sex == "male")
            batch["demographics_mask"][row, 1] = True
    return batch


def encode_pixels(pixels: npt.NDArray[np.uint8], study: Study) -> torch.Tensor:
    """Grey pixels (B, H, W) 0..255 to float (B, C, H, W) in [-1, 1]."""
    grey = torch.from_numpy(np.ascontiguousarray(pixels)).float().div_(127.5).sub_(1.0)
    return grey.unsqueeze(1).expand(-1, study.image.channels, -1, -1)


def drop_modalities(
    batch: Mapping[str, torch.Tensor], rates: Mapping[str, float], rng: np.random.Generator
) -> Batch:
    """The batch with some records' modalities hidden, each as a whole with its chance in `rates`.

    Draws are independent of record and modality and of the records' values, so no record changes
    another's gradient. A record whose every modality would go keeps all. Only the masks change.
    """
    masks = {name: batch[_MASKS[name]] for name in rates}
    shape = (len(batch["labels"]), len(masks))
    drawn = torch.from_numpy(rng.random(shape) < np.array(list(rates.values())))
    present = torch.stack([m.flatten(1).any(dim=1) if m.ndim > 1 else m for m in masks.values()], 1)
    kept = ~drawn.to(present.device)
    kept |= ~(present & kept).any(dim=1, keepdim=True)
    hidden = {
        _MASKS[name]: mask & kept[:, i].view(-1, *[1] * (mask.ndim - 1))
        for i, (name, mask) in enumerate(masks.items())
    }
    return {**batch, **hidden}


def take(tensors: Mapping[str, torch.Tensor], rows: torch.Tensor) -> Batch:
    """The given rows of every tensor."""
    return {name: tensor[rows] for name, tensor in tensors.items()}
