"""A long laboratory table, one row a value, to one value for each record and test."""

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from functools import partial

from client.cells import (
    CellError,
    UnitError,
    converted,
    read_lab,
    read_moment,
    unit_reader,
    with_comparator,
)
from client.joins import NO_RECORD, Account, TableRows, cause_of_codes, compared, passed_over
from client.records.chosen import mean_of, the_one
from client.records.frames import Column, Frame, read_frame
from client.records.owners import Owners, read_owners, refuse_other_patients
from client.site import LabTable, Site
from irene_model.errors import ConfigError, DataError
from irene_model.study import LabTest, Study

_EPOCH = datetime(1970, 1, 1)
_HOUR = timedelta(hours=1)
_GAP = "\x1f"  # ASCII's sign between units
_OTHER_TEST, _NO_VALUE = "a test that the study does not ask for", "no value"
_NO_TIME, _OUTSIDE = "no time, or a record without one", "outside the window"
_NOT_TAKEN = "another value of the record is taken"


@dataclass(frozen=True, kw_only=True)
class LongTable:
    """`lab_table` of a site, read for a study; every row is used, excluded or rejected."""

    site: Site
    table: LabTable
    study: Study
    owners: Owners
    _rejected: dict[str, int] = field(default_factory=dict, init=False)

    def read(
        self, records: Frame, rows_of: Mapping[str, int], account: Account
    ) -> list[dict[str, float]]:
        """Name -> value in the study's unit, one mapping for each row of `records`.

        rows_of: record id -> its row. Tests that the study does not ask for are passed over.
        """
        table, labs = self.table, [dict[str, float]() for _ in rows_of]
        frame = read_frame(self.site, table, "lab_table")
        rows_of_test = self._rows_of_tests(frame, account)
        values = _with_comparators(frame, table)
        written: dict[int, float] = {}
        for rows in rows_of_test.values():
            read = values.take(rows).parse_numbers(read_lab)
            found = zip(rows, read, strict=True)
            written |= {row: value for row, value in found if value is not None}
        asked = sum(map(len, rows_of_test.values()))
        self._reject(_OTHER_TEST, len(frame) - asked)
        self._reject(_NO_VALUE, asked - len(written))
        owners = frame.column(table.on, "lab_table.on")
        keys = read_owners(owners.take(list(written)), table, "lab_table", self.owners, account)
        owner_of = dict(zip(written, keys.cells, strict=True))
        refuse_other_patients(frame, owner_of, table, "lab_table", self.owners)
        known = {row for row, owner in owner_of.items() if owner in self.owners.known}
        kept = {row: rows_of[owner_of[row]] for row in written if owner_of[row] in rows_of}
        self._reject(NO_RECORD, len(written) - len(known))
        hours = self._hours(frame, records, kept)
        used = 0
        for test in self.study.labs:
            of_record: dict[int, list[int]] = {}
            for row in rows_of_test.get(test.name, []):
                if row in hours:
                    of_record.setdefault(kept[row], []).append(row)
            taken = self._taken(test, of_record, hours, owners)
            used += sum(map(len, taken.values()))
            in_unit = self._in_unit(test, frame, values, written, [*_all(taken)])
            for record, which in taken.items():
                value = mean_of([in_unit[row] for row in which])
                if value is not None:
                    labs[record][test.name] = value
        account.tables.append(
            TableRows(
                table=values.table,
                key="lab_table",
                rows=len(frame),
                used=used,
                excluded=len(known) - len(kept),
                rejected=dict(self._rejected),
            )
        )
        account.count_cells(
            f"columns of {values.table} passed over", len(set(frame.columns) - self._named)
        )
        return labs

    def _reject(self, why: str, rows: int) -> None:
        if rows:
            self._rejected[why] = self._rejected.get(why, 0) + rows

    @property
    def _named(self) -> set[str | None]:
        table = self.table
        columns = (table.on, table.test, table.value, table.unit, table.comparator, table.time)
        return {*columns, table.patient or self.owners.patient_column}

    def _rows_of_tests(self, frame: Frame, account: Account) -> dict[str, list[int]]:
        """The study's test -> its rows; a table with none of them is refused."""
        column = frame.column(self.table.test, "lab_table.test")
        name_of = self._names_of_codes()
        codes = compared(column.cells)
        counts = Counter(codes)
        found: dict[str, list[int]] = {}
        for row, code in enumerate(codes):
            if code in name_of:
                found.setdefault(name_of[code], []).append(row)
        account.codes, account.other_codes = passed_over(counts, name_of)
        others = {code: rows for code, rows in counts.items() if code not in name_of}
        account.code_doubt = cause_of_codes(others, [*name_of]) if others else None
        if self.study.labs and not found:
            why = account.code_doubt or "its codes are those of other tests"
            raise DataError(
                f"{column.table}, column '{column.name}', named by lab_table.test: no row is of a "
                f"test that the study asks for: {why}; list the laboratory's own codes in "
                "lab_table.codes; without such values leave lab_table out"
            )
        return found

    def _names_of_codes(self) -> dict[str, str]:
        names = {test.loinc: test.name for test in self.study.labs}
        for name, codes in self.table.codes.items():
            for code in compared(codes):
                if names.setdefault(code, name) != name:
                    raise ConfigError(
                        f"site {self.site.site}: lab_table.codes.{name}: '{code}' is the study's "
                        f"LOINC code of {names[code]}"
                    )
        return names

    def _hours(self, frame: Frame, records: Frame, kept: Mapping[int, int]) -> Mapping[int, float]:
        """Hours from the record's time, of the rows that may count; 0 where no time is asked for.

        kept: row -> row of its record.
        """
        table = self.table
        if table.time is None or (table.take in (None, "mean") and table.window is None):
            return dict.fromkeys(kept, 0.0)
        read = partial(read_moment, order=self.site.dates)
        times = frame.column(table.time, "lab_table.time").take(list(kept)).parse(read)
        starts: Sequence[datetime | None] = [_EPOCH] * len(records)
        if table.at is not None:
            starts = records.column(table.at, "lab_table.at").parse(read)
        hours: dict[int, float] = {}
        for (row, record), time in zip(kept.items(), times, strict=True):
            start = starts[record]
            if time is not None and start is not None:
                hours[row] = (time - start) / _HOUR
        self._reject(_NO_TIME, len(kept) - len(hours))
        window = table.window
        if window is None:
            return hours
        within = {r: h for r, h in hours.items() if -window.before <= h <= window.after}
        self._reject(_OUTSIDE, len(hours) - len(within))
        return within

    def _taken(
        self,
        test: LabTest,
        of_record: Mapping[int, Sequence[int]],
        hours: Mapping[int, float],
        owners: Column,
    ) -> Mapping[int, Sequence[int]]:
        """Record -> the rows that count, more than one for a mean only."""
        take = self.table.take
        if take is None:
            again = sorted(row for rows in of_record.values() for row in rows[1:])
            if again:
                owners.refuse(
                    again,
                    f"a second value of {test.name} (LOINC {test.loinc}) for one record; keep one, "
                    "as the first after admission, or say which counts by lab_table.take",
                )
            return of_record
        if take == "mean":
            return of_record
        self._reject(_NOT_TAKEN, sum(len(rows) - 1 for rows in of_record.values()))
        return {record: [the_one(rows, hours, take)] for record, rows in of_record.items()}

    def _in_unit(
        self,
        test: LabTest,
        frame: Frame,
        values: Column,
        written: Mapping[int, float],
        rows: Sequence[int],
    ) -> dict[int, float]:
        """Row -> value in the study's unit."""
        units = frame.column(self.table.unit, "lab_table.unit").take(rows)
        found: dict[int, float] = {}
        converts = units.parse(partial(_cell_converter, self.site, test))
        for row, convert in zip(rows, converts, strict=True):
            try:
                value = converted(written[row], convert)
            except CellError as error:
                values.refuse([row], str(error))
            if value is not None:
                found[row] = value
        return found


def _all(taken: Mapping[int, Sequence[int]]) -> Sequence[int]:
    return [row for rows in taken.values() for row in rows]


def _with_comparators(frame: Frame, table: LabTable) -> Column:
    """The column of values, each with the sign that stands in another column."""
    values = frame.column(table.value, "lab_table.value")
    if table.comparator is None:
        return values
    signs = frame.column(table.comparator, "lab_table.comparator")
    is_word = [values.numbers.word(cell) is not None for cell in values.cells]
    # As one column, so that a sign that is none is refused with its place.
    pairs = zip(values.known(), signs.known(), is_word, strict=True)
    joined = replace(
        signs, cells=["" if word else f"{value}{_GAP}{sign}" for value, sign, word in pairs]
    )
    read = joined.parse_written(lambda pair: with_comparator(*pair.rpartition(_GAP)[::2]))
    cells = zip(values.cells, read, is_word, strict=True)
    return replace(values, cells=[cell if word else said for cell, said, word in cells])


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
