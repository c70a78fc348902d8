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

import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Annotated

import typer
from transformers.utils.logging import disable_progress_bar

from irene_model.console.console import new_app, run_app
from simulations.hospitals.scenario import Scenario
from tests.drills.drill_federation import CHECKOUT, Drill
from tests.drills.federation_verdict import Script, Verdict, compare, judge

disable_progress_bar()
LIMIT_S = 1500.0


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
        patients=400,
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
        patients=160,
    )


def scenario(script: Script) -> Scenario:
    """Hospitals of a few hundred patients and a model that a CPU trains in seconds."""
    shares = ", ".join(f"{{name: {name}}}" for name in script.sites)
    rounds = script.rounds
    return Scenario.read(
        CHECKOUT / "simulations/scenarios/smoke.yaml",
        (
            "name=drill",
            f"cohort.patients={script.patients * len(script.sites)}",
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
        judge(federation, script, verdict)
        if calm:
            compare(federation, verdict)
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
