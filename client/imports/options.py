"""The options of `irene-client import`, once for all commands, as fields of what they choose."""

import inspect
from collections.abc import Callable
from dataclasses import MISSING, dataclass, field, fields
from pathlib import Path
from typing import Annotated, Any, Literal, get_type_hints

import typer

_Study = Annotated[
    Path, typer.Option("--study", metavar="STUDY.yaml", help="The contract of all sites.")
]
_LabelledStudy = Annotated[
    Path | None,
    typer.Option("--study", metavar="STUDY.yaml", help="Whose labels to propose."),
]
_Labels = Annotated[
    list[str] | None,
    typer.Option(
        "--label",
        metavar="NAME=CODES",
        help="A label's codes, as pneumonia=J18,J15.9: of ICD-10, or numbers, of SNOMED CT in FHIR "
        "and of concepts in OMOP. May be given for each label.",
    ),
]
_LabelFile = Annotated[
    Path | None,
    typer.Option("--labels", metavar="FILE", help="The same as YAML: NAME: [CODE, …]."),
]
_Images = Annotated[
    Path | None,
    typer.Option("--images", metavar="FOLDER", help="Where the files of the images lie."),
]
_Records = Annotated[
    Literal["images", "visits"],
    typer.Option("--records", help="What becomes a record: each imaging study, or each visit."),
]
_Days = Annotated[
    float,
    typer.Option(
        "--days",
        min=0,
        help="What is of the patient so near to a record is the record's, beside its visit's.",
    ),
]
_Complaints = Annotated[
    list[str] | None,
    typer.Option("--complaint", metavar="KIND", help="The kind of text that is the complaint."),
]
_Modalities = Annotated[
    list[str] | None,
    typer.Option("--modality", help="DICOM's modality; CR, DX, DR and RG if none is given."),
]
_BodyParts = Annotated[
    list[str] | None,
    typer.Option(
        "--body-part", metavar="WORD", help="Leave out images that name another, as CHEST."
    ),
]
_SiteName = Annotated[
    str | None, typer.Option("--site", metavar="NAME", help="The site's name; OUT's if it is one.")
]


@dataclass(frozen=True, kw_only=True)
class PicturesChosen:
    """What may be said of any source; of a PACS no more than that."""

    study_file: _LabelledStudy = None
    modalities: _Modalities = None
    body_parts: _BodyParts = None
    site: _SiteName = None


@dataclass(frozen=True, kw_only=True)
class HistoriesChosen(PicturesChosen):
    """And of sources that hold what befell patients; FHIR's records are images."""

    study_file: _Study = field()  # no default, also not that of its parent
    labels: _Labels = None
    label_file: _LabelFile = None
    images: _Images = None
    records: _Records = "images"
    days: _Days = 7.0
    complaints: _Complaints = None


@dataclass(frozen=True, kw_only=True)
class VisitsChosen(HistoriesChosen):
    """The same; OMOP's records are visits."""

    records: _Records = "visits"


Command = Callable[..., None]


def taking(options: type[PicturesChosen]) -> Callable[[Command], Command]:
    """A command whose last parameter is `chosen`, with an option for each field of `options`."""

    def with_options(command: Command) -> Command:
        def typed(**given: Any) -> None:
            values = {each.name: given.pop(each.name) for each in fields(options)}
            command(**given, chosen=options(**values))

        *named, _ = inspect.signature(command).parameters.values()
        hints = get_type_hints(options, include_extras=True)
        added = [
            inspect.Parameter(
                each.name,
                inspect.Parameter.KEYWORD_ONLY,
                default=inspect.Parameter.empty if each.default is MISSING else each.default,
                annotation=hints[each.name],
            )
            for each in fields(options)
        ]
        typed.__name__, typed.__doc__ = command.__name__, command.__doc__
        typed.__signature__ = inspect.Signature([*named, *added])  # type: ignore[attr-defined]
        typed.__annotations__ = {each.name: each.annotation for each in [*named, *added]}
        return typed

    return with_options
