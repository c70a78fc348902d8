"""irene-client import: what a hospital's systems export, as tables with a draft of site.yaml."""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from client.imports.options import HistoriesChosen, PicturesChosen, VisitsChosen, taking

if TYPE_CHECKING:
    from rich.table import Table

    from client.imports.importing import Stages, Target
    from client.sources import Progress, Tally

import_app = typer.Typer(
    help="Make tables and a draft of site.yaml of what FHIR, OMOP or a PACS export.",
    no_args_is_help=True,
    rich_markup_mode="markdown",
)
Out = Annotated[Path, typer.Argument(metavar="OUT", help="A new folder; it holds patients' data.")]


@import_app.callback()
def _import() -> None:
    """Everything stays here: nothing is sent, and nothing that a file names is fetched."""


@import_app.command()
@taking(HistoriesChosen)
def fhir(
    bundles: Annotated[
        Path, typer.Argument(metavar="BUNDLES", help="A folder of .json and .ndjson, or one file.")
    ],
    out: Out,
    chosen: HistoriesChosen,
) -> None:
    """FHIR R4: bundles, and NDJSON as bulk exports write it.

    Read are Patient, Encounter, Observation, DiagnosticReport, ImagingStudy and Condition.

    Example: `irene-client import fhir export site --study study.yaml --images pacs
    --label pneumonia=J18,J15.9`
    """
    from client.imports.importing import import_fhir

    target = _target(out, chosen, chosen.images)
    with _bars() as stages:
        tally = import_fhir(bundles, target, stages)
    _show(tally, target)


@import_app.command()
@taking(VisitsChosen)
def omop(
    source: Annotated[
        Path,
        typer.Argument(
            metavar="DB-or-FOLDER", help="A folder of .csv or .parquet, a SQLite or DuckDB file."
        ),
    ],
    out: Out,
    chosen: VisitsChosen,
) -> None:
    """OMOP's Common Data Model 5.4, with its extension for images if it is there.

    Read are person, visit_occurrence, measurement, note, condition_occurrence, concept and
    image_occurrence.

    Example: `irene-client import omop cdm site --study study.yaml --label pneumonia=255848`
    """
    from client.imports.importing import import_omop

    target = _target(out, chosen, chosen.images)
    with _bars() as stages:
        tally = import_omop(source, target, stages)
    _show(tally, target)


@import_app.command()
@taking(PicturesChosen)
def dicom(
    folder: Annotated[Path, typer.Argument(metavar="FOLDER", help="What the PACS exported.")],
    out: Out,
    chosen: PicturesChosen,
) -> None:
    """A PACS' export: a row for each image, of what its header says. Labels you join yourself.

    Files may lie in folders of any depth and need neither a suffix nor a DICOMDIR.

    Example: `irene-client import dicom pacs site --body-part CHEST`
    """
    from client.imports.importing import import_dicom

    target = _target(out, chosen, folder)
    with _bars() as stages:
        tally = import_dicom(folder, target, stages)
    _show(tally, target)


def _target(out: Path, chosen: PicturesChosen, images: Path | None) -> "Target":
    """What was chosen; an option that was not given keeps its default."""
    from client.imports.choices import Choices, read_labels
    from client.imports.importing import Target
    from irene_model.study import Study, parse

    study = None if chosen.study_file is None else Study.read(chosen.study_file)
    given = {key: value for key, value in vars(chosen).items() if value is not None}
    label_file = given.pop("label_file", None)
    if isinstance(chosen, HistoriesChosen) and study is not None:
        given["labels"] = read_labels(chosen.labels or (), label_file, study)
    name = re.sub("[^A-Za-z0-9]+", "-", out.absolute().name).strip("-")[:40].rstrip("-")
    document = {key: value for key, value in given.items() if key in Choices.model_fields}
    return Target(
        out=out,
        choices=parse(Choices, {"site": name or "hospital", **document}, "import"),
        study=study,
        images=images,
    )


@contextmanager
def _bars() -> "Iterator[Stages]":
    """Bars on stderr, one for each stage; nothing where stderr is not a terminal."""
    from rich.console import Console
    from rich.progress import Progress as Bars

    console = Console(stderr=True)
    with Bars(console=console, transient=True, disable=not console.is_terminal) as bars:

        def stage(name: str) -> "Progress":
            task = bars.add_task(name, total=None)
            return lambda done, total: bars.update(task, completed=done, total=total)

        yield stage


def _show(tally: "Tally", target: "Target") -> None:
    """What was read, and what was passed over and why."""
    from rich.console import Console

    console = Console()
    read, passed = _table("Read", "what", "count"), _table("Passed over", "what", "why", "count")
    for kind, count in tally.read.items():
        read.add_row(kind, str(count))
    for (kind, why), count in sorted(tally.passed.items()):
        passed.add_row(kind, why, str(count))
    console.print(read, *([passed] if tally.passed else []))
    console.print(
        f"{target.out / 'site.yaml'} is a draft: read its comments, then "
        "`irene-client check` it. The folder holds patients' data; only you can read it, keep it "
        "so.",
        highlight=False,
        soft_wrap=True,
        markup=False,
    )


def _table(title: str, *columns: str) -> "Table":
    from rich import box
    from rich.table import Table

    table = Table(title=title, title_justify="left", box=box.SIMPLE_HEAD)
    for column in columns:
        table.add_column(column, justify="right" if column == "count" else "left")
    return table
