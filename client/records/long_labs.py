"""A long laboratory table, one row a value, to one value for each record and test.

It may have ten million rows: all that has an element a row is an array, and what a cell means is
asked once for each distinct one.
"""

from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import partial

import numpy as np
import numpy.typing as npt

from client.cells import (
    CellError,
    UnitError,
    converted,
    read_moment,
    unit_reader,
)
from client.columns import (
    NOT_READ,
    CodedColumn,
    LongRows,
    Rows,
    coded_rows,
    measured_in,
    read_rows,
    seconds_from,
    with_signs,
)
from client.joins import NO_RECORD, Account, TableRows, cause_of_codes, compared, passed_over
from client.records.chosen import again, by_record, mean_of, the_ones
from client.records.frames import Frame, read_frame
from client.records.owners import Owners, patient_column, read_owners, refuse_other_patients
from client.site import LabTable, Site
from client.tables import OddTable
from irene_model.errors import ConfigError, DataError
from irene_model.study import LabTest, Study

_HOUR_S = 3600
_OTHER_TEST, _NO_VALUE = "a test that the study does not ask for", "no value"
_NO_TIME, _OUTSIDE = "no time, or a record without one", "outside the window"
_AT_ONCE = 1_000_000
_NOT_TAKEN = "another value of the record is taken"
Numbers = npt.NDArray[np.int32]
Floats = npt.NDArray[np.float64]


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
        long, tests = self._asked_rows(account)
        values = long.columns[self.table.value]
        if self.table.comparator is not None:
            values = with_signs(values, long.columns[self.table.comparator])
        measured = measured_in(values)
        rows = np.flatnonzero(~np.isnan(measured)).astype(np.int32)  # half the memory
        self._reject(_NO_VALUE, len(tests) - len(rows))
        record, known = self._records(long, rows, rows_of, account)
        rows, record = rows[record >= 0], record[record >= 0]
        excluded = known - len(rows)
        hours = self._hours(long, records, rows, record)
        counts = ~np.isnan(hours)
        if not counts.all():
            rows, record, hours = rows[counts], record[counts], hours[counts]
        tests, used = tests[rows], 0
        labs: list[dict[str, float]] = [{} for _ in rows_of]
        for number, test in enumerate(self.study.labs):
            mine = np.flatnonzero(tests == number)
            taken = mine[self._taken(test, long, rows[mine], record[mine], hours[mine])]
            used += len(taken)
            in_unit = self._in_unit(test, long, values, rows[taken], measured[rows[taken]])
            for row, value in self._one_each(record[taken], in_unit):
                labs[row][test.name] = value
        account.tables.append(
            TableRows(
                table=values.table,
                key="lab_table",
                rows=long.rows,
                used=used,
                excluded=excluded,
                rejected=dict(self._rejected),
            )
        )
        account.count_cells(
            f"columns of {values.table} passed over", len(set(long.names) - self._named)
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

    @property
    def _times(self) -> str | None:
        """The column of times, where any is asked for."""
        table = self.table
        return None if table.take in (None, "mean") and table.window is None else table.time

    def _asked_rows(self, account: Account) -> tuple[LongRows, Numbers]:
        """The rows of the study's tests, and which test each is of; none at all is refused."""
        name_of = self._names_of_codes()
        # Whether `1988.0` is the code 1988 is only known once all codes are.
        long = self._read(
            lambda cell: bool({*compared([cell]), *compared([cell, "x"])} & {*name_of})
        )
        key_of = dict(zip(long.keys, compared([*long.keys]), strict=True))
        counts = Counter[str]()
        for cell, rows in long.keys.items():
            counts[key_of[cell]] += rows
        account.codes, account.other_codes = passed_over(counts, name_of)
        others = {code: rows for code, rows in counts.items() if code not in name_of}
        account.code_doubt = cause_of_codes(others, [*name_of]) if others else None
        column = long.columns[self.table.test]
        if self.study.labs and not counts.keys() & name_of.keys():
            why = account.code_doubt or "its codes are those of other tests"
            raise DataError(
                f"{column.table}, column '{column.name}', named by lab_table.test: no row is of a "
                f"test that the study asks for: {why}; list the laboratory's own codes in "
                "lab_table.codes; without such values leave lab_table out"
            )
        number_of = {test.name: number for number, test in enumerate(self.study.labs)}
        cells = column.cells
        numbers = [number_of.get(name_of.get(key_of[word], ""), -1) for word in cells.words]
        tests = np.array(numbers, np.int32)[cells.codes]
        asked = np.flatnonzero(tests >= 0)
        self._reject(_OTHER_TEST, long.rows - len(asked))
        return (long, tests) if len(asked) == len(tests) else (long.at(asked), tests[asked])

    def _read(self, asked: Callable[[str], bool]) -> LongRows:
        """The rows whose code is `asked` for."""
        table, time = self.table, self._times
        wanted = {
            "test": table.test,
            "value": table.value,
            "unit": table.unit,
            "on": table.on,
            "comparator": table.comparator,
            "patient": None if table.patient == table.on else table.patient,
            "time": time,
        }
        names = list(dict.fromkeys(filter(None, wanted.values())))
        also = [] if table.patient is not None else [self.owners.patient_column]
        try:
            return read_rows(
                self.site, table, "lab_table", names, also, by=table.test, asked=asked, times=time
            )
        except OddTable:
            frame = read_frame(self.site, table, "lab_table")
        for key, name in wanted.items():
            if name is not None:
                frame.column(name, f"lab_table.{key}")
        return coded_rows(frame.columns, [*names, *also], by=table.test, asked=asked)

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

    def _records(
        self, long: LongRows, rows: Rows, rows_of: Mapping[str, int], account: Account
    ) -> tuple[Numbers, int]:
        """The row of the record of each of `rows`, -1 without one; how many have any record."""
        table, owners = self.table, self.owners
        keys = read_owners(long.columns[table.on].at(rows), table, "lab_table", owners, account)
        name = patient_column(long.names, table, owners)
        if name is not None:
            patients = long.columns[name]
            refuse_other_patients(
                patients, rows, keys.cells, table=table, key="lab_table", records=owners
            )
        known = int(np.count_nonzero(keys.cells.among(owners.known)))
        self._reject(NO_RECORD, len(rows) - known)
        record = [rows_of.get(key, -1) for key in keys.cells.words]
        return np.array(record, np.int32)[keys.cells.codes], known

    def _hours(self, long: LongRows, records: Frame, rows: Rows, record: Numbers) -> Floats:
        """Hours of `rows` from the record's time; 0 where no time is asked for, NaN: do not count.

        record: of each of `rows`, the row of its record.
        """
        table, window = self.table, self.table.window
        hours = np.zeros(len(rows))
        if self._times is None:
            return hours
        starts = np.zeros(len(records), np.int64)
        if table.at is not None:
            read = partial(read_moment, order=self.site.dates)
            at = records.column(table.at, "lab_table.at").parse(read)
            starts = np.fromiter(map(seconds_from, at), np.int64, len(at))
        for first in range(0, len(rows), _AT_ONCE):  # seconds of all rows at once are the most
            part = slice(first, first + _AT_ONCE)
            times, begun = long.moments(self._times, self.site, rows[part]), starts[record[part]]
            is_known = (times != NOT_READ) & (begun != NOT_READ)
            hours[part] = np.where(is_known, times - begun, np.nan) / _HOUR_S
        self._reject(_NO_TIME, int(np.count_nonzero(np.isnan(hours))))
        if window is not None:
            is_outside = (hours < -window.before) | (hours > window.after)
            self._reject(_OUTSIDE, int(np.count_nonzero(is_outside)))
            hours[is_outside] = np.nan
        return hours

    def _taken(
        self, test: LabTest, long: LongRows, rows: Rows, record: Numbers, hours: Floats
    ) -> Rows:
        """Which of `rows`, all of one test, count; more than one of a record for a mean only."""
        take = self.table.take
        if take is None and len(more := again(record)):
            long.columns[self.table.on].refuse(
                rows[more].tolist(),
                f"a second value of {test.name} (LOINC {test.loinc}) for one record; keep one, "
                "as the first after admission, or say which counts by lab_table.take",
            )
        if take is None or take == "mean":
            return np.arange(len(rows))
        taken = the_ones(record, hours, take)
        self._reject(_NOT_TAKEN, len(rows) - len(taken))
        return taken

    def _in_unit(
        self, test: LabTest, long: LongRows, values: CodedColumn, rows: Rows, measured: Floats
    ) -> Floats:
        """The values `measured` in `rows` in the study's unit."""
        units = long.columns[self.table.unit].at(rows)
        converts = units.values(units.as_known(partial(_cell_converter, self.site, test)))
        numbers, number = np.unique(measured, return_inverse=True)
        pairs, pair = np.unique(
            units.cells.codes * np.int64(len(numbers)) + number, return_inverse=True
        )
        found = np.empty(len(pairs))
        for index, each in enumerate(pairs.tolist()):
            unit, which = divmod(each, len(numbers))
            try:
                found[index] = converted(float(numbers[which]), converts[unit])
            except CellError as error:
                values.refuse([int(rows[pair == index][0])], str(error))
        return found[pair]

    def _one_each(self, record: Numbers, values: Floats) -> Iterator[tuple[int, float]]:
        """Each record's row and its value; several are averaged."""
        if self.table.take != "mean":
            yield from zip(record.tolist(), values.tolist(), strict=True)
            return
        for row, positions in by_record(record):
            mean = mean_of(values[positions].tolist())
            if mean is not None:
                yield row, mean


def _either_key(cell: str) -> list[str]:
    return [*compared([cell]), *compared([cell, "no number"])]


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
