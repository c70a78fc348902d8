"""What a round of a real federation costs beyond its training: four hospitals on this machine.

    python -m benchmarks.deployed.rounds --rounds 20

Coordinator, gateway and nodes are started by the commands that people type, with the demo's model
and few patients, so that training takes a fraction of a second. Processor seconds are read from
/proc and hold what the processes started; the first round, in which files are read, is left out.
"""

import statistics
import tempfile
from itertools import pairwise
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table

from irene_model.console import new_app, run_app
from tests.helpers.federations.demo_rounds import demo_rounds
from tests.helpers.federations.deployed import Deployed, Sample

app = new_app(
    "Seconds and processor seconds of a deployed round, by process.\n"
    "\n"
    "Start here: `python -m benchmarks.deployed.rounds --rounds 20`\n"
)


@app.command()
def main(
    *,
    rounds: Annotated[int, typer.Option(min=3, help="Rounds of the run.")] = 20,
    patients: Annotated[int, typer.Option(min=80, help="Of all hospitals together.")] = 600,
) -> None:
    """One line for each kind of process, of all hospitals together, and the seconds of a round."""
    with tempfile.TemporaryDirectory() as scratch:
        federation = Deployed(folder=Path(scratch), scenario=demo_rounds(rounds, patients=patients))
        try:
            federation.start()
            samples = list(federation.rounds_of("rounds"))
            trained = sorted(
                entry["seconds"]
                for line in federation.lines_of("rounds")[1:]
                for entry in line["sites"].values()
            )
        finally:
            federation.end()
    show(samples, statistics.median(trained))


def show(samples: list[Sample], reply_s: float) -> None:
    """The table of all rounds but the first."""
    took = sorted(b.at - a.at for a, b in pairwise(samples))
    table = Table(title=f"{len(took)} rounds, processor seconds a round")
    table.add_column("process")
    table.add_column("seconds", justify="right")
    for name, seconds in sorted(by_kind(samples).items(), key=lambda each: -each[1]):
        table.add_row(name, f"{seconds:.2f}")
    console = Console()
    console.print(table)
    console.print(
        f"a round: median {statistics.median(took):.1f} s, from {took[0]:.1f} to {took[-1]:.1f}; "
        f"a site's reply, median: {reply_s:.1f} s; "
        f"processor: {sum(by_kind(samples).values()):.1f} s"
    )


def by_kind(samples: list[Sample]) -> dict[str, float]:
    """Kind of process -> its processor seconds a round, of all hospitals together.

    A process that was started anew counts from its start.
    """
    total: dict[str, float] = {}
    for before, after in pairwise(samples):
        for name, use in after.uses.items():
            kind = f"hospitals: {name.split('/')[1]}" if "/" in name else name
            known = before.uses.get(name)
            spent = use.seconds - (known.seconds if known else 0.0)
            total[kind] = total.get(kind, 0.0) + (spent if spent >= 0 else use.seconds)
    return {kind: seconds / max(1, len(samples) - 1) for kind, seconds in total.items()}


if __name__ == "__main__":
    run_app(app)
