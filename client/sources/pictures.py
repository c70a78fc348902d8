"""A folder of images, as a PACS exports it: what their headers say, and how they are found.

Files need no suffix and folders no DICOMDIR. Only headers are read. Names that tables have for
images are looked up among the files that are there, and never become a path.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from client.images import MOST_BYTES, ImageProblem, is_dicom, quiet, read_dataset
from client.sources.bundles import walked
from client.sources.history import History, Person, Picture, Progress, Tally
from client.sources.moments import Moment, read_dicom
from irene_model.errors import DataError

_START = 132
_SUFFIXES = (".png", ".jpg", ".jpeg", ".tif", ".tiff", ".bmp", ".jp2")
_LONGEST = 256  # characters of a field
_FRONTAL = ("PA", "AP")
_SEXES = {"M": "male", "F": "female", "O": "other"}


@dataclass(frozen=True, kw_only=True)
class Header:
    """Of a DICOM file what a table holds; empty where it says nothing."""

    patient: str = field(repr=False)
    uids: tuple[str, ...] = field(repr=False)
    accession: str = field(repr=False)
    modality: str
    view: str
    body_part: str
    at: Moment | None
    born: Moment | None
    age: str
    sex: str


@dataclass(frozen=True, kw_only=True)
class Scanned:
    """A file in the folder; `header` is None for a picture that has none."""

    path: str
    header: Header | None = None

    @property
    def rank(self) -> tuple[int, str]:
        """The least is taken where one is needed: frontal before unknown before lateral."""
        view = "" if self.header is None else self.header.view
        order = _FRONTAL.index(view) if view in _FRONTAL else (3 if view else 2)
        return order, self.path


def scan(folder: Path, tally: Tally, progress: Progress) -> list[Scanned]:
    """All images in `folder` and below, by name; other files are counted.

    Raises:
        DataError: there is no such folder.
    """
    if not folder.is_dir():
        raise DataError(f"{folder}: there is no such folder")
    paths = list(walked(folder, tally))
    found: list[Scanned] = []
    for number, path in enumerate(paths, 1):
        name = path.relative_to(folder).as_posix()
        why = ""
        if not name.isprintable():
            why = "a name with signs that can't be printed"
        elif path.suffix.lower() in _SUFFIXES:
            found.append(Scanned(path=name))
        else:
            with quiet():
                header = _read(path)
            if isinstance(header, str):
                why = header
            else:
                found.append(Scanned(path=name, header=header))
        if why:
            tally.pass_over("image files", why)
        progress(number, len(paths))
    tally.read["image files"] = len(found)
    return found


def by_name(files: Sequence[Scanned]) -> Mapping[str, list[Scanned]]:
    """Path, file name, its stem, UIDs and accession number -> the files called so."""
    names: dict[str, list[Scanned]] = {}
    for file in files:
        path = Path(file.path)
        own = {file.path, path.name, path.stem}
        if file.header is not None:
            own |= {*file.header.uids, file.header.accession}
        for name in own - {""}:
            names.setdefault(name, []).append(file)
    return names


def read_pacs(folder: Path, progress: Progress) -> History:
    """A picture for each DICOM image, and the patients that they name."""
    history = History(code_system="snomed")
    tally = history.tally
    for file in scan(folder, tally, progress):
        header = file.header
        if header is None:
            tally.pass_over("image files", "no DICOM header, which would say whose it is")
        elif not header.patient:
            tally.pass_over("image files", "no PatientID")
        elif not header.uids[0]:
            tally.pass_over("image files", "no SOPInstanceUID")
        elif header.uids[0] in history.pictures:
            tally.pass_over("image files", "there twice")
        else:
            known = history.persons.get(header.patient, Person())
            history.persons[header.patient] = Person(
                sex=known.sex or header.sex, born=known.born or header.born
            )
            history.pictures[header.uids[0]] = Picture(
                patient=header.patient,
                at=header.at,
                modality=header.modality,
                view=header.view,
                body_part=header.body_part,
                accession=header.accession,
                path=file.path,
                age=header.age,
            )
    return history


def _read(path: Path) -> Header | str:
    """The header, or why there is none that is of use."""
    try:
        with path.open("rb") as file:
            if path.stat().st_size > MOST_BYTES:
                return "too large"
            if not is_dicom(file.read(_START)):
                return "no DICOM and no picture"
            file.seek(0)
            dataset = read_dataset(file, pixels=False)
    except OSError:
        return "can't be read"
    except ImageProblem:
        return "damaged DICOM"
    if not _text(dataset, "Rows"):
        return "DICOM without an image, as a report or a DICOMDIR"
    at = (
        read_dicom(_text(dataset, f"{which}Date"), _text(dataset, f"{which}Time"))
        for which in ("Acquisition", "Content", "Series", "Study")
    )
    uids = ("SOPInstanceUID", "SeriesInstanceUID", "StudyInstanceUID")
    age = _text(dataset, "PatientAge").upper()
    return Header(
        patient=_text(dataset, "PatientID"),
        uids=tuple(_text(dataset, uid) for uid in uids),
        accession=_text(dataset, "AccessionNumber"),
        modality=_text(dataset, "Modality").upper(),
        view=_text(dataset, "ViewPosition").upper(),
        body_part=_text(dataset, "BodyPartExamined"),
        at=next(filter(None, at), None),
        born=read_dicom(_text(dataset, "PatientBirthDate"), ""),
        age=age if len(age) == 4 and age[:3].isdigit() and age[3] in "DWMY" else "",
        sex=_SEXES.get(_text(dataset, "PatientSex").upper(), ""),
    )


def _text(dataset: Any, keyword: str) -> str:
    """A field as one printable line; empty if absent, unreadable or longer than any that is one."""
    try:
        value = dataset.get(keyword)
    except Exception:  # a field is parsed when it is first asked for
        return ""
    text = "" if value is None else str(value).strip(" \0")
    return text if len(text) <= _LONGEST and text.isprintable() else ""
