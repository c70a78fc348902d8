"""What privacy costs: time and peak memory of each engine over the non-private step.

One step is what training does: the gradient of one batch (clipped and summed by an engine, or
autograd's) and, listed by itself, the noise, which is drawn once a step however many micro-batches
the step has. Variants take turns, so that other work on the machine meets all of them alike; the
median of the repetitions counts. The processor's own seconds are listed too: on a busy machine they
leave out the waiting. Peak memory is a fresh process's, one for each variant, less what
it held before it built the model: weights, gradients, sums, activations and nothing of the imports.
"""

import json
import resource
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Literal, NamedTuple

import numpy as np
import torch
import typer
from rich.console import Console
from rich.table import Table

from client.clipping import forward_losses
from client.dp import PrivateGradient
from irene_model.console import new_app, run_app
from irene_model.model import PRESETS, IreneConfig, IreneModel
from irene_model.study import Engine
from irene_model.tensors import Batch

app = new_app(
    "Time and peak memory of the private step over the non-private one.\n"
    "\n"
    "Start here: `python -m benchmarks.privacy measure --preset small --batch 16`\n"
)
Variant = Literal["plain", "fused", "opacus", "ghost"]
ENGINES: tuple[Engine, ...] = ("fused", "opacus", "ghost")
Preset = Annotated[
    Literal["tiny", "small", "base"], typer.Option(help="The model's sizes; base is the authors'.")
]
BatchSize = Annotated[int, typer.Option(min=1, help="Patients in one micro-batch.")]
Bf16 = Annotated[
    bool, typer.Option("--bf16/--no-bf16", help="bfloat16 autocast, as training does on a GPU.")
]
MEBI = 2**20


class Seconds(NamedTuple):
    """Of one step: its gradient without noise, on the clock and on the processor, and all of it."""

    gradient: float
    gradient_cpu: float
    step: float


def device() -> torch.device:
    """The GPU where there is one."""
    return torch.device("cuda" if torch.cuda.is_available() else "cpu")


def new_batch(config: IreneConfig, size: int) -> Batch:
    """Random patients of whom some lack a modality."""
    g = torch.Generator().manual_seed(0)

    def some(*shape: int) -> torch.Tensor:
        return torch.rand(*shape, generator=g) < 0.8

    side = config.image_size
    batch = {
        "pixel_values": torch.randn(size, config.num_channels, side, side, generator=g),
        "image_mask": some(size),
        "input_ids": torch.randint(0, config.vocab_size, (size, config.text_length), generator=g),
        "text_mask": some(size, config.text_length),
        "lab_values": torch.randn(size, config.num_labs, generator=g),
        "lab_mask": some(size, config.num_labs),
        "age": torch.rand(size, generator=g),
        "sex": some(size).float(),
        "demographics_mask": some(size, 2),
        "labels": some(size, config.num_labels).float(),
        "label_mask": some(size, config.num_labels),
    }
    return {name: tensor.to(device()) for name, tensor in batch.items()}


def new_step(variant: Variant, preset: str, size: int, bf16: bool) -> Callable[[], Seconds]:
    """A function that takes one step, noise included."""
    torch.manual_seed(0)
    config = IreneConfig(
        **PRESETS[preset],  # type: ignore[arg-type]
        num_labels=8,
        vocab_size=2000,
        text_width=64,
    )
    model = IreneModel(config).to(device()).train()
    optimizer = torch.optim.SGD(model.parameters(), lr=1e-3)
    batch, rng = new_batch(config, size), np.random.default_rng(0)
    private = None
    if variant != "plain":
        private = PrivateGradient(model, clip_norm=1.0, engine=variant)

    def step() -> Seconds:
        optimizer.zero_grad(set_to_none=True)
        started, cpu = time.perf_counter(), time.process_time()
        with torch.autocast(device().type, dtype=torch.bfloat16, enabled=bf16):
            if private is not None:
                private.accumulate(batch)
            else:
                torch.autograd.backward(forward_losses(model, batch)[1].sum() / size)
        _finish()
        gradient, cpu = time.perf_counter() - started, time.process_time() - cpu
        if private is not None:
            private.release(noise_multiplier=1.0, expected_batch=float(size), rng=rng)
        optimizer.step()
        _finish()
        return Seconds(gradient, cpu, time.perf_counter() - started)

    return step


