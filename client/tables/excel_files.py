"""A sheet of an Excel workbook to cells of text, as CSV would hold them."""

from collections.abc import Sequence
from datetime import date, datetime, time, timedelta
from io import BytesIO
from pathlib import Path
from typing import Any

from client.site import Table
from client.tables.csv_files import Cells, trimmed
from client.tables.sheet_marks import SheetMarks, marks_of
from client.tables.workbook_parts import PERCENT, Sheet, WorkbookParts
from irene_model.errors import DataError

_EXACT = 2**53  # beyond it a float holds no whole number exactly
_SHOWN = 3


def read_excel(path: Path, table: Table, key: str) -> Cells:
    """The cells of the sheet that site.yaml names, or of the only one that holds any.

    key: where site.yaml names the table.

    Raises:
        DataError: it is no workbook, damaged or too large; it has several sheets; rows are hidden;
            cells are merged; the header is not in the first row.
    """
    shown = str(table.path)
    parts = WorkbookParts.open(path, shown)
    with parts.archive:
        sheet, content, marks = _chosen(parts, table.sheet, key)
        shown = f"{shown} sheet '{sheet.name}'"
        if marks.hidden:
            raise DataError(
                f"{shown} row {_listed(marks.hidden)}: is hidden, by hand or by a filter, and "
                "nobody can say whether it is meant; show all rows, or delete the hidden ones"
            )
        packed = parts.alone(sheet, content)
        del content  # up to half a gigabyte
        rows, merged = _values(packed, sheet, shown)
    return _Reader(shown=shown, marks=marks, decimal=table.decimal or ".").read(rows, merged)


def _chosen(parts: WorkbookParts, name: str | None, key: str) -> tuple[Sheet, bytes, SheetMarks]:
    kinds = parts.number_kinds()

    def opened(sheet: Sheet) -> tuple[Sheet, bytes, SheetMarks]:
        content = parts.part(sheet.part)
        return sheet, content, marks_of(content, kinds, f"{parts.shown} sheet '{sheet.name}'")

    listed = ", ".join(f"'{each.name}'" for each in parts.sheets) or "none"
    if name is not None:
        found = [each for each in parts.sheets if each.name == name]
        if not found:
            raise DataError(f"{parts.shown}: has no sheet that {key}.sheet names; it has {listed}")
        return opened(found[0])
    filled = [each for each in map(opened, parts.sheets) if not each[0].hidden and each[2].rows]
    if len(filled) > 1:
        listed = ", ".join(f"'{each.name}'" for each, _, _ in filled)
        raise DataError(f"{parts.shown}: has several sheets, {listed}; name one in {key}.sheet")
    if not filled:
        raise DataError(
            f"{parts.shown}: no sheet that is shown holds any cell; it has {listed}; name one in "
            f"{key}.sheet, or save the workbook again"
        )
    return filled[0]


def _values(packed: BytesIO, sheet: Sheet, shown: str) -> tuple[list[list[Any]], Sequence[Any]]:
    """The rows of a workbook's sheet from its first one on, and the ranges of merged cells."""
    from python_calamine import CalamineWorkbook

    try:
        with CalamineWorkbook.from_filelike(packed) as workbook:
            found = workbook.get_sheet_by_name(sheet.name)
            return found.to_python(skip_empty_area=False), found.merged_cell_ranges or ()
    except (KeyboardInterrupt, SystemExit):
        raise
    except BaseException:  # a panic of Rust is no Exception
        raise DataError(f"{shown}: is damaged; save the workbook again") from None


