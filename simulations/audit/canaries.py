"""Canaries: made-up patients, unlike any real one, who join a training set or not."""

from dataclasses import replace

import numpy as np
import numpy.typing as npt
import torch

from client.records import SiteDataset, digest
from irene_model.inputs import LAB_CAP, Batch, decode
from irene_model.study import Study
from irene_model.weights import config_of


def make_canaries(dataset: SiteDataset, count: int, rng: np.random.Generator) -> Batch:
    """`count` records unlike any patient's and unlike each other, with random labels."""
    study = dataset.study
    T, L, K = study.text.max_tokens, len(study.labs), len(study.labels)
    ones = torch.ones(count, dtype=torch.bool)
    return {
        **_image(study, count, rng),
        "image_mask": ones,
        **_text(study, count, rng),
        "text_mask": torch.ones(count, T, dtype=torch.bool),
        "lab_values": torch.from_numpy(rng.uniform(-LAB_CAP, LAB_CAP, (count, L))).float(),
        "lab_mask": torch.ones(count, L, dtype=torch.bool),
        **_panels(study, count, rng),
        **_patches(study, count, rng),
        "age": torch.from_numpy(rng.uniform(0.2, 0.9, count)).float(),
        "sex": torch.from_numpy(rng.integers(0, 2, count)).float(),
        "demographics_mask": torch.ones(count, 2, dtype=torch.bool),
        "labels": torch.from_numpy(rng.integers(0, 2, (count, K))).float(),
        # One label each: a loss that averages over several would be quieter.
        "label_mask": torch.from_numpy(np.eye(K, dtype=bool)[rng.integers(0, K, count)]),
    }


def _image(study: Study, count: int, rng: np.random.Generator) -> Batch:
    """Random blocks, or random vectors where a frozen encoder gives them."""
    image = study.image
    if image.width is not None:
        vectors = rng.standard_normal((count, image.tokens, image.width))
        return {"image_embeddings": torch.from_numpy(vectors).half().float()}
    blocks = rng.integers(0, 2, (count, image.channels, image.size // 4, image.size // 4))
    return {"pixel_values": torch.from_numpy(np.kron(blocks * 2.0 - 1.0, np.ones((4, 4)))).float()}


def _panels(study: Study, count: int, rng: np.random.Generator) -> Batch:
    width = sum(len(panel.values) for panel in study.panels)
    if not width:
        return {}
    values = rng.uniform(-LAB_CAP, LAB_CAP, (count, width))
    return {
        "panel_values": torch.from_numpy(values).float(),
        "panel_mask": torch.ones(count, width, dtype=torch.bool),
    }


def _patches(study: Study, count: int, rng: np.random.Generator) -> Batch:
    kept: Batch = {}
    for each, shape in study.further:
        levels = rng.integers(0, 256, (count, shape.tokens, shape.width), dtype=np.uint8)
        kept[each.patches] = torch.from_numpy(levels)
        kept[each.mask] = torch.ones(count, shape.tokens, dtype=torch.bool)
    return decode(kept, study)


def _text(study: Study, count: int, rng: np.random.Generator) -> Batch:
    """Random tokens, or random vectors where a frozen encoder gives them."""
    T, words = study.text.max_tokens, config_of(study).vocab_size
    if words:
        shape = (count, T) if study.text.windows == 1 else (count, T, study.text.windows)
        return {"input_ids": torch.from_numpy(rng.integers(1, words, shape))}
    vectors = torch.from_numpy(rng.standard_normal((count, T, study.text.width))).half()
    return {"text_embeddings": vectors.float()}


def with_canaries(
    dataset: SiteDataset, canaries: Batch, included: npt.NDArray[np.bool_]
) -> SiteDataset:
    """The data set with the included canaries as further training patients, one record each."""
    kept = torch.from_numpy(np.flatnonzero(included))
    old, image = len(dataset.pixels), dataset.image
    grey = np.zeros((len(kept), *dataset.pixels.shape[1:]), np.uint8)
    if image is not None:
        image = np.concatenate([image, canaries["image_embeddings"][kept].half().numpy()])
    else:
        grey = ((canaries["pixel_values"][kept, 0] + 1) * 127.5).round().to(torch.uint8).numpy()
    rows = tuple(np.array([old + n]) for n in range(len(kept)))
    text = dataset.text
    if text is not None:
        text = np.concatenate([text, canaries["text_embeddings"][kept].half().numpy()])
    patches = {}
    for name, known in dataset.patches.items():
        levels = (canaries[name][kept] + 1) * 127.5
        patches[name] = np.concatenate([known, levels.round().to(torch.uint8).numpy()])
    return replace(
        dataset,
        pixels=np.concatenate([dataset.pixels, grey]),
        image=image,
        text=text,
        patches=patches,
        tensors={
            name: torch.cat([tensor, canaries[name][kept].to(tensor.dtype)])
            for name, tensor in dataset.tensors.items()
        },
        patients={**dataset.patients, "train": (*dataset.patients["train"], *rows)},
        training_digests=dataset.training_digests | {digest(f"canary {n}") for n in kept.tolist()},
    )
