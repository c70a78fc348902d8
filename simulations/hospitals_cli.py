"""`irene-sim hospitals` and `irene-sim split`: synthetic hospitals, as folders and as a picture."""

from pathlib import Path
from typing import Annotated

import typer

ScenarioFile = Annotated[
    Path, typer.Argument(help="A scenario, as simulations/scenarios/demo.yaml")
]
Seed = Annotated[int, typer.Option(min=0, help="Everything random follows from it.")]
Settings = Annotated[
    list[str] | None,
    typer.Option(
        "--set",
        metavar="KEY=VALUE",
        help="Replace a setting, as privacy.epsilon=4 or cohort.split=iid; may be repeated.",
    ),
]


def hospitals(
    scenario: ScenarioFile,
    out: Annotated[Path, typer.Option(help="The folder to write; new or empty.")],
    seed: Seed = 0,
    set_: Settings = None,
) -> None:
    """Write a study.yaml and one folder for each synthetic hospital, as a real one has.

    Example: `irene-sim hospitals simulations/scenarios/demo.yaml --out hospitals`
    """
    from simulations.display import RunProgress
    from simulations.hospitals import Scenario, write_hospitals

    with RunProgress() as progress:
        written = write_hospitals(
            Scenario.read(scenario, set_ or []), out, seed=seed, progress=progress.hospitals
        )
    progress.listing(written)


def split(
    scenario: ScenarioFile,
    out: Annotated[Path, typer.Option(help="The folder for split.csv and split.png.")],
    seed: Seed = 0,
    set_: Settings = None,
) -> None:
    """Picture how a scenario's patients are split over its sites; no hospital is written.

    Example: `irene-sim split simulations/scenarios/exam.yaml --out picture`
    """
    from simulations.display import RunProgress
    from simulations.hospitals import Scenario, draw_census
    from simulations.splits import write_split

    chosen = Scenario.read(scenario, set_ or [])
    with RunProgress() as progress:
        written = write_split(draw_census(chosen, seed), out, title=chosen.study.name)
    progress.listing(written)
