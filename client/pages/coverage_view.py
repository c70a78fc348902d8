"""The rows, joins and codes of a hospital's files as tables for a terminal."""

from collections.abc import Iterator

from rich import box
from rich.markup import escape
from rich.table import Table

from client.check import Coverage

_SHOWN_CODES = 5


def coverage_tables(coverage: Coverage) -> Iterator[Table | str]:
    """What to print, in order."""
    rows = _table("Rows", "table", "rows", "kept", "excluded", "rejected")
    for table in coverage.tables:
        why = "; ".join(f"{count}: {reason}" for reason, count in table.rejected.items())
        rows.add_row(
            escape(table.table), str(table.rows), str(table.used), str(table.excluded), why or "0"
        )
    yield rows
    if coverage.joins:
        joins = _table("Joins (different keys)", "table", "by", "records", "table's", "in both")
        for join in coverage.joins:
            counts = map(str, (join.keys, join.table_keys, join.partners))
            joins.add_row(escape(join.table), escape(join.on), *counts)
        yield joins
    if coverage.codes or coverage.other_codes:
        first = list(coverage.codes.items())[:_SHOWN_CODES]
        shown = ", ".join(f"{code} ({rows} rows)" for code, rows in first)
        more = len(coverage.codes) - len(first)
        yield (
            f"Laboratory codes passed over: {shown or 'none of LOINC'}"
            f"{f' and {more} more codes' if more else ''}; "
            f"{coverage.other_codes} rows without a LOINC code"
        )
    for what, times in coverage.cells.items():
        yield f"{times} {what}"
    if coverage.unnamed_images:
        yield f"Images in the folder that no record names: {coverage.unnamed_images}"


def _table(title: str, *columns: str) -> Table:
    made = Table(title=title, title_justify="left", title_style="bold", box=box.SIMPLE_HEAD)
    for index, column in enumerate(columns):
        made.add_column(column, justify="right" if index else "left", no_wrap=index == 0)
    return made
