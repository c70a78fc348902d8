"""Where a simulated run's time goes, beside the same job as Flower's example of Opacus does it.

    python -m benchmarks.simulation measure --sites 4 --sites 8 --sites 100

Both train the same tiny IRENE on the same synthetic patients, one step a round at each site, and
each is a process of its own. The ratio is the seconds of the rounds over the seconds inside the
training itself, shared by the processes that train at once; processor seconds are those of all
processes of a run, and on a busy machine they are what to compare. The first round is left out:
processes start in it, files are opened and noise is calibrated. So is the last: our sites evaluate
in it, as after few rounds of a long run, and the example's don't. Beside many sites the example
takes long, so that it is left out there.
"""

import json
import os
import subprocess
import sys
import tempfile
import time
from functools import partial
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.table import Table

from benchmarks.simulated import flower_example
from benchmarks.simulated.stopwatch import Stopwatch, Watched, family_seconds
from client.budget import declared_patients, plan_round
from client.records import open_dataset
from client.site import Site
from irene_model.console import new_app, run_app
from server.runs import Json, RunFolder
from simulations.hospitals import Scenario, write_hospitals
from simulations.run import simulate

app = new_app(
    "Where the time of a simulation goes, and that of Flower's example of Opacus.\n"
    "\n"
    "Start here: `python -m benchmarks.simulation measure`\n"
)
_SCENARIO = Path(__file__).parents[1] / "simulations/scenarios/demo.yaml"
_SITES = [4, 8, 100]
_SITE: Watched = {
    "training": ("client.training.training:local_update",),
    "noise and limits": (
        "client.participant:permitted_plan",
        "client.participant:permitted_evaluation",
    ),
    "opening": ("simulations.engine.clients:KeptDatasets.open",),
    "epsilon": ("client.ledger.ledger:Ledger.epsilon",),
    "ledger": (
        "client.ledger.ledger:Ledger.reserve",
        "client.ledger.ledger:Ledger.release",
        "client.ledger.ledger:Ledger.history",
        "client.ledger.ledger:Ledger.record_patients",
    ),
    "evaluation": ("client.participant:evaluate_privately",),
}
_SERVER: Watched = {
    "waiting": ("server.rounds.exchange:Exchange.wait",),
    "judging": ("server.rounds.gathering:Gathering._judged",),
    "checkpoints": ("server.runs.run_folder:RunFolder.save_checkpoint",),
    "journal": (
        "server.runs.run_folder:RunFolder.append_round",
        "server.runs.run_folder:RunFolder.update_info",
    ),
    "epsilon": ("server.secure.accounts:spent_until",),
}


@app.callback()
def _root() -> None:
    """Keeps `measure` a subcommand."""


@app.command()
def measure(
    *,
    sites: Annotated[list[int], typer.Option(min=2, help="How many sites; repeat it.")] = _SITES,
    patients: Annotated[int, typer.Option(min=64, help="Over all sites.")] = 6000,
    rounds: Annotated[int, typer.Option(min=3, help="Of both.")] = 8,
    parallel: Annotated[int, typer.Option(min=1, help="Sites that train at once.")] = 2,
    example_to: Annotated[int, typer.Option(help="Flower's example too, to so many sites.")] = 8,
    out: Annotated[Path | None, typer.Option(help="A JSON file for all figures.")] = None,
) -> None:
    """Seconds, processor seconds and memory of both, and where ours go."""
    found = []
    for count in sites:
        with tempfile.TemporaryDirectory() as scratch:
            _hospitals(Path(scratch), count, patients, rounds, parallel)
            ours = _once("ours", scratch)
            theirs = _once("flower", scratch) if count <= example_to else None
        found.append({"sites": count, "irene": ours, "flower": theirs})
        _show(count, ours, theirs)
    if out is not None:
        out.write_text(json.dumps(found, indent=2) + "\n", encoding="utf-8")


def _once(command: str, scratch: str) -> Json:
    whole = [sys.executable, "-m", __spec__.name, command, scratch]
    told = subprocess.run(whole, check=True, stdout=subprocess.PIPE).stdout.decode()
    figures: Json = json.loads(told.splitlines()[-1])
    return figures


