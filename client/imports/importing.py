"""From what a hospital's systems export to a folder that `irene-client check` reads."""

import os
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from client.imports.choices import Choices
from client.imports.draft import Draft
from client.imports.linking import Owners, one_id_each, records_of
from client.imports.written_tables import unfinished, write_draft, write_labs, write_records
from client.site import Site
from client.sources import (
    History,
    LabSpool,
    Progress,
    Scanned,
    Tally,
    by_name,
    read_fhir,
    read_omop,
    read_pacs,
    scan,
)
from irene_model.study import Study

if TYPE_CHECKING:
    import pyarrow as pa

Stages = Callable[[str], Progress]
"""What a stage of the work is called -> who is told how far it is."""


@dataclass(frozen=True, kw_only=True)
class Target:
    """Where an import goes, and for what.

    images: the folder with the files of images; None where there is none. study: may be None
    where neither values nor labels are read.
    """

    out: Path
    choices: Choices
    study: Study | None
    images: Path | None = None


def import_fhir(source: Path, target: Target, stages: Stages) -> Tally:
    """Write the tables of FHIR bundles or NDJSON; returns what was read and passed over.

    Raises:
        ConfigError, DataError: nothing is left behind.
    """
    with unfinished(target.out, _sources(source, target)) as folder:
        spool = LabSpool(folder / "labs.spool")
        history = read_fhir(source, spool, stages("reading resources"))
        return _write(folder, history, spool.chunks(), target, stages)


def import_omop(source: Path, target: Target, stages: Stages) -> Tally:
    """Write the tables of an OMOP database or folder, as `import_fhir`."""
    with unfinished(target.out, _sources(source, target)) as folder:
        history, labs = read_omop(source, stages("reading tables"))
        return _write(folder, history, labs.chunks(), target, stages)


def import_dicom(source: Path, target: Target, stages: Stages) -> Tally:
    """Write a row for each image of a folder of DICOM files, as `import_fhir`."""
    with unfinished(target.out, _sources(source, target)) as folder:
        history = read_pacs(source, stages("reading headers"))
        return _write(folder, history, (), target, stages)


def _told(
    chunks: "Iterable[pa.Table]", history: History, progress: Progress
) -> "Iterator[pa.Table]":
    """`chunks`, counted; how many rows there are is known of what was spooled."""
    done, total = 0, sum(history.tests.values()) or None
    for chunk in chunks:
        yield chunk
        done += chunk.num_rows
        progress(done, total)


def _sources(source: Path, target: Target) -> list[Path]:
    return [source, *([] if target.images is None else [target.images])]


def _write(
    folder: Path,
    history: History,
    chunks: "Iterable[pa.Table]",
    target: Target,
    stages: Stages,
) -> Tally:
    tally, choices = history.tally, target.choices
    given = any(picture.path for picture in history.pictures.values())
    files: Mapping[str, Sequence[Scanned]] = {}
    if target.images is not None and not given:
        files = by_name(scan(target.images, tally, stages("reading headers of images")))
    ids = one_id_each(history)
    tally.pass_over("patients", "another id of one, read as one", len(ids) - len({*ids.values()}))
    records = records_of(history, ids, choices, files)
    owners = Owners(records, ids, choices.days)
    columns = write_records(folder, records, history, owners, choices)
    rows = 0
    if target.study is not None:
        told = _told(chunks, history, stages("linking laboratory values"))
        rows = write_labs(folder, told, records, tally=tally, owners=owners, study=target.study)
    with suppress(FileNotFoundError):
        (folder / "labs.spool").unlink()
    images = None
    if target.images is not None and "image" in columns:
        images = Path(os.path.relpath(target.images.resolve(), target.out.resolve())).as_posix()
    draft = Draft(
        site=choices.site,
        columns=columns,
        history=history,
        choices=choices,
        study=target.study,
        images=images,
        labs=rows > 0,
    )
    write_draft(folder, draft.text())
    Site.read(folder / "site.yaml")  # a draft that nobody can read is a mistake of ours
    return tally
