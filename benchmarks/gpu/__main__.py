"""`python -m benchmarks.gpu`: all sections one after another, a table, and JSON as they come."""

import shlex
import sys
import tempfile
import time
from collections.abc import Mapping
from dataclasses import asdict, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Literal

import typer
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table

from benchmarks.gpu.bounded import prepare, run
from benchmarks.gpu.section import Asked, Failure, Record
from irene_model.console import new_app, run_app
from irene_model.errors import ConfigError

app = new_app(
    "What a GPU makes of the model and of its privacy: one table, and JSON.\n"
    "\n"
    "Meant to take less than five minutes on one H100. All of it in small, without a GPU:\n"
    "`python -m benchmarks.gpu --device cpu --preset tiny --seconds 0.1 --most 4 --out tiny.json`\n"
)
# What one wants to know most is first: where time is short, the last ones are left out. Seconds
# bound a section that hangs.
SECTIONS: dict[str, tuple[str, float]] = {
    "device": ("benchmarks.gpu.device:measure", 60.0),
    "memory": ("benchmarks.gpu.memory:measure", 100.0),
    "speed": ("benchmarks.gpu.speed:measure", 40.0),
    "privacy": ("benchmarks.gpu.engines:measure", 80.0),
    "parity": ("benchmarks.gpu.engines:parity", 40.0),
    "kinds": ("benchmarks.gpu.kinds:measure", 60.0),
    "feeding": ("benchmarks.gpu.feeding:measure", 60.0),
    "trainer": ("benchmarks.gpu.starting:measure", 90.0),
    "compile": ("benchmarks.gpu.kinds:compiled", 180.0),
}
_LEAST_S = 3.0
_DIGITS = 3
_WIDTH = 120  # characters, where what is printed goes into a file


@app.command()
def main(
    *,
    out: Annotated[Path, typer.Option(metavar="FILE", help="Write the figures here, as JSON.")],
    device: Annotated[str, typer.Option(help="auto, cpu, cuda or cuda:1.")] = "auto",
    preset: Annotated[
        Literal["tiny", "small", "base"], typer.Option(help="The model's sizes.")
    ] = "base",
    seconds: Annotated[float, typer.Option(min=0.01, help="Of turns, for each comparison.")] = 2.0,
    limit: Annotated[float, typer.Option(min=1, help="Seconds of all sections.")] = 290.0,
    most: Annotated[int, typer.Option(min=1, help="Records in a batch.")] = 4096,
    compile: Annotated[
        bool, typer.Option("--compile", help="Also torch.compile: minutes more.")
    ] = False,
    peak_tflops: Annotated[
        float | None,
        typer.Option(min=0.001, help="The device's in bfloat16, where its name is not known."),
    ] = None,
    only: Annotated[
        list[str] | None, typer.Option(help="This section only; may be repeated.")
    ] = None,
) -> None:
    """Measure section by section; one that fails or takes too long does not stop the others.

    Example: `python -m benchmarks.gpu --out h100.json`
    """
    if not out.parent.is_dir():
        raise ConfigError(f"--out {out}: its folder does not exist; make it first")
    if unknown := sorted(set(only or ()) - set(SECTIONS)):
        raise ConfigError(f"--only {unknown[0]}: must be one of {', '.join(SECTIONS)}")
    chosen = only or [name for name in SECTIONS if compile or name != "compile"]
    with tempfile.TemporaryDirectory(prefix="gpu-benchmark-") as folder:
        asked = Asked(
            device=_device(device),
            preset=preset,
            seconds=seconds,
            most=most,
            folder=Path(folder),
            peak_tflops=peak_tflops,
        )
        record = Record(settings=_settings(asked))
        _run(asked, [name for name in SECTIONS if name in chosen], record, limit, out)
    where = f"{record.facts.get('device', asked.device)}, {preset}, bf16"
    console = Console()
    console.width = max(console.width, _WIDTH)
    console.print(_table(record, where))


def _run(asked: Asked, names: list[str], record: Record, limit_s: float, out: Path) -> None:
    prepare(sorted({SECTIONS[name][0].partition(":")[0] for name in names}))
    until = time.monotonic() + limit_s
    columns = (TextColumn("{task.description:40}"), BarColumn(), TimeElapsedColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True) as progress:
        bar = progress.add_task("", total=len(names))
        for name in names:
            place, most_s = SECTIONS[name]
            started = time.monotonic()
            progress.update(bar, description=name)
            left = min(most_s, until - started)
            if left < _LEAST_S:
                record.failures[name] = Failure(reason="left out: the time of --limit was used up")
                continue
            counted = replace(asked, batches=record.batches)
            failure = run(place, counted, limit_s=left, tell=record.add)
            if failure is not None:
                record.failures[name] = failure
            record.seconds[name] = time.monotonic() - started
            record.write(out)
            progress.advance(bar)
    record.write(out)


def _device(name: str) -> str:
    if name == "cpu":
        return name
    import torch

    if name == "auto":
        return "cuda" if torch.cuda.is_available() else "cpu"
    try:
        kind = torch.device(name).type
    except RuntimeError:
        kind = ""
    if kind != "cuda":
        raise ConfigError(f"--device {name}: must be auto, cpu, cuda or cuda:1")
    if not torch.cuda.is_available():
        raise ConfigError(f"--device {name}: PyTorch sees no GPU here")
    return name


def _settings(asked: Asked) -> dict[str, object]:
    command = shlex.join(["python", "-m", "benchmarks.gpu", *sys.argv[1:]])
    when = datetime.now(UTC).isoformat(timespec="seconds")
    numbers = {n: v for n, v in asdict(asked).items() if n not in ("folder", "batches")}
    return {"command": command, "when": when, **numbers}


def _table(record: Record, title: str) -> Table:
    """One line a figure; a section that gave no more says why in its last line."""
    shown = Table(title=title, caption=_caption(record.facts))
    for heading in ("section", "what", "variant"):
        shown.add_column(heading, overflow="fold")
    shown.add_column("figure", justify="right", no_wrap=True)
    for heading in ("beside", "goal", "note"):
        shown.add_column(heading, overflow="fold")
    for section in dict.fromkeys([*(line.section for line in record.lines), *record.failures]):
        named = section
        for line in record.lines:
            if line.section == section:
                shown.add_row(
                    named,
                    line.what,
                    line.variant,
                    "–" if line.value is None else f"{_figure(line.value)} {line.unit}",
                    "" if line.ratio is None else f"{line.ratio:.2f} × {line.over}",
                    line.goal,
                    line.note,
                )
                named = ""
        if section in record.failures:
            shown.add_row(named, "no more", "", "–", "", "", record.failures[section].reason)
        shown.add_section()
    return shown


def _caption(facts: Mapping[str, object]) -> str:
    return ", ".join(f"{name} {value}" for name, value in facts.items() if value is not None)


def _figure(value: float) -> str:
    return f"{value:.0f}" if abs(value) >= 10**_DIGITS else f"{value:.{_DIGITS}g}"


if __name__ == "__main__":
    run_app(app)
