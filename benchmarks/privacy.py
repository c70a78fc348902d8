"""What privacy costs: time and peak memory of each engine over the non-private step.

Two more stand beside the product's engines: `unguarded`, which is `fused` without what keeps the
clip a bound under hostile weights, and Opacus' `ghost`, which is not offered. What the guard costs
is printed as the step of `fused` over that of `unguarded`.

One step is what training does: the gradient of one batch (clipped and summed by an engine, or
autograd's) and, listed by itself, all of it with the noise, which is drawn once a step however many
micro-batches the step has. The variants of a group take turns, so that other work on the machine
meets all of them alike; the median of the repetitions counts, and each is compared with its group's
step without privacy. The processor's own seconds are listed too: on a busy machine they leave out
the waiting. Peak memory is a fresh process's, one for each variant, less what it held before it
built the model: weights, gradients, sums, activations and nothing of the imports.
"""

import json
import resource
import statistics
import subprocess
import sys
from pathlib import Path
from typing import Annotated

import torch
import typer
from rich.console import Console
from rich.table import Table

from benchmarks.engines.steps import (
    ENGINES,
    SUBSETS,
    Group,
    Preset,
    Seconds,
    Size,
    Variant,
    device,
    new_model,
    new_step,
)
from client.private import trained_parameters
from irene_model.console import new_app, run_app

app = new_app(
    "Time and peak memory of the private step over the non-private one.\n"
    "\n"
    "Start here: `python -m benchmarks.privacy measure --preset small --batch 16`\n"
)
PresetOption = Annotated[
    Preset, typer.Option("--preset", help="The model's sizes; base is the authors'.")
]
BatchSize = Annotated[int, typer.Option(min=1, help="Patients in one micro-batch.")]
Bf16 = Annotated[
    bool, typer.Option("--bf16/--no-bf16", help="bfloat16 autocast, as training does on a GPU.")
]
Figures = dict[Variant, dict[str, float]]
MEBI = 2**20


@app.command()
def measure(
    *,
    preset: PresetOption = "small",
    batch: BatchSize = 16,
    repetitions: Annotated[int, typer.Option(min=1, help="Turns of each variant.")] = 5,
    bf16: Bf16 = False,
    engine: Annotated[Variant | None, typer.Option(help="Measure this one only.")] = None,
    guard: Annotated[
        bool, typer.Option("--guard", help="Only what the guard costs: fused, and it unguarded.")
    ] = False,
    checkpointing: Annotated[
        bool, typer.Option("--checkpointing", help="Also with gradient checkpointing, fused only.")
    ] = False,
    subsets: Annotated[
        bool, typer.Option("--subsets", help="Also where a part is trained, fused only.")
    ] = False,
    out: Annotated[Path | None, typer.Option(help="Write the figures here too, as JSON.")] = None,
) -> None:
    """Measure the engines side by side.

    Examples: `python -m benchmarks.privacy measure --preset base --batch 4 --out base.json`;
    with `OMP_NUM_THREADS=1` for one thread.
    """
    size = Size(preset=preset, batch=batch, bf16=bf16)
    engines: tuple[Variant, ...] = ("unguarded", "fused") if guard else ENGINES
    groups: list[tuple[Group, tuple[Variant, ...]]] = [
        (Group(), ("plain", *((engine,) if engine else engines)))
    ]
    if checkpointing:
        groups.append((Group(checkpointing=True), ("plain", "fused")))
    if subsets:
        groups += [(Group.model_validate({"parameters": p}), ("plain", "fused")) for p in SUBSETS]
    # First, while this process is small: a new one's peak begins at that of its parent.
    peaks = [{v: _peak_in_a_new_process(v, group, size) for v in vs} for group, vs in groups]
    figures: dict[str, Figures] = {}
    for (group, variants), memory in zip(groups, peaks, strict=True):
        rows = _take_turns(group, variants, size, repetitions)
        figures[group.title] = {v: row | {"peak_mib": memory[v]} for v, row in rows.items()}
    _show(figures, f"{preset}, batch {batch}, {'bf16' if bf16 else 'float32'}, {device().type}")
    if out is not None:
        settings = {"preset": preset, "batch": batch, "bf16": bf16, "device": device().type}
        settings |= {"threads": torch.get_num_threads(), "torch": torch.__version__}
        out.write_text(json.dumps({"settings": settings, "figures": figures}, indent=2) + "\n")


