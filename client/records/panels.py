"""A study's further panels of numbers: a column for each value, in a table with a row a record."""

import math
from collections.abc import Collection, Mapping, Sequence

import numpy as np
import numpy.typing as npt

from client.columns import CodedColumn
from client.joins import NO_RECORD, Account, TableRows
from client.records.frames import Frame, read_frame
from client.records.labs import lab_reader
from client.records.owners import (
    Owners,
    patient_column,
    read_owners,
    refuse_other_patients,
)
from client.site import OwnedTable, Site
from irene_model.errors import DataError
from irene_model.study import Panel, Study

Values = npt.NDArray[np.float64]  # (records, values of the panel); NaN was not measured


def read_panels(
    site: Site,
    study: Study,
    frame: Frame,
    record_ids: Sequence[str],
    *,
    owners: Owners,
    account: Account,
) -> dict[str, Values]:
    """Panel -> its values in the study's order and units, a row for each row of `frame`.

    record_ids: of the rows of `frame`. owners: the records that a panel's table may have rows of.
    """
    return {
        panel.name: _read(site, panel, frame, record_ids, owners=owners, account=account)
        for panel in study.panels
        if panel.name in site.panels
    }


def _read(
    site: Site,
    panel: Panel,
    frame: Frame,
    record_ids: Sequence[str],
    *,
    owners: Owners,
    account: Account,
) -> Values:
    key, mapped = f"panels.{panel.name}", site.panels[panel.name]
    rows: Sequence[int | None] = range(len(record_ids))
    if mapped.table is not None:
        frame = read_frame(site, mapped.table, f"{key}.table")
        place = _rows_of(frame, mapped.table, f"{key}.table", owners, account)
        rows = [place.get(record_id) for record_id in record_ids]
        account.tables.append(_rows_used(frame, f"{key}.table", place, record_ids, owners.known))
    lacks = set(mapped.lacks)
    columns = {
        value.name: mapped.columns[value.name].column
        if value.name in mapped.columns
        else value.name
        for value in panel.values
        if value.name not in lacks
    }
    _refuse_missing(frame, columns, key)
    values = np.full((len(record_ids), len(panel.values)), math.nan)
    for index, value in enumerate(panel.values):
        if value.name not in columns:
            continue
        own = mapped.columns.get(value.name)
        unit = own.unit if own is not None else mapped.unit or value.unit
        place_of_unit = f"{key}.columns.{value.name}.unit" if own is not None else f"{key}.unit"
        read_cell = lab_reader(site, value, unit, place_of_unit)
        column = frame.column(columns[value.name], f"{key}.columns.{value.name}")
        cells = column.take(rows).parse_numbers(read_cell)
        values[:, index] = [math.nan if cell is None else cell for cell in cells]
    return values


def _rows_of(
    frame: Frame, table: OwnedTable, key: str, records: Owners, account: Account
) -> Mapping[str, int]:
    """Record -> its row of the panel's table."""
    column = CodedColumn.of(frame.column(table.on, f"{key}.on"))
    owners = read_owners(column, table, key, records, account)
    place = owners.index("repeats an earlier row; keep one row for each record")
    name = patient_column(frame.columns, table, records)
    if name is not None:
        patients = CodedColumn.of(frame.column(name, f"{key}.patient"))
        rows = np.arange(len(frame))
        refuse_other_patients(patients, rows, owners.cells, table=table, key=key, records=records)
    return place


def _rows_used(
    frame: Frame,
    key: str,
    place: Mapping[str, int],
    record_ids: Sequence[str],
    known_ids: Collection[str],
) -> TableRows:
    kept, of_a_record = place.keys() & set(record_ids), place.keys() & known_ids
    strangers = len(place) - len(of_a_record)
    return TableRows(
        table=frame.tables[0],
        key=key,
        rows=len(frame),
        used=len(kept),
        excluded=len(of_a_record) - len(kept),
        rejected={NO_RECORD: strangers} if strangers else {},
    )


def _refuse_missing(frame: Frame, columns: Mapping[str, str], key: str) -> None:
    """A value whose column is not there may be a slip of the pen: it has to be said."""
    known = {*frame.columns, *frame.unread}
    missing = [value for value, column in columns.items() if column not in known]
    if missing:
        more = f" and {len(missing) - 3} more" if len(missing) > 3 else ""
        raise DataError(
            f"{' + '.join(frame.tables)}: no column for {', '.join(missing[:3])}{more}; map them "
            f"in {key}.columns, or list in {key}.lacks what this hospital does not measure"
        )