def _hospitals(scratch: Path, count: int, patients: int, rounds: int, parallel: int) -> None:
    """The folders of `count` equal hospitals, and the run that both will do."""
    batch = min(256, max(2, patients // count // 2))
    scenario = Scenario.read(
        _SCENARIO,
        [
            "federation.secure=null",  # as in the example, each site hides by itself
            f"federation.minimum_sites={count}",
            f"federation.rounds={rounds}",
            f"federation.evaluate_every={rounds}",
            f"training.expected_batch={batch}",
            f"cohort.patients={patients}",
            f"cohort.sites=[{', '.join(f'{{name: s{n:03d}}}' for n in range(count))}]",
        ],
    )
    files = write_hospitals(scenario, scratch / "hospitals", seed=0)
    RunFolder.create(
        scratch / "run",
        scenario.study,
        seed=0,
        reproducible_noise=True,
        synthetic=True,
        parallel_sites=parallel,
        site_files=[str(path) for path in files],
    )
    for number, path in enumerate(files):  # decoded before anything is timed
        dataset = open_dataset(Site.read(path), scenario.study)
        flower_example.save_partition(dataset, scratch / f"partition-{number:03d}.pt")


class _Marks:
    """What stood on the clocks when the first round ended, and what stands there now."""

    def __init__(self, clocks: Any) -> None:
        self._clocks = clocks
        self._marks: list[Json] = []
        self._began = self._now()

    def mark(self) -> None:
        self._marks.append(self._now())

    def whole(self) -> Json:
        """From the beginning to the last round's end."""
        return _less(self._marks[-1], self._began)

    def rounds(self) -> Json:
        """Of one round, the first and the last left out."""
        spent = _less(self._marks[-2], self._marks[0])
        return {key: value / (len(self._marks) - 2) for key, value in spent.items()}

    def _now(self) -> Json:
        processor = family_seconds(os.getpid())
        return {
            "seconds": time.monotonic(),
            "processor": sum(processor.values()),
            **{f"processor: {of}": seconds for of, seconds in processor.items()},
            **self._clocks(),
        }


def _less(after: Json, before: Json) -> Json:
    return {key: value - before.get(key, 0.0) for key, value in after.items()}


@app.command(hidden=True)
def ours(scratch: Path) -> None:
    """The product's run, in a process of its own."""
    folder = RunFolder.resume(scratch / "run")
    told = scratch / "told"
    told.mkdir()
    server = Stopwatch()
    server.watch(_SERVER)

    def clocks() -> Json:
        spent = {f"server: {name}": seconds for name, seconds in server.seconds.items()}
        for path in told.glob("*.json"):
            for name, seconds in json.loads(path.read_text())["clocks"].items():
                spent[name] = spent.get(name, 0.0) + seconds
        return spent

    marks = _Marks(clocks)
    simulate(
        folder,
        observe=lambda _line: marks.mark(),
        watched=partial(_watched, told=told),
    )
    parallel = min(folder.info["parallel_sites"], len(folder.info["site_files"]))
    peaks = [json.loads(path.read_text())["peak"] for path in told.glob("*.json")]
    figures = {"whole": marks.whole(), "round": marks.rounds(), "peak": sum(peaks) / 1024}
    typer.echo(json.dumps({**figures, "parallel": parallel}))


def _watched(client: Any, told: Path) -> Any:
    """`client`, whose process keeps a file of what it has spent and its peak memory in KiB."""
    from flwr.app import Context, Message
    from flwr.clientapp import ClientApp

    app = ClientApp()

    def respond(message: Message, context: Context) -> Message:
        import resource

        from benchmarks.simulated.stopwatch import OF_PROCESS as watch  # noqa: N811

        if not watch.seconds:
            watch.watch(_SITE)
        reply: Message = watch.timed("the rest", client)(message, context)
        clocks = {f"site: {name}": seconds for name, seconds in watch.seconds.items()}
        clocks["training processor"] = watch.processor.get("training", 0.0)
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        work = told / f"{os.getpid()}.partial"
        work.write_text(json.dumps({"clocks": clocks, "peak": peak}))
        work.replace(told / f"{os.getpid()}.json")
        return reply

    app.query()(respond)
    app.train()(respond)
    app.evaluate()(respond)
    return app


@app.command(hidden=True)
def flower(scratch: Path) -> None:
    """The same job as Flower's example does it, in a process of its own."""
    folder = RunFolder.resume(scratch / "run")
    study, parallel = folder.study, folder.info["parallel_sites"]
    site = Site.read(Path(folder.info["site_files"][0]))
    declared = declared_patients(site, open_dataset(site, study))
    marks, peaks = _Marks(dict), [0]

    def after(round: int, peak: int, _epsilon: float, _bytes: int) -> None:
        if round:
            marks.mark()
        peaks.append(peak)

    flower_example.run(
        study,
        sorted(scratch.glob("partition-*.pt")),
        batch=study.training.expected_batch,
        noise=plan_round(study, declared, 1).mechanism.noise_multiplier,
        rounds=study.federation.rounds,
        parallel=parallel,
        observe=after,
    )
    figures = {"whole": marks.whole(), "round": marks.rounds()}
    typer.echo(json.dumps({**figures, "peak": parallel * max(peaks) / 1024}))


def _show(count: int, ours: Json, theirs: Json | None) -> None:
    each, parallel = ours["round"], ours["parallel"]
    training = each["site: training"]
    table = Table(title=f"{count} sites, a round")
    for column in ("", "seconds", "processor seconds", "peak of the processes, MiB"):
        table.add_column(column, justify="left" if not column else "right")
    for name, figures in (("this product", ours), ("Flower's example", theirs)):
        if figures is not None:
            of_round = figures["round"]
            table.add_row(
                name,
                f"{of_round['seconds']:.2f}",
                f"{of_round['processor']:.2f}",
                f"{figures['peak']:.0f}",
            )
    console = Console()
    console.print(table)
    busy = sum(value for key, value in each.items() if key.startswith("site: "))
    goes = {key: each[key] for key in sorted(each) if ": " in key}
    goes["site: waiting"] = parallel * each["seconds"] - busy
    for key, value in goes.items():
        console.print(f"  {key:<26} {value:8.3f} s")
    console.print(
        f"  seconds / (training / {parallel}) = {each['seconds'] / (training / parallel):.2f}; "
        f"processor / training's = {each['processor'] / each['training processor']:.2f}; "
        f"whole run {ours['whole']['seconds']:.1f} s, {ours['whole']['processor']:.1f} s processor"
    )
    if theirs is not None:
        ratio = theirs["round"]["processor"] / each["processor"]
        console.print(f"  processor seconds of Flower's example: {ratio:.2f} times ours")


if __name__ == "__main__":
    run_app(app)
