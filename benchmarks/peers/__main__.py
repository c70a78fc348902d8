"""The same job by this product and by what Flower, NVFlare and FL4Health publish for it.

    python -m benchmarks.peers measure --out peers.json

Four equal hospitals of synthetic patients train the same tiny IRENE, one step of DP-SGD a round,
the same clip and the same noise, without secure sums, which the others lack. Each runs in processes
of its own, those with a package of their own in an environment that is made once. A round costs
what more of them cost: the difference between a long and a short run over their rounds, so starting
is not in it. A peer that does not install has a row that says why.
"""

import json
import shutil
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from statistics import median
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.table import Table

from benchmarks.peers.environments import DoesNotInstallError, environment, python_of
from benchmarks.peers.family import CommandFailedError, Cost, cost_of
from benchmarks.peers.hospitals import write_job
from benchmarks.peers.job import Job
from benchmarks.peers.lines import lines_of
from benchmarks.peers.roster import PEERS, Peer
from irene_model.console import new_app, run_app
from server.runs import versions

app = new_app(
    "The same job by this product and by its peers.\n"
    "\n"
    "Start here: `python -m benchmarks.peers measure --out peers.json`\n"
)
_CHECKOUT = Path(__file__).parents[2]
_CACHE = Path.home() / ".cache/irene-peers"
Row = dict[str, Any]


@app.callback()
def _root() -> None:
    """Keeps `measure` a subcommand."""


@app.command()
def measure(
    out: Annotated[Path, typer.Option(help="A JSON file for all figures.")],
    *,
    patients: Annotated[int, typer.Option(min=64, help="Of all hospitals.")] = 1200,
    short: Annotated[int, typer.Option(min=1, help="Rounds of the short run.")] = 3,
    long: Annotated[int, typer.Option(min=2, help="Rounds of the long run.")] = 18,
    limit: Annotated[float, typer.Option(min=1, help="Seconds a run may take.")] = 1200,
    cache: Annotated[Path, typer.Option(help="Where environments are kept.")] = _CACHE,
) -> None:
    """Processor time and bytes of a round, memory, epsilon as printed and true, lines to write."""
    if long <= short:
        raise typer.BadParameter("the long run must have more rounds", param_hint="--long")
    with tempfile.TemporaryDirectory() as scratch:
        job = write_job(Path(scratch), patients=patients, rounds=long)
        rows = [row_of(peer, job, short=short, limit_s=limit, cache=cache) for peer in PEERS]
    facts = {"job": job.facts, "versions": versions(), "peers": rows}
    out.write_text(json.dumps(facts, indent=2) + "\n", encoding="utf-8")
    show(rows, job)


def row_of(peer: Peer, job: Job, *, short: int, limit_s: float, cache: Path) -> Row:
    """All figures of one peer; `why` says what there are none for."""
    row: Row = {"peer": peer.name, "package": peer.package}
    try:
        python = Path(sys.executable) if peer.package is None else python_of(peer.package, cache)
        if peer.module is None:
            return row | {"why": "installs here, but this benchmark has no job for it"}
        first, _ = _run(peer, python, replace(job, rounds=short), limit_s)
        second, told = _run(peer, python, job, limit_s)
    except (CommandFailedError, DoesNotInstallError) as error:
        return row | {"why": str(error)}
    last = max(line["round"] for line in told)
    written = [_place(name, job) for name in peer.written]
    return row | {
        "processor": (second.processor - first.processor) / (job.rounds - short),
        "start": first.processor - short * (second.processor - first.processor) / (last - short),
        "peak": second.peak,
        "bytes": median(line["bytes"] for line in told),
        "printed": max(line["epsilon"] for line in told if line["round"] == last),
        "record": peer.true_epsilon(job, records=1),
        "patient": peer.true_epsilon(job, records=job.most_records),
        "lines": sum(map(lines_of, written)),
    }


def _run(peer: Peer, python: Path, job: Job, limit_s: float) -> tuple[Cost, Sequence[Row]]:
    folder = Path(job.folder)
    told = folder / "told.jsonl"
    told.unlink(missing_ok=True)
    for left in ("run", "nvflare"):
        shutil.rmtree(folder / left, ignore_errors=True)
    for state in folder.glob("hospitals/*/.irene"):  # its ledger would decline a second run
        shutil.rmtree(state)
    job.write()
    cost = cost_of(
        [str(python), "-m", str(peer.module), str(folder)],
        environment=environment(told),
        folder=folder,
        limit_s=limit_s,
    )
    lines = [json.loads(line) for line in told.read_text().splitlines()] if told.exists() else []
    if not lines or max(line["round"] for line in lines) != job.rounds:
        raise CommandFailedError(f"ended before its {job.rounds} rounds")
    return cost, lines


def _place(name: str, job: Job) -> Path:
    within = name.removeprefix("job/")
    return Path(job.folder) / within if within != name else _CHECKOUT / name


def show(rows: Sequence[Row], job: Job) -> None:
    """A table; what has no figures below it."""
    title = f"{job.rounds} rounds, noise {job.noise:.3g}, delta {job.delta:g}"
    table = Table("", title=title)
    for column in (
        "processor a round, s", "peak, MiB", "kB a site and round", "epsilon printed",
        "of a record", f"of a patient ({job.most_records} records)", "lines",
    ):  # fmt: skip
        table.add_column(column, justify="right")
    for row in rows:
        if "why" not in row:
            table.add_row(
                row["peer"],
                f"{row['processor']:.2f}",
                f"{row['peak']:.0f}",
                f"{row['bytes'] / 1000:.0f}",
                *(f"{row[each]:.2f}" for each in ("printed", "record", "patient")),
                str(row["lines"]),
            )
    console = Console()
    console.print(table)
    for row in rows:
        if "why" in row:
            console.print(f"{row['peer']}: {row['why']}")


if __name__ == "__main__":
    run_app(app)
