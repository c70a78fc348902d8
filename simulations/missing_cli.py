"""irene-sim's command `missing`: what missing modalities cost, in training and in use."""

from pathlib import Path
from typing import Annotated

import typer

from simulations.listed_options import names, numbers


def missing(
    scenario: Annotated[
        Path, typer.Argument(help="A scenario, as simulations/scenarios/methods.yaml")
    ],
    *,
    out: Annotated[
        Path,
        typer.Option(help="The folder to write or to go on with; one of `compare` will do."),
    ],
    models: Annotated[
        str,
        typer.Option(
            metavar="M,N",
            help="Methods or variants; the first is also trained on each modality alone.",
        ),
    ] = "irene,late_mean",
    train_rates: Annotated[
        str, typer.Option(metavar="R,S", help="Shares of records that lose it in training.")
    ] = "0,0.5",
    test_rates: Annotated[
        str, typer.Option(metavar="R,S", help="Shares of records that lose it in the test.")
    ] = "0,0.25,0.5,0.75,1",
    ways: Annotated[
        str, typer.Option(help="random, pattern (as the cohort lacks it), or both.")
    ] = "random,pattern",
    seeds: Annotated[int, typer.Option(min=1, help="Seeds 0 to K-1, patients of their own.")] = 1,
    parallel: Annotated[int, typer.Option(min=1, help="Trainings at once.")] = 1,
    set_: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="KEY=VALUE", help="As for run: as cohort.patients=4000."),
    ] = None,
) -> None:
    """Train with each modality missing at each rate, and test with each missing at each rate.

    Every combination of modalities is tested too, and late fusion and each modality alone stand
    beside. Trainings are at one place, without privacy. The same command goes on after an
    interruption. Writes missing.json, missing.csv and missing.html.

    Example: `irene-sim missing simulations/scenarios/demo.yaml --out runs/missing --parallel 2`
    """
    from rich.console import Console

    from simulations.hospitals import Scenario
    from simulations.missing import Protocol, run_protocol

    protocol = Protocol(
        models=tuple(names(models) or ()),
        train_rates=tuple(numbers("--train-rates", train_rates) or ()),
        test_rates=tuple(numbers("--test-rates", test_rates) or ()),
        ways=tuple(names(ways) or ()),  # type: ignore[arg-type]
        seeds=seeds,
    )
    console = Console(highlight=False, soft_wrap=True)
    run_protocol(
        Scenario.read(scenario, set_ or []),
        protocol,
        out,
        parallel=parallel,
        drawn=lambda done, total: None,  # noqa: ARG005
        told=lambda training, result, done, total: console.print(
            f"{done:>3}/{total}  seed {training.seed}  {training.model}  {training.name}  "
            f"{result['seconds']:.0f} s"
        ),
    )
    console.print(f"results  {out / 'missing.json'}")
    console.print(f"report   {out / 'missing.html'}")
