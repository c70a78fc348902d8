"""How fast IRENE is beside a plain transcription of its equations, in one run.

Both have the same weights, batch and dropout. A pass is what inference does (evaluation mode,
without gradients) or what training does (forward and backward). Variants take turns, so that other
work on the machine meets all alike; the fastest of the repetitions counts, as other work only ever
adds. The processor's own seconds are listed beside the clock's: they leave out the waiting. Peak
memory is a fresh process's, one for each variant, less what it held before it built the model.

Utilisation is the model's floating point operations (of its matrix products, as the transcription
makes them) a second, over those of one large square matrix product of the same type in the same
run: what of the device's practical best the model reaches.
"""

import json
import resource
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Literal, NamedTuple, TypedDict

import torch
import typer
from rich.console import Console
from rich.table import Table
from torch import Tensor
from torch.utils.flop_counter import FlopCounterMode

from benchmarks.engines.steps import Preset, device, new_batch
from benchmarks.engines.transcription import transcribed_logits
from benchmarks.privacy import BatchSize, Bf16
from irene_model.console import new_app, run_app
from irene_model.inputs import Batch
from irene_model.network import PRESETS, IreneConfig, IreneModel, per_sample_loss

app = new_app(
    "Speed and peak memory of IRENE beside a plain transcription of its equations.\n"
    "\n"
    "Start here: `python -m benchmarks.model measure --preset small --batch 16`\n"
)
Variant = Literal["plain", "irene"]
Pass = Literal["forward", "training"]
VARIANTS: tuple[Variant, ...] = ("plain", "irene")
PASSES: tuple[Pass, ...] = ("forward", "training")
Gaps = Annotated[
    bool, typer.Option("--gaps/--no-gaps", help="A fifth of all inputs is missing, by masks.")
]
AttentionDropout = Annotated[
    float | None,
    typer.Option(min=0, max=0.99, help="On attention weights; the preset's own without it."),
]
_SQUARE = 2048
MEBI = 2**20


class Setting(NamedTuple):
    """What is the same for both variants."""

    preset: str
    batch: int
    bf16: bool
    gaps: bool
    attention_dropout: float | None


class Seconds(NamedTuple):
    """On the clock and on the processor."""

    clock: float
    cpu: float


class Figures(TypedDict):
    """Of one variant and pass; utilisation is a fraction."""

    variant: Variant
    work: Pass
    records_per_s: float
    cpu_s: float
    utilisation: float
    peak_mib: float


def new_step(variant: Variant, passed: Pass, setting: Setting) -> Callable[[], None]:
    """A function that makes one pass."""
    model, batch = _new(setting)
    model.train(passed == "training")
    parameters = list(model.parameters())
    labels, label_mask = batch.pop("labels"), batch.pop("label_mask")

    def logits() -> Tensor:
        with torch.autocast(device().type, dtype=torch.bfloat16, enabled=setting.bf16):
            return transcribed_logits(model, batch) if variant == "plain" else model(**batch).logits

    def forward() -> None:
        with torch.no_grad():
            logits()

    def training() -> None:
        for parameter in parameters:
            parameter.grad = None
        torch.autograd.backward(per_sample_loss(logits().float(), labels, label_mask).mean())

    return training if passed == "training" else forward


def _new(setting: Setting) -> tuple[IreneModel, Batch]:
    torch.manual_seed(0)
    sizes = dict(PRESETS[setting.preset])
    if setting.attention_dropout is not None:
        sizes["attention_probs_dropout_prob"] = setting.attention_dropout
    config = IreneConfig(**sizes, num_labels=8, vocab_size=2000, text_width=64)  # type: ignore[arg-type]
    batch = new_batch(config, setting.batch)
    if not setting.gaps:
        batch = {
            name: tensor
            for name, tensor in batch.items()
            if not name.endswith("_mask") or name == "label_mask"
        }
    return IreneModel(config).to(device()), batch


def timed(step: Callable[[], None]) -> Seconds:
    """One call, until the device has finished."""
    started, cpu = time.perf_counter(), time.process_time()
    step()
    if device().type == "cuda":
        torch.cuda.synchronize()
    return Seconds(time.perf_counter() - started, time.process_time() - cpu)


def operations(passed: Pass, setting: Setting) -> int:
    """Floating point operations of one pass of the transcription, matrix products only."""
    step = new_step("plain", passed, setting)
    with FlopCounterMode(display=False) as counter:
        step()
    return int(counter.get_total_flops())


def new_square(bf16: bool) -> Callable[[], None]:
    """A function that makes one large matrix product."""
    kind = torch.bfloat16 if bf16 else torch.float32
    left, right = torch.randn(2, _SQUARE, _SQUARE, device=device(), dtype=kind).unbind()

    def multiply() -> None:
        torch.mm(left, right)

    return multiply


