"""What secure sums cost a site and the server, beside a private training step.

    OMP_NUM_THREADS=1 python -m benchmarks.secure_sums --out secure.json

For federations of several sizes and the trained parameters of each model: the processor's seconds
in which a site puts its clipped sum on the grid with its noise, and masks it, and in which the
server adds one vector. Beside them the step of `small` with the same clock, in the same
process, and what travels over what float32 would.
"""

import json
import statistics
import time
from collections.abc import Callable
from pathlib import Path
from typing import Annotated

import numpy as np
import typer
from rich.console import Console
from rich.table import Table

from benchmarks.engines.steps import Group, Preset, Size, new_model, new_step
from client.private import trained_parameters
from irene_model.console import new_app, run_app
from irene_model.secure import (
    Attempt,
    Grid,
    Keystream,
    MaskKey,
    add,
    empty,
    grid_of_training,
    mask,
)
from irene_model.study import Member, Study, pack

app = new_app("Processor seconds and bytes of secure sums, over those of a private step.\n")
PRESETS: tuple[Preset, ...] = ("tiny", "small", "base")
COLUMNS = ("noised", "masks", "added")


@app.command()
def measure(
    *,
    sites: Annotated[str, typer.Option(help="Sizes of federations.")] = "3,8,20,50",
    repetitions: Annotated[int, typer.Option(min=1, help="Turns; the median counts.")] = 3,
    batch: Annotated[int, typer.Option(min=1, help="Patients of a site in the step.")] = 32,
    out: Annotated[Path | None, typer.Option(help="Write the figures here too, as JSON.")] = None,
) -> None:
    """Measure all sizes.

    Example: `python -m benchmarks.secure_sums --sites 3,8 --repetitions 5`
    """
    step = new_step("fused", Group(), Size(preset="small", batch=batch, bf16=False))
    small = statistics.median(step().step_cpu for _ in range(repetitions + 1))
    sizes = {preset: _parameters(preset) for preset in PRESETS}
    rows = [
        (preset, count, _measured(numbers, count, repetitions))
        for preset, numbers in sizes.items()
        for count in map(int, sites.split(","))
    ]
    table = Table(title=f"private step of small, {batch} patients: {small:.3f} s of the processor")
    for heading in (
        "model",
        "sites",
        *(f"{name}, s" for name in COLUMNS),
        "masks over the step",
        "bytes over float32",
    ):
        table.add_column(heading, justify="right")
    for preset, count, row in rows:
        cells = [f"{row[name]:.3f}" for name in COLUMNS]
        shares = f"{row['masks'] / small:.1%}", f"{row['bytes_over_float32']:.3f}"
        table.add_row(preset, str(count), *cells, *shares)
    Console().print(table)
    if out is not None:
        document: dict[str, object] = {"step_of_small_s": small, "batch": batch, "rows": []}
        document["rows"] = [
            {"preset": preset, "parameters": sizes[preset], "sites": count, **row}
            for preset, count, row in rows
        ]
        out.write_text(json.dumps(document, indent=2) + "\n", encoding="utf-8")


def _parameters(preset: Preset) -> int:
    return sum(p.numel() for p in trained_parameters(new_model(Group(), preset)))


def _measured(numbers: int, sites: int, repetitions: int) -> dict[str, float]:
    """Median processor seconds of each part, for one site and one vector at the server."""
    grid, attempt, key = _parties(numbers, sites)
    values = np.random.default_rng(0).standard_normal(numbers, dtype=np.float32)
    bits, total = Keystream.of_the_operating_system(), empty(numbers)
    noised = grid.noised(values, bits)
    masked = mask(noised, key, attempt)
    ways: dict[str, Callable[[], object]] = {
        "noised": lambda: grid.noised(values, bits),
        "masks": lambda: mask(noised, key, attempt),
        "added": lambda: add(total, masked),
    }
    return {name: _seconds(way, repetitions) for name, way in ways.items()} | {
        "bytes_over_float32": len(pack(masked, "float32").data) / len(pack(values, "float32").data)
    }


def _seconds(way: Callable[[], object], repetitions: int) -> float:
    taken = []
    for _ in range(repetitions):
        started = time.process_time()
        way()
        taken.append(time.process_time() - started)
    return statistics.median(taken)


def _parties(numbers: int, sites: int) -> tuple[Grid, Attempt, MaskKey]:
    keys = [MaskKey.new() for _ in range(sites)]
    members = tuple(
        Member(name=f"site-{n:02}", node_key=f"{n:064x}", mask_key=key.public)
        for n, key in enumerate(keys)
    )
    study = Study.model_validate(
        {
            "name": "secure sums",
            "labels": ["pneumonia"],
            "image": {"size": 32, "patch": 16},
            "training": {"optimizer": "sgd", "expected_batch": 1024},
            "federation": {
                "rounds": 100,
                "local_steps": 1,
                "minimum_sites": sites,
                "secure": {"patients": 8000},
            },
            "privacy": {"noise_multiplier": 1.2},
        }
    )
    attempt = Attempt(
        fingerprint=study.fingerprint,
        run="benchmark",
        round=1,
        what="train",
        attempt=1,
        partners=members,
        me=members[0].name,
    )
    return grid_of_training(study, numbers), attempt, keys[0]


if __name__ == "__main__":
    run_app(app)
