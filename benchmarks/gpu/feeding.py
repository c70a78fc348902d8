"""Records a second as a site trains them, from its cache on disk, and from tensors on the device.

A round of more steps less a round of one step: what is left is steps alone, whatever a round costs
around them. Every patient is in every step, a micro-batch at a time, so that both train the same.
"""

import statistics
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace

import numpy as np
import torch

from benchmarks.gpu.section import PLAIN, Asked, Line
from benchmarks.gpu.turns import finish
from client.budget import plan_round
from client.private import Randomness, forward_losses, trained_parameters
from client.records import SiteDataset
from client.site import Memory
from client.training import local_update
from irene_model.inputs import encode_records
from irene_model.network import DiagnosticModel
from irene_model.study import Record, Study
from irene_model.weights import new_model

_SECTION = "feeding"
_PARTS, _STEPS = 2, 4  # micro-batches of a step; steps beyond the first
_LEAST_TURNS = 2
_RESIDENT, _DISK = "resident", "from the site's cache"


def measure(asked: Asked) -> Iterator[Line]:
    """Of a step without privacy: noise takes a time of its own, which no feeding hides."""
    part = asked.batch_for(PLAIN, share=0.5)
    site = _Site.new(asked, part * _PARTS)
    ways: dict[str, Callable[[int], None]] = {
        _RESIDENT: lambda steps: _resident(site, part, steps),
        _DISK: lambda steps: _from_disk(site, part, steps),
    }
    taken: dict[str, list[float]] = {name: [] for name in ways}
    for way in ways.values():
        way(1)
    until = time.monotonic() + 2 * asked.seconds
    while time.monotonic() < until or len(taken[_DISK]) < _LEAST_TURNS:
        for name, way in ways.items():
            more = _seconds(way, 1 + _STEPS, asked.device) - _seconds(way, 1, asked.device)
            taken[name].append(more / _STEPS)
    seconds = {name: max(statistics.median(each), 1e-9) for name, each in taken.items()}
    for name, of_step in seconds.items():
        yield Line(
            section=_SECTION,
            what=f"training, {_PARTS} × {part}",
            variant=name,
            value=part * _PARTS / of_step,
            unit="records/s",
            ratio=of_step / seconds[_RESIDENT],
            over=f"{_RESIDENT}'s time",
        )


def _seconds(way: Callable[[int], None], steps: int, device: str) -> float:
    finish(device)
    started = time.perf_counter()
    way(steps)
    finish(device)
    return time.perf_counter() - started


@dataclass(frozen=True, kw_only=True)
class _Site:
    """A site whose pixels lie on disk as its cache keeps them."""

    dataset: SiteDataset
    model: DiagnosticModel
    device: torch.device

    @classmethod
    def new(cls, asked: Asked, count: int) -> "_Site":
        """`count` made-up patients, who all have all modalities."""
        study = _study(asked, count)
        path, side = asked.folder / f"pixels-{count}.npy", study.image.size
        rng = np.random.default_rng(0)
        shape = (count, side, side)
        pixels = np.lib.format.open_memmap(path, mode="w+", dtype=np.uint8, shape=shape)
        for row in range(count):
            pixels[row] = rng.integers(0, 256, (side, side), dtype=np.uint8)
        pixels.flush()
        record = Record(
            patient_id="",
            record_id="",
            split="train",
            image_path=path,
            text="fever and cough since three days",
            labs=dict.fromkeys(study.lab_names, 2.0),
            age_years=50.0,
            sex="female",
            labels=dict.fromkeys(study.labels, 1),
        )
        dataset = SiteDataset(
            study=study,
            pixels=np.load(path, mmap_mode="r"),
            tensors=encode_records([record] * count, study),
            patients={
                "train": tuple(np.arange(count).reshape(-1, 1)), "validation": (), "test": ()
            },
            training_digests=frozenset(),
        )  # fmt: skip
        model = new_model(study, seed=0)
        return cls(dataset=dataset, model=model, device=torch.device(asked.device))


def _from_disk(site: _Site, part: int, steps: int) -> None:
    """What a site does between a message and its answer, but for judging and keeping."""
    plan = plan_round(site.dataset.study, len(site.dataset.pixels), 1)
    local_update(
        site.model,
        dataset=site.dataset,
        plan=replace(plan, mechanism=replace(plan.mechanism, steps=steps)),
        randomness=Randomness.reproducible(seed=0, site="north", round=1),
        device=site.device,
        memory=Memory(micro_batch=part),
    )


def _resident(site: _Site, part: int, steps: int) -> None:
    """The same steps of the same model on one micro-batch that is there already."""
    model = site.model.to(site.device).train()
    batch = {n: t.to(site.device) for n, t in site.dataset.batch(np.arange(part)).items()}
    optimizer = torch.optim.AdamW(trained_parameters(model), lr=1e-3, weight_decay=0.0)
    bf16 = site.device.type == "cuda"  # as training does it
    for _ in range(steps):
        optimizer.zero_grad(set_to_none=False)
        for _ in range(_PARTS):
            with torch.autocast(site.device.type, dtype=torch.bfloat16, enabled=bf16):
                loss = forward_losses(model, batch)[1].sum() / (part * _PARTS)
                torch.autograd.backward(loss)
        optimizer.step()


def _study(asked: Asked, count: int) -> Study:
    """The authors' inputs, in one round of one step."""
    labs = [
        {"name": f"lab {i}", "loinc": f"{i + 1}-0", "unit": "mg/L", "low": 0, "high": 5}
        for i in range(92)
    ]
    return Study.model_validate(
        {
            "name": "benchmark",
            "labels": [f"label {i}" for i in range(8)],
            "image": {"size": 224, "patch": 16},
            "labs": labs,
            "model": {"preset": asked.preset},
            "training": {"expected_batch": count},
            "federation": {"rounds": 1, "local_steps": 1, "minimum_sites": 1},
            "privacy": {"noise_multiplier": 0.0},
        }
    )
