"""Laboratory values to the study's names and units.

A hospital has them as one column each in the records table, or as a long table with one row for
each value, as laboratory systems export it. Both end as one mapping for each record, in the
study's units; a value that was not measured is absent, a censored one is -inf or +inf.
"""

from collections.abc import Callable, Sequence

from client.cells import UnitError, check_own_units, converted, read_lab, unit_reader
from client.joins import Account
from client.records.frames import Frame
from client.records.long_labs import LongTable
from client.records.owners import Owners
from client.site import Site
from irene_model.errors import DataError
from irene_model.study import Measurement, Study


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
        table = LongTable(site=site, table=site.lab_table, study=study, owners=owners)
        return table.read(frame, rows, account)
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
    return lambda cell: converted(read_lab(cell), convert)
