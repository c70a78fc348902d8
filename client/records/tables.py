"""The hospital's tables to records, or one sentence that says what to mend.

Order of the work: read and join the tables, leave out the excluded records, read each mapped
column whole, then put the columns together row by row. The first column with a problem raises:
a list of everything that is wrong with a wrong file is noise.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from client.cells import identifier_reader
from client.columns import Column
from client.images import ImageFile
from client.joins import NO_RECORD, Account, TableRows, compared, visible
from client.records.columns import (
    read_ages,
    read_image_paths,
    read_labels,
    read_sexes,
    read_sound_paths,
    read_texts,
)
from client.records.frames import Frame, read_joined
from client.records.labs import read_labs
from client.records.owners import Owners
from client.records.panels import read_panels
from client.records.splits import read_splits
from client.records.wanted import counted, unwanted
from client.site import Site
from client.sounds import RecordSounds
from irene_model.errors import DataError
from irene_model.study import Record, Study


@dataclass(frozen=True, kw_only=True)
class PlacedRecord:
    """A record and where it stands, as `encounters.csv line 7`: its name in messages."""

    place: str
    record: Record


def image_files(placed: Sequence[PlacedRecord]) -> list[ImageFile]:
    """The images of all records that have one."""
    return [
        ImageFile(path=each.record.image_path, place=each.place, row=row)
        for row, each in enumerate(placed)
        if each.record.image_path is not None
    ]


def sound_files(placed: Sequence[PlacedRecord]) -> list[RecordSounds]:
    """The recordings of all records that have one."""
    return [
        RecordSounds(paths=each.record.sound_paths, place=each.place, row=row)
        for row, each in enumerate(placed)
        if each.record.sound_paths
    ]


def read_records(site: Site, study: Study) -> tuple[Record, ...]:
    """All records of the site but the excluded ones, in the order of the records table.

    Raises:
        ConfigError: site.yaml maps a name that the study does not have.
        DataError: a file is missing, unreadable or holds something impossible.
    """
    return tuple(placed.record for placed in read_placed_records(site, study))


def read_placed_records(site: Site, study: Study) -> tuple[PlacedRecord, ...]:
    """As `read_records`, each with its place in the records table."""
    return read_wanted_records(site, study)[0]


def read_wanted_records(
    site: Site, study: Study, account: Account | None = None
) -> tuple[tuple[PlacedRecord, ...], dict[str, int]]:
    """As `read_placed_records`, and how many records site.yaml's `images` leaves out, by reason.

    account: is told of the rows of all tables.
    """
    account = Account() if account is None else account
    site.check_against(study)
    whole, joined = read_joined(site, site.records)
    all_ids = whole.column(site.columns.record_id, "columns.record_id")
    known_ids = compared(all_ids.cells)
    rows = _without_excluded(site, all_ids.cells, known_ids)
    frame = whole.take(rows) if site.exclude else whole
    keys = [known_ids[row] for row in rows]
    record_ids = frame.column(site.columns.record_id, "columns.record_id")
    _refuse_repeats(record_ids, keys)
    patients = frame.column(site.columns.patient_id, "columns.patient_id")
    read_id = identifier_reader(patients.missing)
    patient_ids = patients.parse_written(lambda cell: read_id(visible(cell)))
    splits, of_no_split = read_splits(site, frame, patient_ids)
    images = read_image_paths(site, frame)
    texts = read_texts(site, frame)
    ages = read_ages(site, frame, account)
    sexes = read_sexes(site, frame)
    owners = Owners(
        records=whole,
        known=set(known_ids),
        patients=dict(zip(keys, patient_ids, strict=True)),
        patient_column=site.columns.patient_id,
    )
    labs = read_labs(site, study, frame, keys, owners=owners, account=account)
    panels = read_panels(site, study, frame, keys, owners=owners, account=account)
    sounds = read_sound_paths(site, frame)
    labels = read_labels(site, frame, account)
    records = [
        Record(
            patient_id=patient_ids[row],
            record_id=record_id,
            split=splits[row],
            image_path=images[row],
            text=texts[row],
            labs=labs[row],
            panels={name: values[row] for name, values in panels.items()},
            sound_paths=sounds[row],
            age_years=ages[row],
            sex=sexes[row],
            labels=labels[row],
        )
        for row, record_id in enumerate(record_ids.cells)
    ]
    left_out = {**unwanted(records, site.images), **of_no_split}
    used = [whole_row for row, whole_row in enumerate(rows) if row not in left_out]
    account.joins[:0] = [each.counts for each in joined]
    account.tables[:0] = [
        _used(str(site.records.path), "records", used, range(len(whole))),
        *(_used(j.counts.table, j.counts.key, used, j.partners, j.rows) for j in joined),
    ]
    account.excluded_images = _excluded_images(site, whole, used)
    kept = tuple(
        PlacedRecord(place=record_ids.place(row), record=record)
        for row, record in enumerate(records)
        if row not in left_out
    )
    if not kept:
        which = "images: leaves" if site.images.asks else "splits: leave"
        why = ", ".join(counted(left_out))
        raise DataError(f"site {site.site}: {which} no record: {why}")
    _refuse_useless(site, [each.record for each in kept])
    return kept, counted(left_out)


def _without_excluded(site: Site, cells: Sequence[str], keys: Sequence[str]) -> list[int]:
    """The rows that are left; `keys` are the record ids in `cells` as they are compared."""
    known = {*cells, *keys}
    for index, record_id in enumerate(site.exclude):
        if record_id not in known:
            raise DataError(
                f"site {site.site}: exclude: no record has the id of entry {index + 1}; correct or "
                "remove it"
            )
    excluded = set(site.exclude)
    pairs = enumerate(zip(cells, keys, strict=True))
    rows = [row for row, ids in pairs if excluded.isdisjoint(ids)]
    if not rows:
        raise DataError(f"site {site.site}: exclude: leaves no record")
    return rows


def _used(
    table: str,
    key: str,
    kept: Sequence[int],
    partners: Sequence[int | None],
    count: int | None = None,
) -> TableRows:
    """The rows of a table by whether a kept record has them as partner.

    kept: rows of the records that are not excluded. partners: of each row of the records. count:
    rows of the table, if they are not those of the records.
    """
    count = len(partners) if count is None else count
    used = {partners[row] for row in kept} - {None}
    reached = set(partners) - {None}
    return TableRows(
        table=table,
        key=key,
        rows=count,
        used=len(used),
        excluded=len(reached - used),
        rejected={NO_RECORD: count - len(reached)} if count > len(reached) else {},
    )


def _excluded_images(site: Site, whole: Frame, kept: Sequence[int]) -> list[Path]:
    mapped = site.columns.image
    if mapped is None:
        return []
    cells = whole.column(mapped.column, "columns.image.column").cells
    names = {cells[row] for row in set(range(len(cells))).difference(kept)} - {""}
    return [site.resolve(Path(mapped.pattern.replace("{}", name))) for name in names]


def _refuse_repeats(record_ids: Column, keys: Sequence[str]) -> None:
    read_id = identifier_reader(record_ids.missing)
    record_ids.parse_written(lambda cell: read_id(visible(cell)))
    seen: dict[str, int] = {}
    repeated = [row for row, key in enumerate(keys) if seen.setdefault(key, row) != row]
    if repeated:
        record_ids.refuse(
            repeated, "repeats the id of an earlier row; keep one row for each record"
        )


def _refuse_useless(site: Site, records: Sequence[Record]) -> None:
    """Refuse what no training can use, before a run finds out."""
    if site.trains and not any(record.split == "train" for record in records):
        raise DataError(
            f"site {site.site}: no patient is in the training split; see columns.split or splits"
        )
    if not any(record.labels for record in records):
        raise DataError(f"site {site.site}: no record has a label; see labels")
