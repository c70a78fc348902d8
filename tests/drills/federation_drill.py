"""Run a real federation of hospitals while everything happens to it that can happen.

    python -m tests.drills.federation_drill

A first run is left in peace. In a second one each kind of process is killed with SIGKILL, one
hospital's network is cut, one hospital's clock is set an hour back, one's two hours ahead, one
hospital's work takes ten times as long, and one sends NaN, a wrong
shape, a hugely scaled update and the update of another study. Afterwards the weights of every round
are computed anew from the updates that the hospitals noted as they left, and compared with the
checkpoints; the account must name every site in every round; and the model must be as good as the
first run's, within its own interval.
"""

import json
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import typer
from safetensors.numpy import load_file
from transformers import AutoModel
from transformers.utils.logging import disable_progress_bar

import irene_model.methods.methods
from irene_model.console.console import new_app, run_app
from irene_model.study.schedule import server_rate
from irene_model.study.study import Study
from irene_model.weights.weights import to_arrays
from simulations.hospitals.scenario import Scenario
from tests.drills.drill_federation import CHECKOUT, Drill

assert irene_model.methods.methods  # AutoModel must know the project's models
disable_progress_bar()
LIMIT_S = 1500.0
SAID = {
    "nan": "not finite",
    "shape": "has shape",
    "scale": "norm is",
    "study": "of another study",
}
Lines = Sequence[Mapping[str, Any]]
Step = Callable[[Drill], None]


@dataclass(frozen=True, kw_only=True)
class Script:
    """What happens while which round is trained. spoilt: of the last site, by round."""

    rounds: int
    sites: Sequence[str]
    spoilt: Mapping[int, str]
    happens: Mapping[int, Sequence[tuple[str, Step]]]
    cut_s: float


@dataclass(kw_only=True)
class Verdict:
    """Figures, and what was not as it has to be."""

    figures: dict[str, Any] = field(default_factory=dict)
    faults: list[str] = field(default_factory=list)

    def expect(self, right: bool, said: str) -> None:
        """Note a fault unless `right`."""
        if not right:
            self.faults.append(said)


def long_script() -> Script:
    """Every kind of process, the network, a slow site and every bad update, over eight rounds."""
    return Script(
        rounds=8,
        sites=("north", "south", "east", "west"),
        spoilt={2: "nan", 3: "shape", 5: "scale", 6: "study"},
        happens={
            2: [("client of north killed", lambda d: d.kill_client("north"))],
            3: [("SuperNode of south killed", lambda d: d.kill_node("south"))],
            4: [
                ("clock of south set an hour back", lambda d: d.set_clock("south", -3600)),
                ("gateway killed", lambda d: d.kill_service("gateway")),
                ("east works ten times as long", lambda d: d.plan("east", slowness=10)),
            ],
            5: [("SuperLink killed", lambda d: d.kill_service("superlink"))],
            6: [
                ("ServerApp killed", lambda d: d.kill_server_app()),
                ("clock of north set two hours ahead", lambda d: d.set_clock("north", 7200)),
            ],
            7: [
                ("SuperExec killed", lambda d: d.kill_service("superexec")),
                ("SuperExec of south killed", lambda d: d.kill_superexec("south")),
            ],
            8: [("line of north cut", lambda d: d.lines["north"].cut())],
        },
        cut_s=90.0,
    )


def short_script() -> Script:
    """What continuous integration has time for."""
    return Script(
        rounds=4,
        sites=("north", "south", "west"),
        spoilt={2: "nan", 3: "scale"},
        happens={
            2: [
                ("client of north killed", lambda d: d.kill_client("north")),
                ("gateway killed", lambda d: d.kill_service("gateway")),
            ],
            3: [
                ("clock of north set an hour back", lambda d: d.set_clock("north", -3600)),
                ("line of south cut", lambda d: d.lines["south"].cut()),
            ],
            4: [
                ("SuperExec of north killed", lambda d: d.kill_superexec("north")),
                ("clock of south set two hours ahead", lambda d: d.set_clock("south", 7200)),
            ],
        },
        cut_s=15.0,
    )