@app.command(hidden=True)
def peak(
    variant: Annotated[Variant, typer.Argument()],
    group: Annotated[str, typer.Argument(help="A group, as JSON.")],
    preset: PresetOption,
    batch: BatchSize,
    bf16: Bf16 = False,
) -> None:
    """Two steps in this process, and its peak memory in MiB on stdout."""
    imports = _peak_so_far()
    size = Size(preset=preset, batch=batch, bf16=bf16)
    step = new_step(variant, Group.model_validate_json(group), size)
    step()
    step()  # the second has all that stays between steps
    typer.echo(f"{_peak_so_far() - imports:.1f}")


def _take_turns(
    group: Group, variants: tuple[Variant, ...], size: Size, repetitions: int
) -> Figures:
    """Median seconds of each variant, and the size of an update."""
    steps = {v: new_step(v, group, size) for v in variants}
    taken: dict[Variant, list[Seconds]] = {v: [] for v in variants}
    for turn in range(repetitions + 1):
        for variant, step in steps.items():
            seconds = step()
            if turn:  # the first one warms up
                taken[variant].append(seconds)
    trained = trained_parameters(new_model(group, size.preset))
    return {
        variant: {
            "gradient_s": statistics.median(s.gradient for s in taken[variant]),
            "gradient_cpu_s": statistics.median(s.gradient_cpu for s in taken[variant]),
            "step_cpu_s": statistics.median(s.step_cpu for s in taken[variant]),
            "update_mib": sum(p.numel() * p.itemsize for p in trained) / MEBI,
        }
        for variant in variants
    }


def _peak_so_far() -> float:
    """MiB, of the GPU's tensors or of this process."""
    if device().type == "cuda":
        return torch.cuda.max_memory_allocated() / MEBI
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024  # KiB on Linux


def _peak_in_a_new_process(variant: Variant, group: Group, size: Size) -> float:
    command = [sys.executable, "-m", "benchmarks.privacy", "peak", variant]
    command += [group.model_dump_json(), "--preset", size.preset, "--batch", str(size.batch)]
    command += ["--bf16" if size.bf16 else "--no-bf16"]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    return float(done.stdout)


def _show(figures: dict[str, Figures], title: str) -> None:
    table = Table(title=title, caption="x: over plain; a step adds noise, which is drawn once")
    columns = {
        "gradient_s": "grad, s",
        "gradient_cpu_s": "CPU, s",
        "step_cpu_s": "step CPU, s",
        "peak_mib": "MiB",
    }
    table.add_column("trained")
    table.add_column("variant")
    for heading in columns.values():
        table.add_column(heading, justify="right")
        table.add_column("x", justify="right")
    table.add_column("update, MiB", justify="right")
    for group, rows in figures.items():
        for variant, row in rows.items():
            cells = []
            for name in columns:
                cells += [f"{row[name]:.3f}" if name.endswith("_s") else f"{row[name]:.0f}"]
                cells += [f"{row[name] / rows['plain'][name]:.2f}"]
            first = group if variant == "plain" else ""
            table.add_row(first, variant, *cells, f"{row['update_mib']:.2f}")
        table.add_section()
    console = Console()
    console.print(table)
    for group, rows in figures.items():
        if {"unguarded", "fused"} <= set(rows):
            share = rows["fused"]["step_cpu_s"] / rows["unguarded"]["step_cpu_s"]
            console.print(f"the guard, {group}: {share:.3f}x of the unguarded step's CPU time")


if __name__ == "__main__":
    run_app(app)
