"""irene-client: the command of a hospital."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from client import ledger_cli, node_cli
from client.fine_tune_cli import fine_tune
from client.imports import import_app
from client.split_cli import split
from client.status_cli import status
from irene_model.console import Version, new_app, picture_file, run_app

if TYPE_CHECKING:
    from client.budget import Forecast

app = new_app(
    "Take part in a study as a hospital. Describe your files in site.yaml, check them, then join.\n"
    "\n"
    "Example: `irene-client check site.yaml --study study.yaml`\n"
)

SiteFile = Annotated[Path, typer.Argument(metavar="SITE.yaml", help="The hospital's description.")]
StudyFile = Annotated[
    Path, typer.Option("--study", metavar="STUDY.yaml", help="The contract of all sites.")
]
AsJson = Annotated[bool, typer.Option("--json", help="Write JSON to stdout, for programs.")]


@app.callback()
def _client(version: Version = False) -> None:
    """Options before the subcommand; `--version` acts in its callback."""


@app.command()
def check(
    *,
    site_file: SiteFile,
    study_file: StudyFile,
    html: Annotated[
        Path | None,
        typer.Option("--html", metavar="FILE", help="Write a page with radiographs to look at."),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Read all files as training would and report what is there, before joining.

    Nothing is sent, and nothing but the page of `--html` is written. The first cell that can't be
    read is named with its file and line, never with its content: exit code 2. The verdict is
    `ready`, `ready with warnings` (exit code 0: they are doubts) or `not ready` (exit code 2, after
    the report), as with images that can't be read, and for a study beyond the limits or the budget
    in site.yaml.

    Example: `irene-client check site.yaml --study study.yaml --html check.html`

    Example: `irene-client check site.yaml --study study.yaml --json > report.json`
    """
    import json
    from dataclasses import replace

    from rich.console import Console

    from client.budget import ImageProgress
    from client.check import survey, with_cost
    from client.images import refusal
    from client.pages import show_check, write_check_page
    from client.site import Site
    from irene_model.errors import ConfigError
    from irene_model.study import Study

    if html is not None and not html.parent.is_dir():
        raise ConfigError(f"--html {html}: there is no such folder; make it first")
    site, study = Site.read(site_file), Study.read(study_file)
    with ImageProgress() as progress:
        seen = survey(site, study, progress.show)
    report = with_cost(seen.report, site, study)
    if html is not None:
        write_check_page(replace(seen, report=report), html)
        typer.echo(
            f"{html}: holds patients' radiographs; only you can read it, keep it so", err=True
        )
    if as_json:
        typer.echo(json.dumps(report.as_json(), indent=2, ensure_ascii=False))
    else:
        show_check(report, Console())
    if report.unreadable_images:
        raise refusal(report.unreadable_images)
    for doubt in report.doubts:
        if doubt.grave:
            raise ConfigError(f"{site_file}: {doubt.sentence}")


@app.command()
def budget(
    site_file: SiteFile,
    *,
    study_file: Annotated[
        Path | None,
        typer.Option("--study", metavar="STUDY.yaml", help="Show what this study would cost."),
    ] = None,
    plan: Annotated[
        bool,
        typer.Option("--plan", help="Noise, rounds and epsilon of what --study could still do."),
    ] = False,
    target: Annotated[
        float | None,
        typer.Option(metavar="EPS", min=0, help="Plan up to this epsilon, not the whole budget."),
    ] = None,
    rounds: Annotated[
        int | None, typer.Option(metavar="N", min=1, help="Plan N rounds, not the study's.")
    ] = None,
    noise: Annotated[
        float | None,
        typer.Option(metavar="S", min=0, help="How many rounds fit with this noise multiplier?"),
    ] = None,
    plot: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="Draw epsilon against rounds: .png, .svg or .pdf.",
            callback=picture_file,
        ),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Show the site's privacy budget: spent, left, by run, and what a study would cost.

    Without a ledger nothing is spent, and none is created. `--study` may read the site's files, to
    know how many patients it declares.

    `--plan` answers two questions before you agree to a study: how much noise spends what is left
    over so many rounds, and how many rounds fit with so much noise. `--target`, `--rounds`,
    `--noise` and `--plot` belong to it.

    Example: `irene-client budget site.yaml --study study.yaml`

    Example: `irene-client budget site.yaml --study study.yaml --plan --rounds 40 --plot plan.png`
    """
    import json
    from dataclasses import replace

    from rich.console import Console

    from client.budget import declared_by, forecast, look_ahead, read_budget, show
    from client.site import Site
    from irene_model.study import Study

    if not plan and (target, rounds, noise, plot) != (None, None, None, None):
        raise typer.BadParameter("--target, --rounds, --noise and --plot belong to --plan")
    if plan and study_file is None:
        raise typer.BadParameter("--plan wants --study: its rate and steps are what is planned")
    site = Site.read(site_file)
    study = None if study_file is None else Study.read(study_file)
    if plan and study is not None:
        declared = declared_by(site, study)
        with Console(stderr=True).status("accounting"):
            ahead = forecast(
                site, study, declared, target=target, rounds=rounds, noise_multiplier=noise
            )
        _show_plan(ahead, plot, as_json)
        return
    report = read_budget(site)
    if study is not None:
        report = replace(report, outlook=look_ahead(site, study, declared_by(site, study)))
    if as_json:
        typer.echo(json.dumps(report.as_json(), indent=2, ensure_ascii=False))
    else:
        show(report, Console())


def _show_plan(ahead: "Forecast", plot: Path | None, as_json: bool) -> None:
    import json

    from rich.console import Console

    from client.budget import show_forecast

    if plot is not None:
        from client.budget import draw  # matplotlib takes a while

        draw(ahead, plot)
    if as_json:
        typer.echo(json.dumps(ahead.as_json(), indent=2, ensure_ascii=False))
    else:
        show_forecast(ahead, Console())


@app.command()
def look(
    *,
    site_file: SiteFile,
    study_file: StudyFile,
    model: Annotated[
        Path, typer.Option(metavar="FOLDER", help="A model, as a run's checkpoints/round-0072.")
    ],
    record: Annotated[str, typer.Option(metavar="ID", help="The record, by its id.")],
    label: Annotated[
        str | None, typer.Option(help="Ask what spoke for it; else for the most probable.")
    ] = None,
    out: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Draw it: .png, .svg or .pdf.", callback=picture_file),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Look into a model's answer for one record: what it read, and what spoke for a label.

    Reads the site's tables and one radiograph; nothing is sent. The picture and the JSON hold a
    patient's data: keep them in the house.

    Example: `irene-client look site.yaml --study study.yaml --model run/checkpoints/round-0072
    --record R0815 --out R0815.png`
    """
    import json

    from client.look import look as look_into
    from client.look import save
    from client.site import Site
    from irene_model.errors import ConfigError
    from irene_model.study import Study

    if out is None and not as_json:
        raise ConfigError("say what to make: --out PICTURE.png, --json, or both")
    seen = look_into(Site.read(site_file), Study.read(study_file), model, record, label)
    if out is not None:
        save(seen, out)
        typer.echo(f"{out}: holds a patient's data; only you can read it, keep it so", err=True)
    if as_json:
        typer.echo(json.dumps(seen.reading.as_json(), indent=2, ensure_ascii=False))


for command in (*node_cli.COMMANDS, fine_tune, split, status):
    app.command()(command)
app.add_typer(import_app, name="import")
app.add_typer(ledger_cli.app, name="ledger")


def main() -> None:
    """The console script."""
    run_app(app)
