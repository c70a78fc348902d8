"""irene-client: the command of a hospital."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from client import ledger_cli, node_cli
from client.status_cli import status
from irene_model.console import Version, new_app, picture_file, run_app

if TYPE_CHECKING:
    from client.budget import Forecast
    from client.check import QualityReport

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
def check(site_file: SiteFile, study_file: StudyFile, as_json: AsJson = False) -> None:
    """Read all files as training would and report what is there, before joining.

    Nothing is sent and nothing is written. The first thing that can't be read is named with its
    file and line, never with its content: exit code 2. A study beyond the limits in site.yaml is
    refused after the report: exit code 2. Warnings are doubts: exit code 0.

    Example: `irene-client check site.yaml --study study.yaml --json > report.json`
    """
    import json

    from client.budget import ImageProgress, declared_size, hope, permitted_plan
    from client.check import inspect
    from client.site import Site, check_study
    from irene_model.errors import ConfigError, LimitExceeded
    from irene_model.study import Study

    site, study = Site.read(site_file), Study.read(study_file)
    with ImageProgress() as progress:
        report = inspect(site, study, progress.show)
    if as_json:
        typer.echo(json.dumps(report.as_json(), indent=2, ensure_ascii=False))
    else:
        _show(report)
    try:
        check_study(site.limits, study)
        declared = declared_size(site, report.splits["train"].patients)
        if declared:
            plan = permitted_plan(site, study, declared, 1)
            doubt = hope(study, plan.mechanism, declared)
            if doubt is not None and not as_json:
                typer.echo(f"Warning: {doubt}")
    except LimitExceeded as error:
        raise ConfigError(f"{site_file}: {error}") from None


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


def _show(report: "QualityReport") -> None:
    from rich import box
    from rich.console import Console
    from rich.markup import escape
    from rich.table import Table

    def table(title: str, *columns: str) -> Table:
        made = Table(title=title, title_justify="left", title_style="bold", box=box.SIMPLE_HEAD)
        for index, column in enumerate(columns):
            made.add_column(column, justify="right" if index else "left", no_wrap=index == 0)
        return made

    console = Console()
    console.print(
        f"Site [bold]{report.site}[/bold] for the study [bold]{report.study}[/bold]: "
        f"{report.records} records of {report.patients} patients, at most "
        f"{report.most_records_of_a_patient} records a patient",
        highlight=False,
        soft_wrap=True,
    )
    splits = table("Splits", "split", "patients", "records")
    for name, split in report.splits.items():
        splits.add_row(name, str(split.patients), str(split.records))
    modalities = table("Modalities", "modality", "records")
    for name, count in report.modalities.items():
        modalities.add_row(name, str(count) if count else "absent")
    labs = table(
        "Laboratory (below, above: the detection limits)",
        "value",
        "unit",
        "measured",
        "missing",
        "below",
        "above",
        "abnormal",
    )
    for name, lab in report.labs.items():
        counts = (lab.measured, lab.missing, lab.censored_low, lab.censored_high)
        share = "" if lab.outside_reference is None else f"{lab.outside_reference:.0%}"
        cells = [*map(str, counts), share] if lab.mapped else ["not mapped", "", "", "", ""]
        labs.add_row(name, escape(lab.unit), *cells)
    panels = table("Further panels", "panel", "values", "records", "filled", "abnormal")
    for name, panel in report.panels.items():
        shares = (panel.filled, panel.outside_reference)
        cells = [f"{panel.values} of {panel.of}", str(panel.records)]
        cells += ["" if share is None else f"{share:.0%}" for share in shares]
        panels.add_row(name, *(cells if panel.values else ["not mapped", "", "", ""]))
    labels = table("Labels", "label", "positive", "negative", "not annotated")
    for name, label in report.labels.items():
        values = (label.positives, label.negatives, label.not_annotated)
        labels.add_row(name, *(map(str, values) if label.mapped else ("not mapped", "", "")))
    console.print(splits, modalities, labs, *([panels] if report.panels else []), labels)
    for warning in report.warnings:
        console.print(f"[yellow]warning:[/yellow] {escape(warning)}", soft_wrap=True)
    if not report.warnings:
        console.print("No warnings: the files can be used.", highlight=False)


for command in (*node_cli.COMMANDS, status):
    app.command()(command)
app.add_typer(ledger_cli.app, name="ledger")


def main() -> None:
    """The console script."""
    run_app(app)
