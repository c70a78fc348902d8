"""irene-sim's command `plan`: how an epsilon is best spent, from public numbers alone."""

import json
from pathlib import Path
from typing import Annotated

import typer


def plan(
    source: Annotated[
        Path, typer.Argument(metavar="SCENARIO", help="A scenario, or a study.yaml alone.")
    ],
    *,
    epsilon: Annotated[
        list[float] | None,
        typer.Option(help="What may be spent; repeat it to compare. The study's own by default."),
    ] = None,
    delta: Annotated[
        float | None, typer.Option(help="The study's own by default.", show_default=False)
    ] = None,
    patients: Annotated[
        str | None,
        typer.Option(
            metavar="N,M",
            help="Training patients of each site, where the file does not say, as 4000,900.",
        ),
    ] = None,
    missing: Annotated[
        list[str] | None,
        typer.Option(
            metavar="MODALITY=SHARE",
            help="The share of patients that may lack it, as text=0.3; may be repeated.",
        ),
    ] = None,
    rounds: Annotated[
        int | None, typer.Option(min=1, help="So many, where the rule's are not wanted.")
    ] = None,
    passes: Annotated[
        float, typer.Option(help="The most work: how often each patient may be seen.")
    ] = 20.0,
    started: Annotated[
        bool,
        typer.Option("--started", help="First weights were trained before, as with --start."),
    ] = False,
    twin: Annotated[
        Path | None,
        typer.Option(
            metavar="DIR",
            help="Train made-up hospitals of these sizes as it is and as proposed; the folder to "
            "write, or to go on with.",
        ),
    ] = None,
    twin_patients: Annotated[
        int | None, typer.Option(help="Of the twin, in place of as many as there are.")
    ] = None,
    twin_seeds: Annotated[int, typer.Option(min=1, help="Trainings of each, seed by seed.")] = 1,
    write: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Write the file with the proposal in it; comments stay."),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON for programs.")] = False,
    set_: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="KEY=VALUE", help="As for run: as federation.secure=true."),
    ] = None,
) -> None:
    """Propose rounds, batch, rate, clip, noise and evaluations, and say why.

    By a rule for signal and noise, from the sites' sizes, epsilon and the number of trained
    parameters; no patient's file is read. Says where training would end near chance.

    Example: `irene-sim plan simulations/scenarios/demo.yaml --epsilon 2 --epsilon 8`

    Example: `irene-sim plan study.yaml --patients 4000,900,900 --write planned.yaml`

    Example: `irene-sim plan simulations/scenarios/demo.yaml --twin runs/twin --twin-patients 3000`
    """
    from rich.console import Console

    from irene_model.errors import ConfigError
    from simulations.display import RunProgress
    from simulations.planning import (
        Subject,
        plan_json,
        propose,
        prospect_of,
        public_of,
        show_plan,
        show_twin,
        train_twin,
        write_plan,
    )

    wanted: list[float | None] = list(dict.fromkeys(epsilon or [])) or [None]
    if write is not None and len(wanted) > 1:
        raise ConfigError("--write: takes one proposal; give one --epsilon")
    subject = Subject.read(source, set_ or [])
    public = public_of(
        subject.study,
        subject.scenario,
        patients=_counts(patients),
        missing=dict(_share(each) for each in missing or []),
    )
    now = prospect_of(subject.study, public)
    proposals = [
        propose(
            subject.study,
            public,
            epsilon=each,
            delta=delta,
            rounds=rounds,
            passes=passes,
            started=started or subject.started,
        )
        for each in wanted
    ]
    if write is not None:
        write_plan(source, write, proposals[0].settings, overrides=subject.overrides)
    console = Console(highlight=False, soft_wrap=not Console().is_terminal, stderr=as_json)
    if not as_json:
        show_plan(subject.study, public, now, proposals, console)
    found = None
    if twin is not None:
        with RunProgress(stderr=as_json) as progress:
            found = train_twin(
                subject,
                public,
                proposals,
                twin,
                patients=twin_patients,
                seeds=twin_seeds,
                observer=progress,
            )
    if as_json:
        document = plan_json(subject.study, public, now, proposals, found)
        typer.echo(json.dumps(document, indent=2, ensure_ascii=False, allow_nan=False))
        return
    if found is not None:
        show_twin(found, console)
    if write is not None:
        console.print(f"written  {write}")


def _counts(given: str | None) -> list[int]:
    try:
        return [] if given is None else [int(each) for each in given.split(",")]
    except ValueError:
        raise typer.BadParameter(
            "--patients: give whole numbers with commas between, as 4000,900"
        ) from None


def _share(given: str) -> tuple[str, float]:
    name, _, value = given.partition("=")
    try:
        return name.strip(), float(value)
    except ValueError:
        raise typer.BadParameter("--missing: give MODALITY=SHARE, as text=0.3") from None
