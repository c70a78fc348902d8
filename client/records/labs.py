"""Laboratory values to the study's names and units.

A hospital has them as one column each in the records table, or as a long table with one row for
each value, as laboratory systems export it. Both end as one mapping for each record, in the
study's units; a value that was not measured is absent, a censored one is -inf or +inf.
"""

from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial

from client.cells import CellError, read_lab
from client.joins import (
    NO_RECORD,
    Account,
    TableRows,
    cause_of_codes,
    compared,
    passed_over,
)
from client.records.frames import Column, Frame, read_frame
from client.records.owners import Owners, read_owners, refuse_other_patients
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
    owners: Owners,
    account: Account,
) -> list[dict[str, float]]:
    """Name -> value in the study's unit, one mapping for each row of `frame`.

    record_ids: of the rows of `frame`.
    owners: the records that the rows of a long table may belong to.
    account: is told what became of the rows of a long table.
    """
    check_own_units(site)
    if site.lab_table is not None:
        rows = {record_id: row for row, record_id in enumerate(record_ids)}
        return _read_long(site, site.lab_table, study, rows, records=owners, account=account)
    labs: list[dict[str, float]] = [{} for _ in record_ids]
    for test in study.labs:
        if test.name not in site.labs:
            continue
        mapped = site.labs[test.name]
        column = frame.column(mapped.column, f"labs.{test.name}.column")
        read_cell = lab_reader(site, test, mapped.unit, f"labs.{test.name}.unit")
        for measured, value in zip(labs, column.parse_numbers(read_cell), strict=True):
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
    *,
    records: Owners,
    account: Account,
) -> list[dict[str, float]]:
    """One row for each value. Tests that the study does not ask for are passed over."""
    labs: list[dict[str, float]] = [{} for _ in rows_of]
    frame = read_frame(site, table, "lab_table")
    rows_of_test = _rows_of_tests(frame, table, study, account)
    values = frame.column(table.value, "lab_table.value")
    written: dict[int, float] = {}
    for rows in rows_of_test.values():
        read = values.take(rows).parse_numbers(read_lab)
        written |= {row: value for row, value in zip(rows, read, strict=True) if value is not None}
    written_owners = frame.column(table.on, "lab_table.on")
    owners = written_owners.take(list(written))
    keys = read_owners(owners, table, "lab_table", records, account).cells
    owner_of = dict(zip(written, keys, strict=True))
    refuse_other_patients(frame, owner_of, table, "lab_table", records)
    units = frame.column(table.unit, "lab_table.unit")
    used = excluded = 0
    for test in study.labs:
        measured = [
            row
            for row in rows_of_test.get(test.name, [])
            if row in written and owner_of[row] in records.known
        ]
        _refuse_second_values(written_owners.take(measured), [owner_of[r] for r in measured], test)
        converts = units.take(measured).parse(partial(_cell_converter, site, test))
        for row, convert in zip(measured, converts, strict=True):
            record = rows_of.get(owner_of[row])
            if record is None:
                excluded += 1
                continue
            try:
                value = _converted(written[row], convert)
            except CellError as error:
                values.refuse([row], str(error))
            used += 1
            if value is not None:
                labs[record][test.name] = value
    asked = sum(map(len, rows_of_test.values()))
    rejected = {
        "a test that the study does not ask for": len(frame) - asked,
        "no value": asked - len(written),
        NO_RECORD: len(written) - used - excluded,
    }
    account.tables.append(
        TableRows(
            table=values.table,
            key="lab_table",
            rows=len(frame),
            used=used,
            excluded=excluded,
            rejected={why: rows for why, rows in rejected.items() if rows},
        )
    )
    return labs


def _rows_of_tests(
    frame: Frame, table: LabTable, study: Study, account: Account
) -> dict[str, list[int]]:
    """The study's test -> its rows; a table with none of them is refused."""
    column = frame.column(table.test, "lab_table.test")
    rows_of_code: dict[str, list[int]] = {}
    for row, code in enumerate(compared(column.cells)):
        rows_of_code.setdefault(code, []).append(row)
    counts = {code: len(rows) for code, rows in rows_of_code.items()}
    asked = [test.loinc for test in study.labs]
    found = {t.name: rows_of_code[t.loinc] for t in study.labs if t.loinc in rows_of_code}
    account.codes, account.other_codes = passed_over(counts, asked)
    account.code_doubt = cause_of_codes(counts, asked)
    if study.labs and not found:
        why = account.code_doubt or "its codes are those of other tests"
        raise DataError(
            f"{column.table}, column '{column.name}', named by lab_table.test: no row is of a test "
            f"that the study asks for: {why}; without such values leave lab_table out"
        )
    return found


def _refuse_second_values(owners: Column, keys: Sequence[str], test: LabTest) -> None:
    replace(owners, cells=keys).index(
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
