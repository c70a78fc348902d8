"""Laboratory values to the study's names and units.

A hospital has them as one column each in the records table, or as a long table with one row for
each value, as laboratory systems export it. Both end as one mapping for each record, in the
study's units; a value that was not measured is absent, a censored one is -inf or +inf.
"""

from collections.abc import Callable, Collection, Sequence
from functools import partial

from client.records.cells import read_lab
from client.records.frames import CellError, Column, Frame, read_frame
from client.records.units import UnitError, check_own_units, unit_reader
from client.site import LabTable, Site
from irene_model.errors import DataError
from irene_model.study import LabTest, Measurement, Study


def read_labs(
    site: Site,
    study: Study,
    frame: Frame,
    record_ids: Sequence[str],
    *,
    known_ids: Collection[str],
) -> list[dict[str, float]]:
    """Name -> value in the study's unit, one mapping for each row of `frame`.

    record_ids: of the rows of `frame`.
    known_ids: also those of excluded records, whose values a long table may still hold.
    """
    check_own_units(site)
    if site.lab_table is not None:
        rows = {record_id: row for row, record_id in enumerate(record_ids)}
        return _read_long(site, site.lab_table, study, rows, known_ids)
    labs: list[dict[str, float]] = [{} for _ in record_ids]
    for test in study.labs:
        if test.name not in site.labs:
            continue
        mapped = site.labs[test.name]
        column = frame.column(mapped.column, f"labs.{test.name}.column")
        read_cell = lab_reader(site, test, mapped.unit, f"labs.{test.name}.unit")
        for measured, value in zip(labs, column.parse(read_cell), strict=True):
            if value is not None:
                measured[test.name] = value
    return labs


def lab_reader(site: Site, test: Measurement, unit: str, key: str) -> Callable[[str], float | None]:
    """A cell in `unit`, which site.yaml names under `key`, to a value in the study's unit."""
    try:
        convert = unit_reader(site, test, unit)
    except UnitError as error:
        raise DataError(
            f"site {site.site}: {key}: '{unit}' can't become the study's '{test.unit}': {error}"
        ) from None
    return lambda cell: _converted(read_lab(cell), convert)


def _converted(value: float | None, convert: Callable[[float], float]) -> float | None:
    if value is None:
        return None
    try:
        return convert(value)
    except OverflowError:
        raise CellError("is a number too large to convert; is the unit right?") from None


def _read_long(
    site: Site,
    table: LabTable,
    study: Study,
    rows_of: dict[str, int],
    known_ids: Collection[str],
) -> list[dict[str, float]]:
    """One row for each value. Tests that the study does not ask for are passed over."""
    labs: list[dict[str, float]] = [{} for _ in rows_of]
    frame = read_frame(site, table, "lab_table")
    rows_of_code: dict[str, list[int]] = {}
    for row, code in enumerate(frame.column(table.test, "lab_table.test").cells):
        rows_of_code.setdefault(code, []).append(row)
    for test in study.labs:
        rows = rows_of_code.get(test.loinc, [])
        if not rows:
            continue
        values = frame.column(table.value, "lab_table.value").take(rows)
        units = frame.column(table.unit, "lab_table.unit").take(rows)
        owners = frame.column(table.on, "lab_table.on").take(rows)
        written = values.parse(read_lab)
        measured = [row for row, value in enumerate(written) if value is not None]
        _refuse_wrong_owners(owners.take(measured), test, known_ids)
        converts = units.take(measured).parse(partial(_cell_converter, site, test))
        for row, convert in zip(measured, converts, strict=True):
            record = rows_of.get(owners.cells[row])
            if record is None:
                continue  # the record is excluded
            try:
                value = _converted(written[row], convert)
            except CellError as error:
                values.refuse([row], str(error))
            if value is not None:
                labs[record][test.name] = value
    return labs


def _refuse_wrong_owners(owners: Column, test: LabTest, known_ids: Collection[str]) -> None:
    owners.refuse_strangers(known_ids)
    owners.index(
        f"a second value of {test.name} (LOINC {test.loinc}) for one record; keep one, as the "
        "first after admission"
    )


def _cell_converter(site: Site, test: LabTest, unit: str) -> Callable[[float], float]:
    """The cell is a patient's row, so unlike a unit in site.yaml it is not repeated."""
    try:
        return unit_reader(site, test, unit)
    except UnitError as error:
        if not unit:  # which a bare number may be
            raise CellError(f"is empty, expected the unit of {test.name}, as {test.unit}") from None
        raise CellError(
            f"holds a unit of {test.name} that can't become the study's '{test.unit}': {error}"
        ) from None
