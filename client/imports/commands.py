"""irene-client import: what a hospital's systems export, as tables with a draft of site.yaml."""

import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

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
StudyFile = Annotated[
    Path, typer.Option("--study", metavar="STUDY.yaml", help="The contract of all sites.")
]
Labels = Annotated[
    list[str] | None,
    typer.Option(
        "--label",
        metavar="NAME=CODES",
        help="A label's codes, as pneumonia=J18,J15.9: of ICD-10, or numbers, of SNOMED CT in FHIR "
        "and of concepts in OMOP. May be given for each label.",
    ),
]
LabelFile = Annotated[
    Path | None,
    typer.Option("--labels", metavar="FILE", help="The same as YAML: NAME: [CODE, …]."),
]
Images = Annotated[
    Path | None, typer.Option(metavar="FOLDER", help="Where the files of the images lie.")
]
Records = Annotated[
    Literal["images", "visits"],
    typer.Option("--records", help="What becomes a record: each imaging study, or each visit."),
]
Days = Annotated[
    float,
    typer.Option(
        min=0,
        help="What is of the patient so near to a record is the record's, beside its visit's.",
    ),
]
Complaints = Annotated[
    list[str] | None,
    typer.Option("--complaint", metavar="KIND", help="The kind of text that is the complaint."),
]
Modalities = Annotated[
    list[str] | None,
    typer.Option("--modality", help="DICOM's modality; CR, DX, DR and RG if none is given."),
]
BodyParts = Annotated[
    list[str] | None,
    typer.Option(
        "--body-part", metavar="WORD", help="Leave out images that name another, as CHEST."
    ),
]
SiteName = Annotated[
    str | None, typer.Option("--site", metavar="NAME", help="The site's name; OUT's if it is one.")
]


@import_app.callback()
def _import() -> None:
    """Everything stays here: nothing is sent, and nothing that a file names is fetched."""


@import_app.command()
def fhir(
    bundles: Annotated[
        Path, typer.Argument(metavar="BUNDLES", help="A folder of .json and .ndjson, or one file.")
    ],
    out: Out,
    *,
    study_file: StudyFile,
    labels: Labels = None,
    label_file: LabelFile = None,
    images: Images = None,
    records: Records = "images",
    days: Days = 7.0,
    complaints: Complaints = None,
    modalities: Modalities = None,
    body_parts: BodyParts = None,
    site: SiteName = None,
) -> None:
    """FHIR R4: bundles, and NDJSON as bulk exports write it.

    Read are Patient, Encounter, Observation, DiagnosticReport, ImagingStudy and Condition.

    Example: `irene-client import fhir export site --study study.yaml --images pacs
    --label pneumonia=J18,J15.9`
    """
    from client.imports.importing import import_fhir

    target = _target(
        out,
        study_file,
        images,
        records=records,
        days=days,
        labels=_labels(labels, label_file, study_file),
        complaints=complaints,
        modalities=modalities,
        body_parts=body_parts,
        site=site,
    )
    with _bars() as stages:
        tally = import_fhir(bundles, target, stages)
    _show(tally, target)


@import_app.command()
def omop(
    source: Annotated[
        Path,
        typer.Argument(
            metavar="DB-or-FOLDER", help="A folder of .csv or .parquet, a SQLite or DuckDB file."
        ),
    ],
    out: Out,
    *,
    study_file: StudyFile,
    labels: Labels = None,
    label_file: LabelFile = None,
    images: Images = None,
    records: Records = "visits",
    days: Days = 7.0,
    complaints: Complaints = None,
    modalities: Modalities = None,
    body_parts: BodyParts = None,
    site: SiteName = None,
) -> None:
    """OMOP's Common Data Model 5.4, with its extension for images if it is there.

    Read are person, visit_occurrence, measurement, note, condition_occurrence, concept and
    image_occurrence.

    Example: `irene-client import omop cdm site --study study.yaml --label pneumonia=255848`
    """
    from client.imports.importing import import_omop

    target = _target(
        out,
        study_file,
        images,
        records=records,
        days=days,
        labels=_labels(labels, label_file, study_file),
        complaints=complaints,
        modalities=modalities,
        body_parts=body_parts,
        site=site,
    )
    with _bars() as stages:
        tally = import_omop(source, target, stages)
    _show(tally, target)


@import_app.command()
def dicom(
    folder: Annotated[Path, typer.Argument(metavar="FOLDER", help="What the PACS exported.")],
    out: Out,
    *,
    study_file: Annotated[
        Path | None, typer.Option("--study", metavar="STUDY.yaml", help="Whose labels to propose.")
    ] = None,
    modalities: Modalities = None,
    body_parts: BodyParts = None,
    site: SiteName = None,
) -> None:
    """A PACS' export: a row for each image, of what its header says. Labels you join yourself.

    Files may lie in folders of any depth and need neither a suffix nor a DICOMDIR.

    Example: `irene-client import dicom pacs site --body-part CHEST`
    """
    from client.imports.importing import import_dicom

    target = _target(
        out, study_file, folder, modalities=modalities, body_parts=body_parts, site=site
    )
    with _bars() as stages:
        tally = import_dicom(folder, target, stages)
    _show(tally, target)


def _labels(
    given: list[str] | None, file: Path | None, study_file: Path
) -> "Mapping[str, tuple[str, ...]]":
    from client.imports.choices import read_labels
    from irene_model.study import Study

    return read_labels(given or (), file, Study.read(study_file))


def _target(
    out: Path, study_file: Path | None, images: Path | None, *, site: str | None, **chosen: object
) -> "Target":
    """What was chosen; an option that was not given keeps its default."""
    from client.imports.choices import Choices
    from client.imports.importing import Target
    from irene_model.study import Study, parse

    name = re.sub("[^A-Za-z0-9]+", "-", out.absolute().name).strip("-")[:40].rstrip("-")
    document = {key: value for key, value in chosen.items() if value is not None}
    return Target(
        out=out,
        choices=parse(Choices, {**document, "site": site or name or "hospital"}, "import"),
        study=None if study_file is None else Study.read(study_file),
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
