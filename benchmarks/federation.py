"""What many sites cost the server: its peak memory and time, beside Flower's FedAvg in one run.

    python -m benchmarks.federation memory --sites 4 --sites 16 --sites 64

Each figure is a fresh process's, which runs whole rounds of the real round loop, or of Flower's
strategy; the sites alone are emulated (`benchmarks.deployed.emulated_sites`).
"""

import json
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Annotated

import typer
from flwr.app import Array, ArrayRecord
from flwr.serverapp.strategy import FedAvg
from rich.console import Console
from rich.table import Table

from benchmarks.deployed.emulated_sites import EmulatedSites
from irene_model.console import new_app, run_app
from irene_model.study import Study
from irene_model.weights import new_model, to_arrays
from server.rounds import Exchange, Looks, RoundLoop
from server.runs import RunFolder

app = new_app(
    "Peak memory of the server over the number of sites.\n"
    "\n"
    "Start here: `python -m benchmarks.federation memory`\n"
)
ROUNDS = 2
SERVERS = ("irene", "fedavg")
_SITES = [4, 16, 64]


@app.callback()
def _root() -> None:
    """Keeps `memory` a subcommand."""


@app.command()
def memory(
    *,
    sites: Annotated[list[int], typer.Option(min=2, help="How many sites; repeat it.")] = _SITES,
) -> None:
    """Peak memory and seconds a round of our loop and of Flower's FedAvg."""
    megabytes = sum(a.nbytes for a in to_arrays(new_model(_study(2), seed=0)).values()) / 1e6
    table = Table(title=f"{ROUNDS} rounds of a model of {megabytes:.0f} MB")
    for column in ("server", "sites", "peak, MiB", "over the fewest sites", "seconds a round"):
        table.add_column(column, justify="left" if column == "server" else "right")
    for server in SERVERS:
        least = 0.0
        for count in sites:
            command = [sys.executable, "-m", __spec__.name, "once", server, str(count)]
            found = json.loads(subprocess.run(command, check=True, stdout=subprocess.PIPE).stdout)
            least = least or found["peak"]
            table.add_row(
                server,
                str(count),
                f"{found['peak']:.0f}",
                f"{found['peak'] / least:.2f}×",
                f"{found['seconds'] / ROUNDS:.1f}",
            )
    Console().print(table)


@app.command(hidden=True)
def once(server: str, sites: int) -> None:
    """One measurement, in a process of its own."""
    study = _study(sites)
    with tempfile.TemporaryDirectory() as scratch:
        plain = server == "fedavg"
        grid = EmulatedSites(study, count=sites, folder=Path(scratch), plain=plain)
        started = time.monotonic()
        if plain:
            first = {n: Array(a) for n, a in to_arrays(new_model(study, seed=0)).items()}
            strategy = FedAvg(fraction_evaluate=0.0, min_available_nodes=sites)
            strategy.start(grid, ArrayRecord(first), num_rounds=ROUNDS)
        else:
            folder = RunFolder.create(Path(scratch) / "run", study, seed=0)
            exchange = Exchange(grid, looks=Looks(least_s=0.0))
            RoundLoop(exchange=exchange, folder=folder, expected_sites=sites).run()
        seconds = time.monotonic() - started
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024  # Linux counts KiB
    typer.echo(json.dumps({"peak": peak, "seconds": seconds}))


def _study(sites: int) -> Study:
    """`small` with four blocks more: 99 MB."""
    return Study.model_validate(
        {
            "name": "benchmark",
            "labels": ["a", "b"],
            "image": {"size": 64, "patch": 16},
            "model": {"preset": "small", "num_hidden_layers": 12},
            "federation": {"rounds": ROUNDS, "local_steps": 1, "minimum_sites": sites},
            "privacy": {"noise_multiplier": 1.0},
        }
    )


if __name__ == "__main__":
    run_app(app)
