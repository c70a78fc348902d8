"""Whose a row of a laboratory's or a panel's table is: of which record, and so of which patient."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from client.columns import Coded, CodedColumn, Rows
from client.joins import Account, compared, count_partners, judge
from client.records.frames import Frame
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
    owners: CodedColumn, table: OwnedTable, key: str, records: Owners, account: Account
) -> CodedColumn:
    """Record ids of a table as they are compared; one that is no record's is refused.

    Where site.yaml says by `matched` that the table is of others as well, only that share is.
    """
    cells = owners.cells.spelt(compared(owners.cells.words))
    owners = replace(owners, cells=cells)
    known = records.known
    counts = count_partners(known, cells.words, key=key, table=owners.table, on=table.on)
    account.joins.append(counts)
    keys = {word for word in cells.words if word not in known}
    others = [name for name, column in records.records.columns.items() if column.holds(keys)]
    if keys and table.matched is None:
        cause = "drop the row or mend the id" if counts.cause is None else counts.cause.said
        if others:
            cause = (
                f"such ids stand in column '{others[0]}' of the records, and {key}.on wants the "
                "records' own: add them to the table"
            )
        owners.refuse(owners.rows_of(keys), f"names no record of the records table; {cause}")
    refused = judge(counts, table.matched or 0.0, others)
    if refused is not None:
        raise DataError(f"{owners.table}, joined to the records by '{table.on}': {refused}")
    return owners


def patient_column(columns: Collection[str], table: OwnedTable, records: Owners) -> str | None:
    """The column of an owned table, of those in `columns`, that names the patient once more."""
    name = table.patient or records.patient_column
    if name == table.on or (table.patient is None and name not in columns):
        return None
    return name


def refuse_other_patients(
    column: CodedColumn, rows: Rows, owners: Coded, *, table: OwnedTable, key: str, records: Owners
) -> None:
    """Refuse rows that name another patient than their record does.

    column: of the patients. owners: of each of its `rows` the record. A table whose patients stand
    one to one for the records' says nothing: those are pseudonyms.
    """
    is_kept = owners.among(records.patients)
    rows, owners = rows[is_kept], Coded(words=owners.words, codes=owners.codes[is_kept]).compact()
    named = column.at(rows)
    mine = named.cells.spelt(_plain(named.known_words()))
    own = owners.spelt(_plain([records.patients[record] for record in owners.words]))
    numbers = {word: number for number, word in enumerate(own.words)}
    said = np.array([numbers.get(word, -1) for word in mine.words], np.int64)[mine.codes]
    is_named = ~mine.among([""])
    is_other = is_named & (said != own.codes)
    if not is_other.any() or (
        is_other.sum() == is_named.sum() and _one_to_one(mine.codes[is_named], own.codes[is_named])
    ):
        return
    column.refuse(
        rows[is_other].tolist(),
        f"names another patient than the record that '{table.on}' names: whose value is it? Mend "
        f"the row, or name the column with the records' patient ids in {key}.patient",
    )


def _plain(ids: Sequence[str]) -> list[str]:
    """Without what exporters change: case and leading zeros."""
    return [each.casefold().lstrip("0") for each in compared(ids)]


def _one_to_one(mine: npt.NDArray[np.int32], own: npt.NDArray[np.int32]) -> bool:
    pairs = np.unique(np.stack([mine, own]), axis=1)
    most = max(np.bincount(side).max() for side in pairs)
    return bool(most == 1 and pairs.shape[1] >= _PSEUDONYMS)