class _Reader:
    """Of one sheet. decimal: what site.yaml says of numbers that are written as text."""

    def __init__(self, *, shown: str, marks: SheetMarks, decimal: str) -> None:
        self._shown, self._marks, self._decimal = shown, marks, decimal

    def read(self, rows: list[list[Any]], merged: Sequence[Any]) -> Cells:
        filled = [(line, row) for line, row in enumerate(rows, 1) if any(map(_is_filled, row))]
        counted = f"sheet {self._shown.partition(' sheet ')[2]} row"
        if not filled:
            return Cells(names=[], columns=[], lines=[])
        (first, header), body = filled[0], filled[1:]
        lines = [line for line, _ in body]
        self._refuse_merged(merged, first)
        names = [_text(value) for value in header]
        self._refuse_title(names, body)
        for line, row in body:
            if [_text(value) for value in row] == names:
                raise DataError(
                    f"{self._shown} row {line}: repeats the header; were sheets put one after "
                    "another? Delete the row"
                )
        read: dict[str, list[str]] = {}
        unread: dict[str, str] = {}
        numeric = set()
        twice = {name for name in names if name and names.count(name) > 1}
        kept: list[str] = []
        for index, name in enumerate(names):
            if not name:
                continue
            values = [row[index] for _, row in body]
            problem = self._problem(index + 1)
            if problem and name not in twice:
                unread[name] = problem
                continue
            of_numbers = all(_is_number(value) for value in values if _is_filled(value))
            if of_numbers:
                numeric.add(name)
            kept.append(name)
            read[f"{index}"] = self._column(values, index + 1, of_numbers=of_numbers)
        return Cells(
            names=kept,
            columns=list(read.values()),
            lines=lines,
            counted=counted,
            unread=unread,
            numeric=frozenset(numeric),
        )

    def _column(self, values: Sequence[Any], column: int, *, of_numbers: bool) -> list[str]:
        """A column's cells; numbers among text take the decimal sign that site.yaml says."""
        (zeros,) = self._marks.kinds.get(column) or {""}
        cells = [_text(value) for value in values]
        for row, value in enumerate(values):
            if _is_number(value):
                cell = cells[row]
                if zeros and "." not in cell:
                    sign, digits = ("-", cell[1:]) if cell.startswith("-") else ("", cell)
                    cell = sign + digits.zfill(len(zeros))
                cells[row] = cell if of_numbers else cell.replace(".", self._decimal)
        return cells

    def _problem(self, column: int) -> str:
        """Why a column can't be used as it is stored."""
        marks = self._marks
        if column in marks.failed:
            return f"row {marks.failed[column]} holds an error of a formula (#REF! or its like)"
        if column in marks.not_computed:
            return (
                f"row {marks.not_computed[column]} holds a formula whose result is not stored; "
                "open the workbook in Excel and save it"
            )
        kinds = marks.kinds.get(column) or {""}
        if PERCENT in kinds:
            return (
                "shows numbers as percent and stores hundredths (15% is 0.15); give the cells the "
                "format General, and enter what is shown"
            )
        if len(kinds) > 1:
            return (
                "shows some numbers with leading zeros and others without; give all cells one "
                "number format"
            )
        return ""

    def _refuse_merged(self, merged: Sequence[Any], first: int) -> None:
        for (top, left), (bottom, right) in sorted(merged):
            if bottom + 1 < first or (top, left) == (bottom, right) or left >= self._marks.columns:
                continue
            if top + 1 > self._marks.rows:
                continue
            if top + 1 <= first:
                said = "is it a title above the header? Delete what stands above the header"
            else:
                said = "undo the merging, and give each of them its own value"
            raise DataError(
                f"{self._shown} row {top + 1}: cells are merged, of which only the first holds the "
                f"value; {said}"
            )

    def _refuse_title(self, names: list[str], body: Sequence[tuple[int, Sequence[Any]]]) -> None:
        """Refuse a first row that names few of the columns below it."""
        unnamed = [
            index
            for index, name in enumerate(names)
            if not name and any(_is_filled(row[index]) for _, row in body)
        ]
        if len(unnamed) > sum(map(bool, names)):
            raise DataError(
                f"{self._shown}: most columns have no name in the first row that is filled; is "
                "there a title above the header? Delete what stands above the row with the "
                "columns' names"
            )


def _listed(rows: Sequence[int]) -> str:
    first, others = rows[0], rows[1:]
    shown = ", ".join(map(str, others[:_SHOWN])) + (" ..." if len(others) > _SHOWN else "")
    return f"{first} (and {len(others)} more: {shown})" if others else str(first)


def _is_filled(value: object) -> bool:
    return bool(value.strip()) if isinstance(value, str) else True


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _text(value: object) -> str:
    """Whole numbers without a point, others in Excel's 15 digits; dates as ISO 8601 has them."""
    if isinstance(value, str):
        return trimmed(value)
    if isinstance(value, int | float):
        if float(value).is_integer():
            return str(int(value)) if abs(value) < _EXACT else f"{value:.16e}"
        return f"{value:.15g}"
    if isinstance(value, datetime):
        return value.isoformat(sep=" ")
    if isinstance(value, date | time):
        return value.isoformat()
    assert isinstance(value, timedelta)
    minutes, seconds = divmod(round(value.total_seconds()), 60)
    return f"{minutes // 60}:{minutes % 60:02}:{seconds:02}"
