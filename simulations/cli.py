"""irene-sim: federated experiments with emulated hospitals on one machine."""

import json
from contextlib import ExitStack
from pathlib import Path
from typing import Annotated

import typer

from irene_model.console import Version, new_app, run_app
from simulations.hospitals_cli import ScenarioFile, Seed, Settings, hospitals, split
from simulations.listed_options import names, numbers
from simulations.missing_cli import missing
from simulations.plan_cli import plan
from simulations.ray_option import RayAddress

app = new_app(
    "Federated experiments with IRENE on one machine, with emulated hospitals.\n"
    "\n"
    "Start here: `irene-sim run simulations/scenarios/demo.yaml --out runs/first`\n"
)

StartFolder = Annotated[
    Path | None,
    typer.Option(
        "--start",
        metavar="MODEL",
        help="A folder with a model of IRENE to begin from, as irene-sim pretrain writes.",
    ),
]


@app.callback()
def _sim(version: Version = False) -> None:
    """Options before the subcommand; `--version` acts in its callback."""


@app.command()
def run(
    out: Annotated[Path, typer.Option(help="The run folder to write; new or empty.")],
    scenario: Annotated[
        Path | None, typer.Argument(help="A scenario file; not needed with --resume.")
    ] = None,
    *,
    seed: Seed = 0,
    set_: Settings = None,
    start_image: Annotated[
        Path | None,
        typer.Option(help="A ViT with first weights: a folder of transformers or an .npz file."),
    ] = None,
    start_text: Annotated[
        Path | None,
        typer.Option(help="A BERT-family encoder's folder with first vectors of tokens."),
    ] = None,
    start: StartFolder = None,
    ray: RayAddress = None,
    resume: Annotated[
        bool, typer.Option("--resume", help="Go on with the run in --out from its last round.")
    ] = False,
) -> None:
    """Run one federated study: hospitals, rounds, evaluation, report.

    Example: `irene-sim run simulations/scenarios/demo.yaml --out runs/a --set privacy.epsilon=4`
    """
    from irene_model.errors import ConfigError
    from irene_model.weights import StartingPoint
    from server.runs import RunFolder
    from simulations.display import RunProgress
    from simulations.hospitals import Scenario
    from simulations.pretraining import judge_start
    from simulations.run import simulate, start_run

    with RunProgress() as progress:
        if resume:
            if scenario is not None or set_ or start_image or start_text or start:
                raise ConfigError("--resume goes on as the run began: give only --out with it")
            folder = RunFolder.resume(out)
        elif scenario is None:
            raise ConfigError("name a scenario, as simulations/scenarios/demo.yaml")
        else:
            chosen = Scenario.read(scenario, set_ or []).starting_from(start)
            first = StartingPoint(image=start_image, text=start_text)
            folder = start_run(chosen, out, seed=seed, start=first, progress=progress.hospitals)
            start_told = chosen.study.evaluation.start  # by the sites themselves
            if (
                chosen.start is not None and not chosen.join and not start_told
            ):  # whose patients are under a budget
                judge_start(folder)
        progress.start_rounds(folder)
        with ExitStack() as stack:
            finish_own = None
            if folder.info.get("own_models"):
                from simulations.compare import note_own_models, own_models

                finish_own = stack.enter_context(own_models(folder))
            report = simulate(folder, observe=progress.round, ray_address=ray)
            beside = finish_own(progress.own_model) if finish_own else []
            if beside:
                note_own_models(folder, beside)
    results = json.loads((folder.path / "results.json").read_text("utf-8"))
    progress.summary(folder, results, report, beside)


