"""Records to tensors. The legend of all shapes.

B records, C channels, H = W pixels, N patches, F numbers of an image encoder's vector, T text
tokens, E numbers each, L laboratory values, P values of all further panels side by side, S patches
of sound, W numbers each, K labels.

| key               | shape        | meaning                                               |
| ----------------- | ------------ | ----------------------------------------------------- |
| pixel_values      | (B, C, H, W) | float, -1 black to 1 white                             |
| image_embeddings  | (B, 1+N, F)  | in its place the study's frozen encoder's vectors      |
| image_mask        | (B,)         | bool, there is a radiograph                            |
| input_ids         | (B, T)       | int64, tokens of the complaint, or in their place      |
|                   | (B, T, W)    | likewise, of W windows: they share places, -1 is none  |
| text_embeddings   | (B, T, E)    | float, the study's frozen encoder's vectors of them    |
| text_mask         | (B, T)       | bool                                                   |
| lab_values        | (B, L)       | float, scaled by the reference interval                |
| lab_mask          | (B, L)       | bool, measured                                         |
| panel_values      | (B, P)       | float, likewise; only where the study has panels       |
| panel_mask        | (B, P)       | bool, measured                                         |
| sound_values      | (B, S, W)    | float, a patch's levels; only where it has sounds      |
| sound_mask        | (B, S)       | bool, recorded                                         |
| age, sex          | (B,)         | years / 100; 0 female, 1 male                          |
| demographics_mask | (B, 2)       | bool, age then sex                                     |
| labels            | (B, K)       | float 0 or 1                                           |
| label_mask        | (B, K)       | bool, annotated                                        |

True means present. What is behind a false mask is 0 (of a patch of sound -1).
Scaling uses the study's reference intervals and never statistics of patients, so it leaks nothing
and is the same at every site.
"""

import math
from collections.abc import Mapping, Sequence

import numpy as np
import numpy.typing as npt
import torch

from irene_model.inputs.text import TextReader
from irene_model.study import Measurement, Record, Study

Batch = dict[str, torch.Tensor]
Hidden = Mapping[str, npt.NDArray[np.bool_]]  # modality -> (B,), the records that lose it
Mask = tuple[str, slice]  # a tensor of presence, and which part of its last axis
LAB_CAP = 4.0  # sign(z)·ln(1+|z|) of a value 53 half-widths outside the reference interval


def masks(study: Study) -> dict[str, Mask]:
    """Modality or panel -> where its presence stands in a batch."""
    return {each.name: (each.mask, each.place or slice(None)) for each in study.reads}


def scale_values(
    values: npt.ArrayLike, low: npt.ArrayLike, high: npt.ArrayLike
) -> npt.NDArray[np.float64]:
    """Values in the study's units, scaled so that the reference interval is [-ln 2, ln 2].

    z = (value - middle) / half-width, then sign(z)·ln(1+|z|), so that a hundredfold CRP does not
    drown the rest; capped at ±`LAB_CAP`. A censored value stands at its end of the scale: +inf
    (above the detection limit) at the cap, -inf (below it) where a value of 0 would be, since
    concentrations and counts are not negative. NaN, which was not measured, stays NaN.
    """
    values, low, high = (np.asarray(a, np.float64) for a in (values, low, high))
    values = np.where(np.isneginf(values), np.minimum(0.0, low), values)
    z = (values - (low + high) / 2) / ((high - low) / 2)
    return np.clip(np.copysign(np.log1p(np.abs(z)), z), -LAB_CAP, LAB_CAP)


def scale_lab(value: float, test: Measurement) -> float:
    """One value, by `scale_values`."""
    return float(scale_values(value, test.low, test.high))


def encode_records(
    records: Sequence[Record], study: Study, reader: TextReader | None = None
) -> Batch:
    """All tensors but pixels and text vectors, for `records` in order.

    `reader` reads the study's texts; by default it is opened here.
    """
    B, K = len(records), len(study.labels)
    measured = [[record.labs.get(name, math.nan) for name in study.lab_names] for record in records]
    lab_values, lab_mask = _scaled(measured, study.labs)
    input_ids, text_mask = (reader or TextReader.open(study.text)).tokens(
        [record.text for record in records]
    )
    batch: Batch = {
        "input_ids": input_ids,
        "text_mask": text_mask,
        "lab_values": lab_values,
        "lab_mask": lab_mask,
        "age": torch.zeros(B),
        "sex": torch.zeros(B),
        "demographics_mask": torch.zeros(B, 2, dtype=torch.bool),
        "image_mask": torch.tensor([r.image_path is not None for r in records], dtype=torch.bool),
        "labels": torch.zeros(B, K),
        "label_mask": torch.zeros(B, K, dtype=torch.bool),
    }
    for row, record in enumerate(records):
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
    return batch | _encode_panels(records, study)