@app.command()
def measure(
    *,
    preset: Preset = "small",
    batch: BatchSize = 16,
    repetitions: Annotated[int, typer.Option(min=1, help="Turns of each variant.")] = 5,
    bf16: Bf16 = False,
    gaps: Gaps = False,
    attention_dropout: AttentionDropout = None,
    memory: Annotated[bool, typer.Option(help="Measure peak memory, in processes.")] = True,
    out: Annotated[Path | None, typer.Option(help="Write the figures here too, as JSON.")] = None,
) -> None:
    """Measure both variants side by side, forward and forward with backward.

    Example: `OMP_NUM_THREADS=1 python -m benchmarks.model measure --preset base --batch 4 --bf16`
    """
    setting = Setting(preset, batch, bf16, gaps, attention_dropout)
    both = [(v, p) for p in PASSES for v in VARIANTS]
    # First, while this process is small: a new one's peak begins at that of its parent.
    peaks = {each: _peak_in_a_new_process(*each, setting) if memory else 0.0 for each in both}
    work = {passed: operations(passed, setting) for passed in PASSES}
    steps = {each: new_step(*each, setting) for each in both}
    taken: dict[tuple[Variant, Pass], list[Seconds]] = {each: [] for each in both}
    square, squares = new_square(bf16), list[Seconds]()
    for turn in range(repetitions + 1):
        for each, step in steps.items():
            seconds = timed(step)
            if turn:  # the first one warms up
                taken[each].append(seconds)
        squares.append(timed(square))
    best = 2 * _SQUARE**3 / _fastest(squares[1:])
    figures: list[Figures] = [
        {
            "variant": variant,
            "work": passed,
            "records_per_s": batch / min(s.clock for s in taken[variant, passed]),
            "cpu_s": min(s.cpu for s in taken[variant, passed]),
            "utilisation": work[passed] / _fastest(taken[variant, passed]) / best,
            "peak_mib": peaks[variant, passed],
        }
        for variant, passed in both
    ]
    kind = "bf16" if bf16 else "float32"
    _show(figures, f"{preset}, batch {batch}, {kind}, {device().type}{', gaps' if gaps else ''}")
    if out is not None:
        facts = {"device": device().type, "threads": torch.get_num_threads()}
        facts |= {"torch": torch.__version__}
        document = {"settings": setting._asdict() | facts, "figures": figures}
        out.write_text(json.dumps(document, indent=2) + "\n")


def _fastest(seconds: list[Seconds]) -> float:
    """Of the device's own work: the processor's seconds, or a GPU's on the clock."""
    on_gpu = device().type == "cuda"
    return min(s.clock if on_gpu else s.cpu for s in seconds)


@app.command(hidden=True)
def peak(setting: Annotated[str, typer.Argument()]) -> None:
    """Two passes in this process, and its peak memory in MiB on stdout."""
    variant, passed, values = json.loads(setting)
    imports = _peak_so_far()
    step = new_step(variant, passed, Setting(*values))
    step()
    step()  # the second has all that stays between passes
    typer.echo(f"{_peak_so_far() - imports:.1f}")


def _peak_so_far() -> float:
    """MiB, of the GPU's tensors or of this process."""
    if device().type == "cuda":
        return torch.cuda.max_memory_allocated() / MEBI
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024  # KiB on Linux


def _peak_in_a_new_process(variant: Variant, passed: Pass, setting: Setting) -> float:
    command = [sys.executable, "-m", "benchmarks.model", "peak"]
    command.append(json.dumps([variant, passed, list(setting)]))
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    return float(done.stdout)


def _show(figures: list[Figures], title: str) -> None:
    table = Table(title=title, caption="x: over the plain transcription, of the same pass")
    for heading in ("work", "variant"):
        table.add_column(heading)
    for heading in ("records/s", "CPU, s", "x", "of best", "MiB", "x"):
        table.add_column(heading, justify="right")
    plain = {row["work"]: row for row in figures if row["variant"] == "plain"}
    for row in figures:
        beside = plain[row["work"]]
        table.add_row(
            row["work"],
            row["variant"],
            f"{row['records_per_s']:.2g}",
            f"{row['cpu_s']:.3f}",
            f"{row['cpu_s'] / beside['cpu_s']:.2f}",
            f"{row['utilisation']:.0%}",
            f"{row['peak_mib']:.0f}",
            f"{row['peak_mib'] / (beside['peak_mib'] or 1):.2f}",
        )
    Console().print(table)


if __name__ == "__main__":
    run_app(app)
