"""One file of a table, by its kind; what is of another kind is told which, whatever its name."""

from collections.abc import Mapping
from pathlib import Path

from client.site import Table
from client.tables.csv_files import Cells, read_csv
from client.tables.excel_files import read_excel
from client.tables.gzip_files import unpacked
from client.tables.parquet_files import read_parquet
from client.tables.queries import read_query
from irene_model.errors import DataError

_SAVE = "save the sheet as .xlsx or as 'CSV UTF-8' there, without a password"
_UNPACK = "unpack it first"
# What other files begin with, whatever they are named.
_OTHER_KINDS = {
    b"PK\x03\x04": ("an Excel workbook (.xlsx) or another zip archive", "name it so, or unpack it"),
    b"\xd0\xcf\x11\xe0": ("an old Excel workbook (.xls), or one with a password", _SAVE),
    b"\x1f\x8b": ("compressed by gzip", "name it .csv.gz, or unpack it"),
    b"BZh": ("compressed by bzip2", _UNPACK),
    b"\xfd7zXZ": ("compressed by xz", _UNPACK),
    b"7z\xbc\xaf": ("compressed by 7-Zip", _UNPACK),
    b"\x28\xb5\x2f\xfd": ("compressed by zstd", _UNPACK),
    b"PAR1": ("a Parquet file", "name it .parquet"),
    b"ARROW1": ("an Arrow file", "export CSV or Parquet"),
    b"%PDF": ("a PDF", "export CSV or Parquet"),
    b"{\\rtf": ("an RTF document", "export CSV or Parquet"),
    b"$FL": ("an SPSS file", "export CSV or Parquet"),
    b"<stata": ("a Stata file", "export CSV or Parquet"),
    b"SQLite format 3": ("an SQLite database", "name it .sqlite, with a query"),
    b"<": ("XML or a web page", "export CSV or Parquet"),
    b"{": ("JSON", "export CSV or Parquet"),
    b"version https://git-lfs": ("a pointer to a file that Git LFS keeps", "run git lfs pull"),
}


_OWN_BEGINNINGS = {  # of suffixes that are no text
    ".parquet": b"PAR1",
    ".xlsx": b"PK\x03\x04",
    ".xlsm": b"PK\x03\x04",
    ".gz": b"\x1f\x8b",
}
_TEXT = (".csv", ".tsv", ".txt")


def read_table(
    path: Path, table: Table, key: str, beside: Mapping[str, Path] | None = None
) -> Cells:
    """The cells of the file at `path`, or of what a query makes of it, with at least one row.

    key: where site.yaml names the table, for the errors. beside: where the query's files lie.

    Raises:
        DataError: the file is of another kind, or as the reader of its kind does.
    """
    shown = str(table.path)
    if table.query is not None:
        found = read_query(path, beside or {}, table, key)
        if not found.lines:
            raise DataError(f"{shown}: {key}.query finds no row")
        return found
    found = _read(path, table, key)
    if not found.lines:
        header = "a header, and no rows below it" if found.names else "no text"
        raise DataError(f"{shown}: holds {header}; export it again")
    return found


def _read(path: Path, table: Table, key: str) -> Cells:
    shown, suffix = str(table.path), path.suffix.lower()
    _refuse_other_kinds(path, shown, own=_OWN_BEGINNINGS.get(suffix))
    if suffix == ".parquet":
        return read_parquet(path, shown)
    if suffix in (".xlsx", ".xlsm"):
        return read_excel(path, table, key)
    if suffix in _TEXT:
        return read_csv(path.read_bytes(), table, key)
    packed = path.with_suffix("").suffix.lower() if suffix == ".gz" else ""
    if packed in _TEXT:
        if packed == ".tsv" and "separator" not in table.model_fields_set:
            table = table.model_copy(update={"separator": "\t"})
        return read_csv(unpacked(path, shown), table, key)
    raise DataError(
        f"{shown}: named by {key}.path: expected .csv, .tsv, .txt (or with .gz), .xlsx or .parquet"
    )


def _refuse_other_kinds(path: Path, shown: str, *, own: bytes | None) -> None:
    try:
        with path.open("rb") as file:
            start = file.read(200)
    except OSError as error:
        raise DataError(f"{shown}: can't be read ({type(error).__name__})") from None
    if not start:
        raise DataError(f"{shown}: is empty, it holds no byte; export or copy it again")
    for beginning, (kind, remedy) in _OTHER_KINDS.items():
        if beginning != own and start.lstrip(b" \r\n\t").startswith(beginning):
            raise DataError(f"{shown}: is {kind}, not what its name says; {remedy}")