@app.command()
def compare(
    scenario: ScenarioFile,
    *,
    out: Annotated[Path, typer.Option(help="The folder to write, or to go on with.")],
    arms: Annotated[
        str | None,
        typer.Option(
            metavar="A,B",
            help="Ways to train, as local,federated-dp; all by default.",
        ),
    ] = None,
    models: Annotated[
        str | None,
        typer.Option(
            metavar="M,N",
            help="Values of model.method, or variants that the scenario names under `compare`.",
        ),
    ] = None,
    seeds: Annotated[
        int | None,
        typer.Option(min=1, help="Seeds 0 to K-1: patients of their own; of real ones, folds."),
    ] = None,
    epsilons: Annotated[
        str | None,
        typer.Option(
            metavar="E,F", help="Train each arm with privacy at each of them, as 1,2,4,8."
        ),
    ] = None,
    parallel: Annotated[
        int, typer.Option(min=1, help="Trainings at once; federations run one at a time.")
    ] = 1,
    start: StartFolder = None,
    ray: RayAddress = None,
    set_: Settings = None,
) -> None:
    """Train arms x models x seeds on the same patients and say who is ahead, with intervals.

    central: all patients at one place. local: each site alone. federated: without noise.
    federated-dp: as the study says, each site with its own noise. federated-secure: with its secure
    sums and shared noise, if it has these. central-dp, local-dp: as central and local, with the
    study's privacy. personal: each site goes on alone from the federation's model. start-only: the
    model of --start, as it came; with it all arms begin there. The first arm with the first model
    is the reference of all differences; what each site gains is over its own local model. The same
    command goes on after an interruption; more arms, models or seeds train only what is new.
    results.json and report.html grow with every training.

    Example: `irene-sim compare simulations/scenarios/demo.yaml --out runs/arms --seeds 3`

    Example: `irene-sim compare simulations/scenarios/methods.yaml --out runs/methods --parallel 2`
    """
    from simulations.compare import compare as train_all
    from simulations.compare import grid
    from simulations.display import RunProgress
    from simulations.hospitals import Scenario

    chosen = Scenario.read(scenario, set_ or []).starting_from(start)
    trials = grid(
        chosen,
        arms=names(arms),
        models=names(models),
        seeds=seeds,
        epsilons=numbers("--epsilons", epsilons),
    )
    with RunProgress() as progress:
        results = train_all(
            chosen, trials, out, parallel=parallel, observer=progress, ray_address=ray
        )
    progress.ranking(results, out)


@app.command()
def pretrain(
    sites: Annotated[
        list[Path], typer.Argument(metavar="SITE.yaml...", help="The folders' site.yaml files.")
    ],
    *,
    study: Annotated[Path, typer.Option(help="The study.yaml that the federation will have.")],
    out: Annotated[Path, typer.Option(help="The model's folder; new, or to go on with.")],
    epochs: Annotated[int, typer.Option(min=1, help="Passes over all patients.")] = 20,
    batch: Annotated[int, typer.Option(min=1, help="Patients a step.")] = 128,
    rate: Annotated[float, typer.Option(min=0, help="AdamW's largest learning rate.")] = 0.003,
    seed: Seed = 0,
) -> None:
    """Train first weights WITHOUT privacy, on folders whose patients are public.

    For a public data set, described by a site.yaml without budget; a folder with a budget is
    refused, and no ledger is touched. Keeps the epoch with the best validation AUROC. The same
    command goes on after an interruption. `irene-sim run` and `irene-server run` begin from the
    folder with `--start`.

    Example: `irene-sim pretrain archive/site.yaml --study study.yaml --out runs/start`
    """
    from client.fine_tuning import Recipe
    from irene_model.study import Study
    from simulations.display import RunProgress
    from simulations.pretraining import pretrain as train

    recipe = Recipe(epochs=epochs, batch=batch, rate=rate, seed=seed)
    with RunProgress() as progress:
        progress.start_epochs(len(sites))
        told = train(Study.read(study), sites, out, recipe, progress=progress.epoch)
    progress.pretrained(told, out)


@app.command()
def audit(
    scenario: ScenarioFile,
    *,
    out: Annotated[Path, typer.Option(help="The folder to write; new or empty.")],
    canaries: Annotated[
        int, typer.Option(min=20, help="Made-up patients, half of whom take part.")
    ] = 240,
    runs: Annotated[
        int, typer.Option(min=1, help="Trainings with canaries of their own; more prove more.")
    ] = 2,
    seed: Seed = 0,
    set_: Settings = None,
) -> None:
    """Attack the first site of a scenario and compare what leaks with the epsilon it claims.

    Canaries join the site's patients or not by coins; its updates are then searched for the coins.
    Under secure sums the sum is, for the coordinator with the colluding sites and for all others.
    The result is a lower bound on epsilon with 95 % confidence: above the claim, something is
    broken (exit code 1). Below it, nothing is proved, only tried.

    Example: `irene-sim audit simulations/scenarios/audit.yaml --out runs/audit`
    """
    from simulations.audit import audit_first_site
    from simulations.display import RunProgress
    from simulations.hospitals import Scenario

    with RunProgress() as progress:
        audits = audit_first_site(
            Scenario.read(scenario, set_ or []),
            out,
            canaries=canaries,
            runs=runs,
            seed=seed,
            progress=progress.attack,
        )
    for found in audits:
        progress.findings(found, out / "audit.json")
    if any(found.refuted for found in audits):
        raise typer.Exit(1)


app.command()(hospitals)
app.command()(split)
app.command()(missing)
app.command()(plan)


def main() -> None:
    """Entry point of the command."""
    run_app(app)