def scenario(script: Script) -> Scenario:
    """Hospitals of a few hundred patients and a model that a CPU trains in seconds."""
    shares = ", ".join(f"{{name: {name}}}" for name in script.sites)
    rounds = script.rounds
    return Scenario.read(
        CHECKOUT / "simulations/scenarios/smoke.yaml",
        (
            "name=drill",
            f"cohort.patients={400 * len(script.sites)}",
            f"cohort.sites=[{shares}]",
            "privacy={noise_multiplier: 0, clip_norm: 1.0}",
            "training={expected_batch: 32, learning_rate: 0.004}",
            f"federation={{rounds: {rounds}, local_steps: 12, minimum_sites: 2, largest_share: 1,"
            f" round_deadline_s: 240, evaluate_every: {rounds}, late: {{discount: 0.5}}}}",
        ),
    )


def drill(folder: Path, script: Script, say: Callable[[str], None], *, calm: bool) -> Verdict:
    """Run it all in `folder`; `calm`: whether an undisturbed run comes first."""
    federation = Drill(folder=folder, scenario=scenario(script))
    verdict = Verdict()
    try:
        started = time.monotonic()
        federation.start()
        verdict.figures["set-up, s"] = round(time.monotonic() - started)
        say(f"{len(script.sites)} hospitals are there after {verdict.figures['set-up, s']} s")
        if calm:
            _finish(federation, "calm", say, verdict)
        federation.plan(script.sites[-1], spoil=script.spoilt)
        _disturb(federation, script, say, verdict)
        _judge(federation, script, verdict)
        if calm:
            _compare(federation, verdict)
    finally:
        federation.end()
    return verdict


def _finish(federation: Drill, run: str, say: Callable[[str], None], verdict: Verdict) -> None:
    started = time.monotonic()
    process = federation.submit(run)
    federation.wait(f"the run {run}", lambda: process.poll() is not None, LIMIT_S)
    verdict.expect(process.returncode == 0, f"the run {run} failed: {federation.said(run)}")
    took = round(time.monotonic() - started)
    verdict.figures[f"{run} run, s"] = took
    lines = federation.lines_of(run)
    verdict.figures[f"{run}: seconds a round"] = [round(line["seconds"], 1) for line in lines]
    say(f"the {run} run took {took} s")


def _disturb(
    federation: Drill, script: Script, say: Callable[[str], None], verdict: Verdict
) -> None:
    """The run `drill`, with everything that happens in it."""
    started = time.monotonic()
    process = federation.submit("drill")
    mend: list[tuple[float, str]] = []
    for number in range(1, script.rounds + 1):
        for what, step in script.happens.get(number, ()):
            step(federation)
            say(f"round {number}: {what}")
            if "line of" in what:
                mend.append((time.monotonic() + script.cut_s, what.split()[2]))
        while len(federation.lines_of("drill")) < number and process.poll() is None:
            for moment, site in mend:
                if time.monotonic() > moment:
                    federation.lines[site].mend()
            assert time.monotonic() - started < LIMIT_S, federation.logs()
            time.sleep(0.1)
    for _, site in mend:
        federation.lines[site].mend()
    federation.wait("the drill's end", lambda: process.poll() is not None, LIMIT_S)
    verdict.expect(process.returncode == 0, f"the run failed:\n{federation.said('drill')}")
    verdict.figures["disturbed run, s"] = int(time.monotonic() - started)


def _judge(federation: Drill, script: Script, verdict: Verdict) -> None:
    lines = federation.lines_of("drill")
    folder = federation.run_folder("drill")
    numbers = [line["round"] for line in lines]
    verdict.expect(
        numbers == list(range(1, script.rounds + 1)), f"rounds in the account: {numbers}"
    )
    outcomes: Counter[str] = Counter()
    for line in lines:
        verdict.expect(
            set(line["sites"]) == set(script.sites),
            f"round {line['round']} names {sorted(line['sites'])}",
        )
        outcomes.update(entry["outcome"] for entry in line["sites"].values())
        how = script.spoilt.get(line["round"])
        entry = line["sites"].get(script.sites[-1], {})
        if how is not None:
            verdict.expect(
                entry.get("outcome") == "refused" and SAID[how] in entry.get("reason", ""),
                f"round {line['round']}, {how}: {entry}",
            )
    verdict.figures["sites x rounds"] = dict(outcomes)
    verdict.figures["late"] = [
        f"{late['site']}, round {late['round']}: {late['outcome']}"
        for line in lines
        for late in line["late"]
    ]
    verdict.figures["drill: seconds a round"] = [round(line["seconds"], 1) for line in lines]
    differs = [path for name in script.sites for path in federation.notes(name).rglob("*.differs")]
    verdict.expect(not differs, f"a round was released with other bytes: {differs}")
    worst = max(_weight_errors(federation, lines), default=float("nan"))
    verdict.figures["largest error of a weight"] = worst
    verdict.expect(worst < 1e-6, f"a checkpoint is off by {worst}")
    results = json.loads((folder / "results.json").read_text())
    verdict.expect(results["sites"] == sorted(script.sites), f"results name {results['sites']}")


