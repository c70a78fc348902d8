"""Each mapped column of the records table, read whole: a value for every row.

What was read as something else than it says, or left out, is counted in the account.
"""

import functools
from collections.abc import Sequence
from datetime import datetime
from pathlib import Path

from client.cells import (
    finding_reader,
    is_capped,
    label_reader,
    read_age,
    read_moment,
    sex_reader,
    together,
    uncertain_cells,
    years_between,
)
from client.columns import Column
from client.images import on_disk
from client.joins import Account
from client.records.frames import Frame
from client.site import ImageColumn, LabelColumn, Site
from irene_model.study import Sex


def read_texts(site: Site, frame: Frame) -> list[str | None]:
    """The filled cells of all text columns, joined; None where there is none."""
    mapped = site.columns.text
    if mapped is None:
        return [None] * len(frame)
    cells = [frame.column(name, "columns.text").known() for name in mapped.columns]
    joined = (mapped.separator.join(filter(None, row)) for row in zip(*cells, strict=True))
    return [text or None for text in joined]


def read_ages(site: Site, frame: Frame, account: Account) -> list[float | None]:
    """Years, as a cell says them or between two dates."""
    mapped = site.columns.age
    if mapped is None:
        return [None] * len(frame)
    if mapped.born is not None and mapped.at is not None:
        born = read_moments(site, frame, mapped.born, "columns.age.born")
        at = read_moments(site, frame, mapped.at, "columns.age.at")
        return _ages_between(born, at, account)
    unit = mapped.unit or "years"
    column = frame.column(str(mapped.column), "columns.age")
    ages = column.parse_numbers(lambda cell: read_age(cell, unit))
    account.count_cells(
        "ages given as a bound, as >89 or 90+, read as the youngest",
        sum(map(is_capped, column.cells)),
    )
    return ages


def read_moments(site: Site, frame: Frame, name: str, key: str) -> list[datetime | None]:
    """The dates of a column, which site.yaml names under `key`."""
    return frame.column(name, key).parse(lambda cell: read_moment(cell, site.dates))


def _ages_between(
    born: Sequence[datetime | None], at: Sequence[datetime | None], account: Account
) -> list[float | None]:
    pairs = [pair for pair in zip(born, at, strict=True) if None not in pair]
    ages = [
        None if start is None or end is None else years_between(start, end)
        for start, end in zip(born, at, strict=True)
    ]
    impossible = len(pairs) - sum(age is not None for age in ages)
    account.count_cells("ages between two dates that nobody has, left out", impossible)
    if impossible:
        account.doubts.append(
            f"age: {impossible} of {len(pairs)} ages between columns.age.born and columns.age.at "
            "are below 0 or above 120 years, and were left out: are the columns the right way "
            "round, or are some dates codes for unknown?"
        )
    return ages


def read_sexes(site: Site, frame: Frame) -> list[Sex | None]:
    """As columns.sex maps the cells."""
    if site.columns.sex is None:
        return [None] * len(frame)
    column = frame.column(site.columns.sex.column, "columns.sex.column")
    return column.parse_written(sex_reader(site.columns.sex, column.missing))


def read_image_paths(site: Site, frame: Frame) -> list[Path | None]:
    """Where the radiographs lie; one that is not there is found by whoever reads it."""
    mapped = site.columns.image
    if mapped is None:
        return [None] * len(frame)
    column = frame.column(mapped.column, "columns.image.column")
    return column.parse(lambda cell: _image_path(site, mapped, cell))


def read_sound_paths(site: Site, frame: Frame) -> list[dict[str, Path]]:
    """Position -> where its recording lies, a mapping for each row."""
    found: list[dict[str, Path]] = [{} for _ in range(len(frame))]
    for position, mapped in site.sounds.items():
        column = frame.column(mapped.column, f"sounds.{position}.column")
        read = functools.partial(_image_path, site, mapped)
        for paths, path in zip(found, column.parse(read), strict=True):
            if path is not None:
                paths[position] = path
    return found


def _image_path(site: Site, mapped: ImageColumn, cell: str) -> Path | None:
    if not cell:
        return None
    # One that is not there is refused where images are read, with all others that can't be.
    return on_disk(site.resolve(Path(mapped.pattern.replace("{}", cell))))


def read_labels(site: Site, frame: Frame, account: Account) -> list[dict[str, int]]:
    """Label -> 0 or 1, a mapping for each row; what is not annotated is absent."""
    labels: list[dict[str, int]] = [{} for _ in range(len(frame))]
    for name, mapped in site.labels.items():
        key = f"labels.{name}.column{'s' if mapped.columns else ''}"
        columns = [frame.column(each, key) for each in mapped.all_columns]
        read = _read_findings if mapped.names_diseases else _read_label
        values, uncertain = read(name, mapped, columns)
        account.count_cells(
            f"records of which the label {name} is uncertain, not learnt from", uncertain
        )
        for annotated, value in zip(labels, values, strict=True):
            if value is not None:
                annotated[name] = value
    return labels


Values = tuple[Sequence[int | None], int]


def _read_label(name: str, mapped: LabelColumn, columns: Sequence[Column]) -> Values:
    (column,) = columns
    plain = column.numbers.plain_or_same
    cells = {cell: plain(cell) for cell in set(column.cells)}
    read_cell = label_reader(name, mapped, column.missing, cells.values())
    values = column.parse_written(lambda cell: read_cell(cells[cell]))
    is_uncertain = uncertain_cells(mapped)
    uncertain = {cell for cell, said in cells.items() if is_uncertain(said)}
    return values, sum(cell in uncertain for cell in column.cells) if uncertain else 0


def _read_findings(name: str, mapped: LabelColumn, columns: Sequence[Column]) -> Values:
    said = [c.parse_written(finding_reader(name, mapped, c.missing)) for c in columns]
    found = [together(row) for row in zip(*said, strict=True)]
    values = [{"yes": 1, "no": 0}.get(each) for each in found]
    return values, sum(each == "maybe" for each in found)