def _encode_panels(records: Sequence[Record], study: Study) -> Batch:
    if not study.panels:
        return {}
    parts = []
    for panel in study.panels:
        nothing = np.full(len(panel.values), math.nan)
        rows = [record.panels.get(panel.name, nothing) for record in records]
        parts.append(_scaled(rows, panel.values))
    values, measured = (torch.cat(each, dim=1) for each in zip(*parts, strict=True))
    return {"panel_values": values, "panel_mask": measured}


def _scaled(
    rows: Sequence[npt.ArrayLike], tests: Sequence[Measurement]
) -> tuple[torch.Tensor, torch.Tensor]:
    """Values (B, len(tests)) scaled, 0 where they are NaN, and whether they are measured."""
    values = np.array(rows, np.float64).reshape(len(rows), len(tests))
    low, high = (np.array([getattr(test, end) for test in tests]) for end in ("low", "high"))
    scaled = torch.from_numpy(scale_values(values, low, high)).float()
    return scaled.nan_to_num(0.0), ~scaled.isnan()


def encode_pixels(pixels: npt.NDArray[np.uint8], study: Study) -> torch.Tensor:
    """Grey pixels (B, H, W) 0..255 to float (B, C, H, W) in [-1, 1]."""
    return _scaled_pixels(torch.from_numpy(np.ascontiguousarray(pixels)), study)


def decode(kept: Mapping[str, torch.Tensor], study: Study) -> Batch:
    """The model's inputs of what a data set keeps, where it lies: on a GPU, by the GPU.

    kept: as the legend says, but `pixel_values` (B, H, W) and patches uint8, and embeddings of any
        float.
    """
    batch = dict(kept)
    if "pixel_values" in kept:
        batch["pixel_values"] = _scaled_pixels(kept["pixel_values"], study)
    for name in kept.keys() & {each.patches for each, _ in study.further}:
        batch[name] = _scaled_levels(kept[name])
    for name in ("text_embeddings", "image_embeddings"):
        if name in kept:
            batch[name] = kept[name].float()
    return batch


def _scaled_pixels(pixels: torch.Tensor, study: Study) -> torch.Tensor:
    return _scaled_levels(pixels).unsqueeze(1).expand(-1, study.image.channels, -1, -1)


def _scaled_levels(levels: torch.Tensor) -> torch.Tensor:
    return levels.float().div_(127.5).sub_(1.0)


def drop_modalities(
    batch: Mapping[str, torch.Tensor],
    rates: Mapping[str, float],
    study: Study,
    rng: np.random.Generator,
) -> Batch:
    """The batch with some records' modalities hidden, each as a whole with its chance in `rates`.

    Draws are independent of record and modality and of the records' values, so no record changes
    another's gradient. A record whose every modality would go keeps all. Only the masks change.
    """
    return hide(batch, draw_hidden(len(batch["labels"]), rates, rng), study)


def draw_hidden(count: int, rates: Mapping[str, float], rng: np.random.Generator) -> Hidden:
    """Which modalities of `count` records would go; the same numbers in one draw or in several."""
    drawn = rng.random((count, len(rates))) < np.array(list(rates.values()))
    return {name: drawn[:, index] for index, name in enumerate(rates)}


def hide(batch: Mapping[str, torch.Tensor], hidden: Hidden, study: Study) -> Batch:
    """The batch without what was drawn; a record whose every modality would go keeps all."""
    places_of = masks(study)
    drawn = torch.from_numpy(np.stack(list(hidden.values()), axis=1))
    shown = [batch[key][..., part] for key, part in (places_of[name] for name in hidden)]
    present = torch.stack([m.flatten(1).any(dim=1) if m.ndim > 1 else m for m in shown], 1)
    kept = ~drawn.to(present.device)
    kept |= ~(present & kept).any(dim=1, keepdim=True)
    dropped = dict(batch)
    for index, name in enumerate(hidden):
        dropped = _hidden(dropped, places_of[name], ~kept[:, index])
    return dropped


def without(batch: Mapping[str, torch.Tensor], modality: str, study: Study) -> Batch:
    """The batch from which the modality or panel is taken."""
    key, _ = masks(study)[modality]
    everyone = torch.ones(len(batch[key]), dtype=torch.bool, device=batch[key].device)
    return _hidden(batch, masks(study)[modality], everyone)


def _hidden(batch: Mapping[str, torch.Tensor], mask: Mask, rows: torch.Tensor) -> Batch:
    """The batch with one modality hidden in the chosen `rows` (B,)."""
    key, part = mask
    present = batch[key].clone()
    shown = present[..., part]
    shown &= ~rows.view(-1, *[1] * (shown.ndim - 1))
    return {**batch, key: present}


def take(tensors: Mapping[str, torch.Tensor], rows: torch.Tensor) -> Batch:
    """The given rows of every tensor."""
    return {name: tensor[rows] for name, tensor in tensors.items()}
