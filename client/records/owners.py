"""Whose a row of a laboratory's or a panel's table is: of which record, and so of which patient."""

from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace

from client.joins import Account, compared, count_partners, judge
from client.records.frames import Column, Frame
from client.site import OwnedTable
from irene_model.errors import DataError

_PSEUDONYMS = 3  # of fewer patients nobody can tell pseudonyms from slips


@dataclass(frozen=True, kw_only=True)
class Owners:
    """The records that rows of other tables may belong to.

    records: the records table, with its joins. known: ids of all records, also of excluded ones, of
    which other tables may still hold rows. patients: id of a kept record -> its patient.
    patient_column: where the records table has the patients.
    """

    records: Frame
    known: Collection[str]
    patients: Mapping[str, str]
    patient_column: str


def read_owners(
    owners: Column, table: OwnedTable, key: str, records: Owners, account: Account
) -> Column:
    """Record ids of a table as they are compared; one that is no record's is refused.

    Where site.yaml says by `matched` that the table is of others as well, only that share is.
    """
    owners = replace(owners, cells=compared(owners.cells))
    known = records.known
    counts = count_partners(known, owners.cells, key=key, table=owners.table, on=table.on)
    account.joins.append(counts)
    unknown = [row for row, owner in enumerate(owners.cells) if owner not in known]
    keys = {owners.cells[row] for row in unknown}
    others = [name for name, column in records.records.columns.items() if column.holds(keys)]
    if unknown and table.matched is None:
        cause = "drop the row or mend the id" if counts.cause is None else counts.cause.said
        if others:
            cause = (
                f"such ids stand in column '{others[0]}' of the records, and {key}.on wants the "
                "records' own: add them to the table"
            )
        owners.refuse(unknown, f"names no record of the records table; {cause}")
    refused = judge(counts, table.matched or 0.0, others)
    if refused is not None:
        raise DataError(f"{owners.table}, joined to the records by '{table.on}': {refused}")
    return owners


def refuse_other_patients(
    frame: Frame, rows_of: Mapping[int, str], table: OwnedTable, key: str, records: Owners
) -> None:
    """Refuse rows that name another patient than their record does.

    rows_of: row of the table's `frame` -> its record. A table without a column of patients says
    nothing, and so does one whose patients stand one to one for the records': those are pseudonyms.
    """
    name = table.patient or records.patient_column
    if name == table.on or (table.patient is None and name not in frame.columns):
        return
    column = frame.column(name, f"{key}.patient")
    rows = [row for row, record in rows_of.items() if record in records.patients]
    named = _plain(column.take(rows).known())
    theirs = _plain([records.patients[rows_of[row]] for row in rows])
    pairs = [pair for pair in zip(named, theirs, strict=True) if pair[0]]
    others = [
        row for row, mine, own in zip(rows, named, theirs, strict=True) if mine and mine != own
    ]
    if not others or (len(others) == len(pairs) and _one_to_one(pairs)):
        return
    column.refuse(
        others,
        f"names another patient than the record that '{table.on}' names: whose value is it? Mend "
        f"the row, or name the column with the records' patient ids in {key}.patient",
    )


def _plain(ids: Sequence[str]) -> list[str]:
    """Without what exporters change: case and leading zeros."""
    return [each.casefold().lstrip("0") for each in compared(ids)]


def _one_to_one(pairs: Collection[tuple[str, str]]) -> bool:
    distinct = set(pairs)
    left, right = (Counter(pair[side] for pair in distinct) for side in (0, 1))
    return max([*left.values(), *right.values()]) == 1 and len(distinct) >= _PSEUDONYMS