def _weight_errors(federation: Drill, lines: Lines) -> Iterator[float]:
    """Each round's largest difference to Σ nᵢ uᵢ / Σ nᵢ of the updates that left the hospitals."""
    folder = federation.run_folder("drill")
    study = Study.read(folder / "study.yaml")
    run = json.loads((folder / "run.json").read_text())["run"]

    def weights(number: int) -> dict[str, Any]:
        return to_arrays(AutoModel.from_pretrained(folder / f"checkpoints/round-{number:04d}"))

    for line in lines:
        used = [(name, line["round"], 1.0) for name, entry in line["sites"].items()
                if entry["outcome"] == "updated"]  # fmt: skip
        used += [
            (late["site"], late["round"], late["discount"])
            for late in line["late"]
            if late["outcome"] == "updated"
        ]
        before, after = weights(line["round"] - 1), weights(line["round"])
        sums = {name: np.zeros(array.shape) for name, array in before.items()}
        total = 0.0
        for name, number, factor in used:
            update = load_file(federation.notes(name) / run / f"round-{number:04d}.safetensors")
            weight = factor * float(update.pop("weight")[0])
            total += weight
            for key, array in update.items():
                sums[key] += weight * array.astype(np.float64)
        rate = server_rate(study, line["round"])
        yield max(
            float(np.abs(before[key] + rate * sums[key] / total - after[key]).max())
            for key in before
        )


def _compare(federation: Drill, verdict: Verdict) -> None:
    """The model beside that of the undisturbed run."""
    auroc = {}
    for run in ("calm", "drill"):
        results = json.loads((federation.run_folder(run) / "results.json").read_text())
        (arm,) = results["arms"].values()
        auroc[run] = (arm["auroc"]["macro"], *arm["auroc"]["ci95"])
    verdict.figures["AUROC (95 % interval)"] = {
        run: f"{value:.3f} ({low:.3f} to {high:.3f})" for run, (value, low, high) in auroc.items()
    }
    width = auroc["calm"][2] - auroc["calm"][1]
    gap = auroc["drill"][0] - auroc["calm"][0]
    verdict.expect(abs(gap) <= width, f"the AUROC differs by {gap:.3f}, intervals are {width:.3f}")


app = new_app(
    "Disturb a real federation in every way, and see whether anything is lost.\n"
    "\n"
    "Start here: `python -m tests.drills.federation_drill`\n"
)


@app.command()
def main(
    *,
    short: Annotated[bool, typer.Option("--short", help="The form that runs in CI.")] = False,
    folder: Annotated[
        Path | None, typer.Option(metavar="DIR", help="Keep everything here; else nothing stays.")
    ] = None,
) -> None:
    """Print what happens and the figures; exit code 1 where something was not as it has to be."""
    script = short_script() if short else long_script()
    with tempfile.TemporaryDirectory(prefix="drill-") as scratch:
        place = folder or Path(scratch)
        place.mkdir(parents=True, exist_ok=True)
        verdict = drill(place.resolve(), script, typer.echo, calm=not short)
    for name, figure in verdict.figures.items():
        typer.echo(f"{name}: {figure}")
    for fault in verdict.faults:
        typer.echo(f"fault: {fault}", err=True)
    typer.echo(f"{len(verdict.faults)} faults")
    raise typer.Exit(code=int(bool(verdict.faults)))


if __name__ == "__main__":
    run_app(app)
