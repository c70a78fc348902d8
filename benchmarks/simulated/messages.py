"""What the engine costs by itself: messages to many sites that answer at once.

    python -m benchmarks.simulated.messages --sites 1000

Processor seconds of the server's process, of the processes that answer and of Ray's own, for one
message to each site; the first round is left out, since processes start in it.
"""

import os
import resource
import time
from pathlib import Path
from typing import Annotated

import typer
from flwr.app import Message, RecordDict
from flwr.serverapp import Grid
from rich.console import Console

from benchmarks.simulated.stopwatch import family_seconds
from client.site import Site
from irene_model.console import new_app, run_app
from simulations.engine import run_engine

app = new_app("What Flower's engine costs by itself.\n")
_SITE = {
    "records": {"path": "encounters.csv"},
    "columns": {"patient_id": "patient_id", "record_id": "encounter_id"},
    "labels": {},
    "budget": "none",
}


@app.command()
def measure(
    *,
    sites: Annotated[int, typer.Option(min=2, help="How many.")] = 1000,
    rounds: Annotated[int, typer.Option(min=2, help="Of messages to each of them.")] = 3,
    parallel: Annotated[int, typer.Option(min=1, help="Processes that answer.")] = 2,
) -> None:
    """Seconds, processor seconds, open files and memory of rounds in which nobody trains."""
    console = Console()

    def serve(grid: Grid) -> None:
        for round in range(rounds):
            began, before = time.monotonic(), family_seconds(os.getpid())
            _ask(grid)
            after = family_seconds(os.getpid())
            spent = ", ".join(f"{of} {after[of] - before[of]:.2f} s" for of in after)
            if round:
                console.print(f"{sites} messages: {time.monotonic() - began:.1f} s; {spent}")

    described = [Site.model_validate({"site": f"s{n:04d}", **_SITE}) for n in range(sites)]
    run_engine(serve, _answer, described, parallel=parallel)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024
    files = len(list(Path("/proc/self/fd").iterdir()))
    console.print(f"the server's process: {peak} MiB at most, {files} open files")


def _ask(grid: Grid) -> None:
    messages = [Message(RecordDict(), node, "train", ttl=3600) for node in grid.get_node_ids()]
    for identifier in list(grid.push_messages(messages)):
        while not list(grid.pull_messages([identifier])):
            time.sleep(0.02)


def _answer(_site: Site, message: Message) -> Message:
    return Message(RecordDict(), reply_to=message)


if __name__ == "__main__":
    run_app(app)