def _finish() -> None:
    if device().type == "cuda":
        torch.cuda.synchronize()


@app.command()
def measure(
    *,
    preset: Preset = "small",
    batch: BatchSize = 16,
    repetitions: Annotated[int, typer.Option(min=1, help="Turns of each variant.")] = 5,
    bf16: Bf16 = False,
    engine: Annotated[Engine | None, typer.Option(help="Measure this one only.")] = None,
    out: Annotated[Path | None, typer.Option(help="Write the figures here too, as JSON.")] = None,
) -> None:
    """Measure the engines side by side.

    Examples: `python -m benchmarks.privacy measure --preset base --batch 4 --out base.json`;
    with `OMP_NUM_THREADS=1` for one thread.
    """
    variants: tuple[Variant, ...] = ("plain", *((engine,) if engine else ENGINES))
    # First, while this process is small: a new one's peak begins at that of its parent.
    memory = {v: _peak_in_a_new_process(v, preset, batch, bf16) for v in variants}
    steps = {v: new_step(v, preset, batch, bf16) for v in variants}
    taken: dict[Variant, list[Seconds]] = {v: [] for v in variants}
    for turn in range(repetitions + 1):
        for variant, step in steps.items():
            seconds = step()
            if turn:  # the first one warms up
                taken[variant].append(seconds)
    figures = {
        variant: {
            "gradient_s": statistics.median(s.gradient for s in taken[variant]),
            "gradient_cpu_s": statistics.median(s.gradient_cpu for s in taken[variant]),
            "step_s": statistics.median(s.step for s in taken[variant]),
            "peak_mib": memory[variant],
        }
        for variant in variants
    }
    _show(figures, f"{preset}, batch {batch}, {'bf16' if bf16 else 'float32'}, {device().type}")
    if out is not None:
        settings = {"preset": preset, "batch": batch, "bf16": bf16, "device": device().type}
        settings |= {"threads": torch.get_num_threads(), "torch": torch.__version__}
        out.write_text(json.dumps({"settings": settings, "figures": figures}, indent=2) + "\n")


@app.command(hidden=True)
def peak(
    variant: Annotated[Variant, typer.Argument()],
    preset: Preset,
    batch: BatchSize,
    bf16: Bf16 = False,
) -> None:
    """Two steps in this process, and its peak memory in MiB on stdout."""
    imports = _peak_so_far()
    step = new_step(variant, preset, batch, bf16)
    step()
    step()  # the second has all that stays between steps
    typer.echo(f"{_peak_so_far() - imports:.1f}")


def _peak_so_far() -> float:
    """MiB, of the GPU's tensors or of this process."""
    if device().type == "cuda":
        return torch.cuda.max_memory_allocated() / MEBI
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024  # KiB on Linux


def _peak_in_a_new_process(variant: Variant, preset: str, batch: int, bf16: bool) -> float:
    command = [sys.executable, "-m", "benchmarks.privacy", "peak", variant]
    command += ["--preset", preset, "--batch", str(batch), "--bf16" if bf16 else "--no-bf16"]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    return float(done.stdout)


def _show(figures: dict[Variant, dict[str, float]], title: str) -> None:
    table = Table(title=title, caption="x: over the non-private step; a step adds noise to it")
    table.add_column("variant")
    columns = {
        "gradient_s": "grad, s",
        "gradient_cpu_s": "CPU, s",
        "step_s": "step, s",
        "peak_mib": "MiB",
    }
    for heading in columns.values():
        table.add_column(heading, justify="right")
        table.add_column("x", justify="right")
    for variant, row in figures.items():
        cells = []
        for name in columns:
            cells += [f"{row[name]:.3f}" if name.endswith("_s") else f"{row[name]:.0f}"]
            cells += [f"{row[name] / figures['plain'][name]:.2f}"]
        table.add_row(variant, *cells)
    Console().print(table)


if __name__ == "__main__":
    run_app(app)
