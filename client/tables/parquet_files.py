"""A Parquet file to cells of text, as CSV would hold them."""

import math
from pathlib import Path
from typing import Any

from client.tables.csv_files import Cells, trimmed
from irene_model.errors import DataError

_MARK = b"PAR1"  # a Parquet file begins and ends with it
_EXACT = 2**53  # beyond it a float holds no whole number exactly


def read_parquet(path: Path, shown: str) -> Cells:
    """The file's cells, counted by rows; columns of lists or bytes are left unread.

    Raises:
        DataError: it is not Parquet, cut off, encrypted or damaged.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    _refuse_other_ends(path, shown)
    try:
        with path.open("rb") as file:
            table = pq.read_table(file)
    except (pa.ArrowException, OSError, ValueError):
        raise DataError(f"{shown}: is a damaged Parquet file; copy or export it again") from None
    return cells_of_arrow(table)


def cells_of_arrow(table: Any) -> Cells:
    """The cells of an Arrow table, as `read_parquet` gives them."""
    import pyarrow as pa

    names: list[str] = []
    columns: list[list[str]] = []
    unread: dict[str, str] = {}
    for name, column in zip(table.column_names, table.columns, strict=True):
        if not is_text_column(column.type):
            unread[name] = "holds lists or bytes, expected one value a row"
            continue
        try:
            cells = [as_text(value) for value in _values(column, pa)]
        except (pa.ArrowException, ValueError, OverflowError):
            unread[name] = "holds text or dates that can't be read; export it as text"
            continue
        names.append(name)
        columns.append(cells)
    lines = list(range(1, table.num_rows + 1))
    numeric = frozenset(field.name for field in table.schema if _is_number(field.type, pa))
    return Cells(
        names=names, columns=columns, lines=lines, counted="row", unread=unread, numeric=numeric
    )


def is_text_column(kind: Any) -> bool:
    """Whether a column of this Arrow type has one value a row that is text, or becomes it."""
    import pyarrow as pa

    return not (pa.types.is_nested(kind) or _is_bytes(kind, pa))


def text_of_column(column: Any) -> Any:
    """An Arrow array as one of text, with the cells that `read_parquet` gives.

    Raises:
        pyarrow.ArrowException, ValueError, OverflowError: it can't be read as text.
    """
    import pyarrow as pa

    kind = column.type
    if pa.types.is_dictionary(kind):
        return text_of_column(column.dictionary_decode())
    if pa.types.is_timestamp(kind) or pa.types.is_time(kind) or pa.types.is_large_string(kind):
        column = column.cast(pa.string())
    elif not pa.types.is_string(kind):
        coded = column.dictionary_encode()
        words = [as_text(value) for value in coded.dictionary.to_pylist()]
        column = pa.array(words, pa.string()).take(coded.indices)
    column.validate(full=True)
    return column.fill_null("")


def _refuse_other_ends(path: Path, shown: str) -> None:
    with path.open("rb") as file:
        start = file.read(4)
        file.seek(-min(4, path.stat().st_size), 2)
        end = file.read(4)
    if start == b"PARE":
        raise DataError(f"{shown}: is an encrypted Parquet file; export it without encryption")
    if start != _MARK:
        raise DataError(
            f"{shown}: is no Parquet file, whatever its name says; if it is text, name it .csv"
        )
    if end != _MARK:
        raise DataError(f"{shown}: is a Parquet file that is cut off; copy or export it again")


def _values(column: Any, pa: Any) -> list[Any]:
    """Python's values; nanoseconds, which Python lacks, as text."""
    if pa.types.is_timestamp(column.type) or pa.types.is_time(column.type):
        column = column.cast(pa.string())
    values: list[Any] = column.to_pylist()
    return values


def _is_bytes(kind: Any, pa: Any) -> bool:
    tests = (pa.types.is_binary, pa.types.is_large_binary, pa.types.is_fixed_size_binary)
    return any(test(kind) for test in tests)


def _is_number(kind: Any, pa: Any) -> bool:
    tests = (pa.types.is_integer, pa.types.is_floating, pa.types.is_decimal)
    return any(test(kind) for test in tests)


def as_text(value: object) -> str:
    """Whole floats lose their point.

    Integers with gaps are stored as floats, and an id has to match the same id in another table.
    Beyond 2**53 two ids may have become one float: such a number keeps its exponent, which is
    refused in an id.
    """
    if value is None or (isinstance(value, float) and math.isnan(value)):
        return ""
    if isinstance(value, bool):
        return str(int(value))
    if isinstance(value, float) and value.is_integer():
        return str(int(value)) if abs(value) < _EXACT else f"{value:.16e}"
    return trimmed(str(value))
